"""Edge: the internet reaches what is meant for it, and nothing else."""

from collections.abc import Iterable
from itertools import chain

from siteproof.asks import Ask, both, each, note, total
from siteproof.errors import NoControl
from siteproof.facts.edge import Edge, Gate, PublicAddress, Vantage
from siteproof.invariants import Defaults
from siteproof.probes.edge.iptables import iptables_forwards
from siteproof.probes.edge.nat import Forward, Opened, together
from siteproof.probes.edge.nft import nf_tables_forwards
from siteproof.probes.edge.nmap import tcp_scan
from siteproof.probes.path.ip import uplinks

invariant = Defaults(
    family="edge", severity="critical", incident="the router's DMZ made every port of a server public", gate=True
)


@invariant("edge-no-dmz-config", witness="nmap from outside, wherever somebody behind the router answers")
async def test_router_forwards_no_address_wholesale(router: Gate, edge: Edge) -> None:
    """The router forwards ports, never everything that comes to an address, by one rule or by several together.

    Turn the DMZ (1:1 NAT, exposed host) off and forward the wanted ports one by one.
    """
    forwards = await rules_of(router.host)
    opened = await opened_to_the_internet(router.host, forwards, edge)
    assert [str(one) for one in opened if one.certainly_more_than(edge.ports_at_once)] == []
    if opened:
        raise NoControl(f"whether {router} forwards more than single ports is not told: {opened[0]}")
    a_declared_port_is_among(forwards, [router.host], edge)
    await nothing_else_is_seen_forwarded(router, edge, forwards)


@invariant(
    "edge-no-dmz-outside", follows=("edge-no-dmz-config",), witness="the routers' own rules, where nobody answers"
)
async def test_an_unlisted_port_ends_at_the_edge(vantage: Vantage, address: PublicAddress, edge: Edge) -> None:
    """From the internet, a port that is not on the allowlist gets no further than the edge.

    Turn the DMZ off and forward the wanted ports one by one; flush the router's connection tracking after it.
    """
    sample = edge.sample(address)
    seen = await tcp_scan(vantage, address.address, sample, control=address.control_port)
    past, unclear = seen.got_past(sample, edge.public, control_on_router=address.control_on_router)
    assert {f"tcp/{port}": str(answer) for port, answer in past.items()} == {}
    if unclear:
        raise NoControl(f"{vantage} cannot tell what of {address} ends at the edge: {unclear[0]}")
    if silent := seen.silent(sample):
        await silence_is_the_edges(vantage, address, edge, silent, every=len(silent) == len(sample))


def rules_of(router: str) -> Ask[list[Forward]]:
    """Every forward of every tool on a router."""
    tools = both(nf_tables_forwards(router), iptables_forwards(router))
    return tools.then(lambda found: [forward for tool in found for forward in tool.forwards])


async def opened_to_the_internet(router: str, forwards: list[Forward], edge: Edge) -> list[Opened]:
    """What is, or may be, open wholesale to what comes in from the internet."""
    wide = [one for one in together(forwards) if one.perhaps_more_than(edge.ports_at_once)]
    found = await from_outside(router, [forward for one in wide for forward in one.forwards], edge)
    return [one for one in together(found) if one.perhaps_more_than(edge.ports_at_once)]


async def from_outside(router: str, forwards: list[Forward], edge: Edge) -> list[Forward]:
    """Those of the forwards that a packet from the internet can meet: what is for the LAN alone is none of it."""
    if not any(forward.came_in_by for forward in forwards):
        return forwards
    outside = edge.outside_interfaces or (await uplinks(router, edge.somewhere)).outside(edge.public)
    return [forward for forward in forwards if forward.lets_in_by(outside)]


def a_declared_port_is_among(forwards: Iterable[Forward], routers: Iterable[str], edge: Edge) -> None:
    """A ruleset without a single rule that must be there is not the one that packets meet."""
    if not edge.forwarded:
        note("every declared port ends on the router itself, so that no rule had to be there")
    elif not any(f.takes(port) for f in forwards if not f.unknown for port in edge.forwarded):
        raise NoControl(
            f"no rule on {', '.join(routers)} forwards any port that is declared open: either these are not the rules "
            "that packets meet, or the router answers there itself (`on_router`)"
        )


async def nothing_else_is_seen_forwarded(router: Gate, edge: Edge, own: list[Forward]) -> None:
    """What answers beyond the router needs a rule; without one, the rules that it showed are not those in force."""
    if not router.vantages:
        note(f"nobody looks at {router} from outside, so that its rules are believed as it shows them")
        return
    others = await total({other: rules_of(other) for other in router.routers if other != router.host})
    everywhere = [*own, *chain.from_iterable(others.values())]
    scans = await each(
        {
            (vantage, address): tcp_scan(vantage, address.address, edge.sample(address), control=address.control_port)
            for vantage in router.vantages
            for address in edge.addresses
        }
    )
    for (vantage, address), seen in scans.items():
        for port in seen.forwarded(edge.sample(address), edge.public):
            if not any(forward.takes(port) for forward in everywhere):
                raise NoControl(
                    f"{vantage} sees tcp/{port} of {address} answered from beyond the edge ({seen.ports[port]}), and "
                    f"no rule that {router} shows sends it there: these are not the rules that packets meet"
                )


async def silence_is_the_edges(
    vantage: Vantage, address: PublicAddress, edge: Edge, silent: set[int], *, every: bool
) -> None:
    """Whoever drops everything behind a forward is as silent as the edge: its rules tell them apart."""
    ports = f"tcp/{', '.join(map(str, sorted(silent)))} of {address}"
    if not vantage.routers:
        if every:
            raise NoControl(
                f"{vantage} hears nothing of {ports}, and no router can be asked for its rules: closed there, or "
                "forwarded to a host that drops everything"
            )
        note(f"{ports} are silent, and no router can be asked why; the edge refuses others")
        return
    forwards = await total({router: rules_of(router) for router in vantage.routers})
    a_declared_port_is_among(chain.from_iterable(forwards.values()), vantage.routers, edge)
    for router, own in forwards.items():
        others = edge.public - {address.address}
        taking = [f for f in own if f.is_for(address.address, others) and any(f.takes(port) for port in silent)]
        if found := await from_outside(router, taking, edge):
            raise NoControl(f"{vantage} hears nothing of {ports}, but {router} forwards it: {found[0]}")
