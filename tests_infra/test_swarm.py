"""Swarm: the overlays that everything joins, and the addresses on them."""

from siteproof.analysis.addresses import overlay_fill, use
from siteproof.analysis.projection import project
from siteproof.analysis.swarm import creations, dangling, moving, out_of_order, overlapping, short, unreached
from siteproof.analysis.swarm_witness import agreed, agreed_lines, agreed_state
from siteproof.asks import Ask, both, each, note, past, total, uniform, witnessed
from siteproof.errors import NoControl
from siteproof.facts import SETTLES_DAYS, History, Node
from siteproof.facts.swarm import Checkout, Guard, Manager, Overlay, Pin, Swarm, Window
from siteproof.invariants import Defaults
from siteproof.probes.files.git import repository
from siteproof.probes.files.text_file import file_lines
from siteproof.probes.path.ip import Route, kernel_links, routes
from siteproof.probes.swarm.docker_api import local_networks, overlay_view, swarm_moments, swarm_state
from siteproof.probes.swarm.dockerd import allocator_log, daemon
from siteproof.probes.swarm.overlay_ping import overlay_pings

ENLARGE = (
    "In a maintenance window: remove the stacks on it, `docker network rm`, create it again with `--subnet`, redeploy; "
    "and pin the subnet where the network is created."
)
RECLAIM = "Restart dockerd in a quiet moment: it builds its bookkeeping anew. Then look why addresses get lost."

COMMAND_LINE = "docker's command line, and the host's clock, beside the API that curl asks"

invariant = Defaults(
    family="swarm", severity="high", incident="deploys wedged because the proxy overlay ran out of VIPs"
)


@invariant(
    "swarm-proxy-subnet",
    severity="critical",
    remedy=ENLARGE,
    gate=True,
    witness="dockerd's API, asked by curl, and the host's clock beside docker's command line",
)
async def test_overlay_has_the_declared_subnet(manager: Manager, overlay: Overlay) -> None:
    """There is exactly one overlay of the name, attachable and allocated from the declared subnet."""
    networks = (await agreed_lines(manager)).overlays
    named = [n for n in networks if n.name == overlay.name]
    seen = {"attachable": [n.attachable for n in named], "subnets": [n.subnets for n in named]}
    assert seen == {"attachable": [overlay.attachable], "subnets": [(overlay.subnet,)]}


@invariant(
    "swarm-pin",
    also=("drift-swarm-nix",),
    witness="sha256sum of the file beside cat, dockerd's API beside docker's command line",
)
async def test_overlay_is_pinned_where_it_is_created(manager: Manager, pin: Pin, swarm: Swarm) -> None:
    """The file that creates an overlay gives it the declared subnet, and so has the overlay that runs.

    Bring file and network both. A script that creates a network only where it is missing never changes one that exists:
    an edit of the file alone does nothing, and a change by hand does not survive a new host.
    """
    lines = await file_lines(pin, pin.file)
    networks = (await agreed_lines(manager)).overlays
    created = creations(lines, pin.overlay)
    if any(creation.hides_errors for creation in created):
        note(f"{pin.file} hides the errors of `docker network create`: a refused subnet would go unnoticed")
    live = [subnet for network in networks if network.name == pin.overlay for subnet in network.subnets]
    seen = {pin.file: [creation.subnet for creation in created], "live": live}
    assert seen == uniform(seen, [swarm.overlay(pin.overlay).subnet])


@invariant(
    "swarm-no-overlap",
    gate=True,
    witness="docker's command line for the networks, /proc/net/route for the routes",
)
async def test_overlay_shares_no_address_with_anything_else(manager: Manager, overlay: Overlay) -> None:
    """No other Docker network and no route of any node has addresses of an overlay.

    Move one of the two to a block of its own. `docker network create` does not refuse an overlap in a swarm: it exits 0
    and leaves the network without addresses.
    """
    state = await agreed_state(manager)
    found = await each({host: both(local_networks(host), routes_of(host)) for host in manager.members})
    for pool in state.pool:
        if pool.overlaps(overlay.subnet):
            note(f"{overlay.subnet} lies in the default pool {pool}: while {overlay} is away, another may be given it")
    assert overlapping(overlay, found) == {}


def routes_of(host: str) -> Ask[tuple[Route, ...]]:
    """What ip shows, where the kernel's own table has the same networks."""
    return witnessed(
        routes(host),
        kernel_links(host),
        agrees=lambda found, kernel: {route.target for route in found} == kernel.networks,
        means="ip answers from memory, or a route has just changed",
    )


