"""curl on dockerd's own socket: what the swarm says of itself, as one manager or one node tells it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from siteproof.asks import NETWORK_NAME, NUMBER, Ask, Host, Output, command
from siteproof.errors import NoControl, Unparseable
from siteproof.probes.common.dockers import SOCKET
from siteproof.probes.common.sections import END, Sections, section, split
from siteproof.probes.swarm.model import Network, NodeView, SwarmState


def _ask(paths: Mapping[str, str], when: str = "") -> str:
    """Script lines that print one document of the API a section; written out, so that sudo can allow just these."""
    curl = f'$ROOT curl -q -sS --max-time "$DEADLINE" --unix-socket {SOCKET}'
    return "".join(
        f"{section(when + name)}\n{curl} {shlex.quote(f'http://docker{path}')} || exit\n"
        for name, path in paths.items()
    )


CLOCK = f"{section('clock')}\ndate +%s || exit\n"
"""The host's own clock, by another tool: what is given again by curl, or in its place, is older than that."""
_PATHS = {name: f"/{name}" for name in ("info", "nodes", "tasks", "networks")} | {"services": "/services?status=true"}
_STATE = f"{CLOCK}{_ask(_PATHS)}{END}"
_STATES = {False: _STATE, True: f': "look $look"\n{_STATE}'}
"""By whether it is a later look."""
_MOMENTS = f'{CLOCK}{_ask(_PATHS, "first-")}sleep "$apart_s" || exit\n{_ask(_PATHS, "second-")}{END}'
_NETWORKS = f"{CLOCK}{_ask({'info': '/info', 'networks': '/networks'})}{END}"
_VIEW = f"""\
{CLOCK}{_ask({"info": "/info"})}{section("network")}
$ROOT curl -q -sS --max-time "$DEADLINE" --unix-socket {SOCKET} "http://docker/networks/$overlay?scope=swarm" || exit
{END}"""


def swarm_moments(manager: Host, *, apart_s: int) -> Ask[tuple[SwarmState, SwarmState]]:
    """The same twice, so many seconds apart: whether anything moves shows only in time."""
    return command(
        manager,
        _MOMENTS,
        given={"apart_s": NUMBER(apart_s)},
        probe=f"docker API: nodes, services, tasks, networks, twice within {apart_s} s",
        parse=parse_moments,
        tools=("curl", "date", "sleep"),
        root=True,
        deadline_s=10 + apart_s,
        needs=("dockerd",),
        slow=True,
    )


def swarm_state(manager: Host, *, look: int = 1) -> Ask[SwarmState]:
    """Nodes, services, tasks and networks. The answer of a host that is no manager is NoControl.

    `look` tells a later look of the same run from the first one, whose answer would be given again.
    """
    return command(
        manager,
        _STATES[look > 1],
        given={"look": NUMBER(look)} if look > 1 else {},
        probe="docker API: nodes, services, tasks, networks",
        parse=parse_swarm,
        tools=("curl", "date"),
        root=True,
        deadline_s=10,
        waits_for="dockerd",
    )


def overlay_view(node: Host, overlay: str) -> Ask[NodeView]:
    """What `node` has on the overlay of this name; a bridge of the same name is another network."""
    return command(
        node,
        _VIEW,
        given={"overlay": NETWORK_NAME(overlay)},
        probe=f"docker API: network {overlay}",
        parse=lambda output: parse_view(output, overlay),
        tools=("curl", "date"),
        root=True,
        deadline_s=10,
        waits_for="dockerd",
    )


def local_networks(node: Host) -> Ask[tuple[Network, ...]]:
    """All networks that `node` knows: the swarm's and its own bridges."""
    return command(
        node,
        _NETWORKS,
        probe="docker API: networks",
        parse=parse_networks,
        tools=("curl", "date"),
        root=True,
        deadline_s=10,
        waits_for="dockerd",
    )


def parse_swarm(output: Output) -> SwarmState:
    """Five documents of the API. Raises NoControl where the host is no manager."""
    return _swarm(split(output.text, "clock", *_PATHS))


def parse_moments(output: Output) -> tuple[SwarmState, SwarmState]:
    """Ten documents. Raises Unparseable where time did not pass in between."""
    sections = split(output.text, "clock", *(f"{when}-{name}" for when in ("first", "second") for name in _PATHS))
    clock = {"clock": sections["clock"]} if "clock" in sections else {}
    first, second = (
        _swarm(
            Sections([*clock.items(), *((n.removeprefix(p), text) for n, text in sections.items() if n.startswith(p))])
        )
        for p in ("first-", "second-")
    )
    if second.at <= first.at:
        raise Unparseable("the second look at the swarm was not after the first")
    return first, second


# The documents are imported where one is read: twenty models take long to make, and are of no use to who only looks.


def _swarm(sections: Sections) -> SwarmState:
    from siteproof.probes.swarm.documents.networks import networks
    from siteproof.probes.swarm.documents.nodes import manager, nodes
    from siteproof.probes.swarm.documents.services import services_and_tasks

    node, at, pool = manager(sections)
    known, odd_nodes = nodes(sections)
    if node not in {n.id for n in known} and not any(node in item.text for item in odd_nodes):
        raise NoControl("the list of nodes lacks the manager that gave it")
    services, tasks, odd = services_and_tasks(sections)
    listed, odd_networks = networks(sections)
    return SwarmState(node, at, pool, known, services, tasks, listed, (*odd_nodes, *odd, *odd_networks))


def parse_view(output: Output, overlay: str) -> NodeView:
    """`{"message": "network proxy not found"}` is an answer, beside an `info` that shows an active node."""
    from siteproof.probes.swarm.documents.networks import view
    from siteproof.probes.swarm.documents.nodes import member

    sections = split(output.text, "clock", "info", "network")
    return view(sections, *member(sections), overlay)


def parse_networks(output: Output) -> tuple[Network, ...]:
    """Two documents. Raises NoControl where the host is in no swarm, or the list lacks `none`."""
    from siteproof.probes.swarm.documents.networks import networks
    from siteproof.probes.swarm.documents.nodes import member

    sections = split(output.text, "clock", "info", "networks")
    member(sections)
    known, odd = networks(sections)
    if odd:
        raise Unparseable(odd[0].why)
    return known