@invariant("swarm-nodes-ready", gate=True, witness=COMMAND_LINE)
async def test_every_node_of_the_swarm_is_declared_and_ready(manager: Manager, swarm: Swarm) -> None:
    """The swarm's nodes are those of the inventory, all ready and active.

    Bring the node back or take it out (`docker node rm`, and out of the inventory): the addresses that it holds cannot
    be counted while it is silent.
    """
    state = await agreed_state(manager)
    seen = {f"{node.hostname} {node.id[:12]}": (node.state, node.availability) for node in state.nodes}
    views = await each({host: overlay_view(host, swarm.overlays[0].name) for host in manager.members})
    declared = {view.node: host for host, view in views.items()}
    strangers = [node.hostname for node in state.nodes if node.id not in declared]
    elsewhere = sorted(declared.keys() - {node.id for node in state.nodes})
    assert seen == uniform(seen, ("ready", "active"))
    state.sure("nodes")
    assert [declared[id] for id in elsewhere] == [], "nodes of another swarm"
    assert strangers == [] or len(views) < len(manager.members), "nodes that the inventory lacks"


@invariant("swarm-headroom", severity="critical", remedy=ENLARGE, gate=True, witness=COMMAND_LINE)
async def test_overlay_has_addresses_to_spare(manager: Manager, overlay: Overlay) -> None:
    """Of an overlay's addresses the declared part is free, and none has two holders."""
    state = await agreed_state(manager)
    views = await each({host: overlay_view(host, overlay.name) for host in manager.members})
    counted = use(state, state.overlay(overlay.name), views.values())
    if counted.available is None:
        note("dockerd does not say what it still has (Docker 29 does), so lost addresses count as free here")
    assert counted.duplicates == {}
    assert counted.free_ratio >= overlay.min_free_ratio


@invariant(
    "swarm-exhaustion",
    remedy=f"{RECLAIM} The lasting cure is a larger subnet.",
    unwitnessed_because="it stands on what earlier runs were told; today's count is swarm-headroom's",
    unproven_because="a trend takes days and a lab lives for minutes; tests/unit/test_projection.py has the histories",
)
async def test_overlay_outlasts_the_next_restart(
    manager: Manager, overlay: Overlay, history: History, swarm: Swarm
) -> None:
    """At the rate of the last weeks an overlay's addresses outlast the next restart of dockerd."""
    fill = overlay_fill(manager, manager.members, overlay.name)
    now, before = await both(fill, past(fill, history))
    trend = project([now.sample, *(p.answer.sample for p in before if p.answer.network == now.network)])
    if trend.days < SETTLES_DAYS:
        raise NoControl(f"the runs that counted {overlay} span {trend.days:.1f} days, which shows no trend")
    note(
        f"{trend.per_day:.1f} addresses a day, {now.use.free} free; after {trend.samples} runs in {trend.days:.0f} days"
    )
    to_restart = swarm.restart_days - now.daemon.up_days
    assert trend.days_left(now.use.free) > (to_restart if to_restart > 0 else swarm.restart_days)


@invariant("swarm-stuck-new", severity="critical", gate=True, follows=("swarm-headroom",), witness=COMMAND_LINE)
async def test_no_task_waits_for_an_address(manager: Manager, swarm: Swarm) -> None:
    """No task waits in the state New for longer than it takes to give it an address.

    This is no fault of what is deployed: the allocator has no address for it. Free some, or restart dockerd.
    """
    state = await agreed_state(manager)
    waiting = [task for task in state.tasks if task.waits_for_the_allocator]
    stuck = [task for task in waiting if state.at - task.created > swarm.stuck_after_s]
    if not stuck:
        state.sure("tasks")
    assert {state.service_name(task): task.state for task in stuck} == {}


@invariant(
    "swarm-infra-vs-recipe", follows=("swarm-stuck-new", "swarm-headroom", "swarm-nodes-ready"), witness=COMMAND_LINE
)
async def test_every_service_has_its_tasks(manager: Manager) -> None:
    """Every service runs as many tasks as it is meant to; what was to end and has ended is none of them.

    Printed under another finding, this is the infrastructure's doing, not the service's. Alone, it is the service's
    own: `docker service ps --no-trunc` has its error.
    """
    assert short(await agreed_state(manager)) == {}


@invariant(
    "swarm-alloc-log",
    severity="critical",
    remedy=RECLAIM,
    gate=True,
    follows=("swarm-stuck-new", "swarm-headroom"),
    unwitnessed_because="what dockerd logged stands in the journal alone; that this dockerd lives, the kernel says",
)
async def test_the_allocator_never_ran_out(manager: Manager) -> None:
    """Since it started, no manager's dockerd has logged that it had no address to give."""
    log = await allocator_log(manager)
    note("silence here does not mean recovery: what the allocator tries again later, it logs at debug level only")
    if log.exhausted.lines:
        note(f"the last lines: {' | '.join(log.exhausted.examples[-2:])}")
    else:
        log.exhausted.sure()
    assert log.exhausted.lines == 0


@invariant(
    "swarm-race-log",
    severity="medium",
    remedy=RECLAIM,
    unwitnessed_because="what dockerd logged stands in the journal alone; that this dockerd lives, the kernel says",
)
async def test_removals_seldom_race(node: Node, swarm: Swarm) -> None:
    """Removals of stacks meet no more often than the budget allows, by day since dockerd started."""
    log = await allocator_log(node)
    raced = log.raced.lines
    note(f"{raced} lines in {log.daemon.up_days:.1f} days; they show that addresses may be lost, not how many")
    per_day = raced / max(1.0, log.daemon.up_days)
    if per_day <= swarm.races_per_day:
        log.raced.sure()
    assert per_day <= swarm.races_per_day


@invariant(
    "swarm-daemon-uptime", severity="medium", witness="the kernel: the process that systemd names, and when it began"
)
async def test_dockerd_is_restarted_on_purpose_and_in_time(node: Node, swarm: Swarm) -> None:
    """dockerd has not run longer than the declared interval, and has not died by itself.

    Restart dockerd in a quiet moment, or keep the declared interval by a reboot. If it dies by itself, read its
    journal.
    """
    alive = await daemon(node)
    assert alive.restarts == 0, f"systemd had to start it again {alive.restarts} times"
    assert alive.up_days <= swarm.restart_days


@invariant("swarm-dangling-overlays", witness=COMMAND_LINE)
async def test_no_overlay_outlives_its_stack(manager: Manager, swarm: Swarm) -> None:
    """No overlay of a removed stack is left behind.

    `docker network prune` takes them away; each is a removal that raced and may have lost addresses too.
    """
    state = await agreed_state(manager)
    left = dangling(state, (), swarm.dangling_after_s)
    views = await total({(host, name): overlay_view(host, name) for name in left for host in manager.members})
    assert dangling(state, views.values(), swarm.dangling_after_s) == {}


@invariant("swarm-quiescent", severity="critical", gate=True, witness=COMMAND_LINE)
async def test_the_swarm_is_quiet(manager: Manager, window: Window) -> None:
    """Only the declared stacks are deployed, and nothing moves for a while.

    Wait until the deploy is over; do no disruptive work before this holds.
    """
    moments = await agreed(manager, swarm_moments(manager, apart_s=window.settle_s), lambda seen: seen[0])
    strangers = {s.name: s.stack for m in moments for s in m.services if s.stack and not window.allows(s.stack)}
    changes = {name: how for moment in moments for name, how in moving(moment).items()}
    assert {"other stacks": strangers, "in motion": changes} == {"other stacks": {}, "in motion": {}}


@invariant(
    "swarm-post-recreate",
    severity="critical",
    witness="the other end: each two nodes are tried from both, and " + COMMAND_LINE,
)
async def test_tasks_on_an_overlay_reach_each_other(manager: Manager, overlay: Overlay) -> None:
    """Every address on an overlay is of its subnet, and tasks reach each other from node to node.

    A service with an address outside the subnet has not rejoined: update it with --force. Silence between two nodes is
    UDP 4789 or TCP/UDP 7946 filtered, or an MTU too large for VXLAN's 50 bytes.
    """
    state = await agreed_state(manager)
    network = state.overlay(overlay.name)
    one_per_node = {t.node: a for t in state.tasks if t.state == "running" for a in t.addresses_on(network.id)}
    asked, at_most = one_per_node.values(), len(manager.members)
    pings = await each({h: overlay_pings(h, network.id, asked, at_most=at_most) for h in manager.members})
    # Tasks come and go, also a canary's of this very run: what has gone in between owes no answer.
    later = await swarm_state(manager, look=2)
    staying = {a for task in later.tasks if task.state == "running" for a in task.addresses_on(network.id)}
    assert [a for a in use(state, network, ()).holders if a not in overlay.subnet] == []
    assert unreached(pings, staying) == {}


@invariant("swarm-stepguard", severity="medium", witness="sha256sum of the file beside cat")
async def test_a_script_takes_its_guarding_steps_first(guard: Guard) -> None:
    """A script that puts load on the swarm takes the declared steps first.

    Put the step back, before the line that it guards.
    """
    lines = await file_lines(guard, guard.file)
    assert out_of_order(lines, guard.steps, guard.before) == []


@invariant("swarm-author-secrets", severity="medium", unwitnessed_because="only git can read what it keeps")
async def test_a_checkout_has_its_authors_and_no_secret(checkout: Checkout) -> None:
    """What the stacks are deployed from was written and committed by its declared authors, and holds no secret.

    Let the declared author commit what a stranger did. A secret that was committed is known, also after it is removed:
    give out a new one.
    """
    seen = await repository(checkout, checkout.directory)
    note(f"looked through: {seen.files} files of HEAD, and who made the newest commits, 20 at most")
    if seen.binary:
        note(f"no text: {seen.binary} files, of which what is compressed, encrypted or UTF-16 was not read")
    if seen.links or seen.submodules:
        note(f"not looked into: {seen.links} symbolic links, {seen.submodules} submodules")
    if seen.shallow:
        note("a shallow clone: who made the commits that it lacks was not seen")
    people = {person for commit in seen.commits for person in commit.people}
    strangers = sorted(person for person in people if not checkout.allows(person))
    assert {"other authors": strangers, "files with secrets": list(seen.secrets)} == {
        "other authors": [],
        "files with secrets": [],
    }
