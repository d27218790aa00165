"""Edge: the internet reaches what is meant for it, and nothing else."""

from siteproof.asks import note, total
from siteproof.facts import Outside, Router
from siteproof.facts.edge import Edge, PublicAddress
from siteproof.invariants import Defaults
from siteproof.probes.edge.iptables import iptables_forwards
from siteproof.probes.edge.nft import nft_forwards
from siteproof.probes.edge.nmap import tcp_scan

invariant = Defaults(
    family="edge", severity="critical", incident="the router's DMZ made every port of a server public", gate=True
)


@invariant("edge-no-dmz-config")
async def test_router_forwards_no_address_wholesale(router: Router, edge: Edge) -> None:
    """The router forwards ports, never everything that comes to an address.

    Turn the DMZ (1:1 NAT, exposed host) off and forward the wanted ports one by one.
    """
    rules = await total({"nft": nft_forwards(router), "iptables": iptables_forwards(router)})
    forwards = [forward for tool in rules.values() for forward in tool.forwards]
    wholesale = [f for f in forwards if f.port_count is None or f.port_count > edge.ports_at_once]
    assert wholesale == []


@invariant("edge-no-dmz-outside", follows=("edge-no-dmz-config",))
async def test_an_unlisted_port_ends_at_the_edge(vantage: Outside, address: PublicAddress, edge: Edge) -> None:
    """From the internet, a port that is not on the allowlist gets no further than the edge.

    Turn the DMZ off and forward the wanted ports one by one; flush the router's connection tracking after it.
    """
    sample = edge.sample(address)
    seen = await tcp_scan(vantage, address.address, sample, control=address.control_port)
    behind = {f"tcp/{port}": str(seen.ports[port]) for port in sample if seen.is_behind(port, edge.public)}
    if all(seen.ports[port].reason == "no-response" for port in sample):
        note("all unlisted ports are silent; a forward to a host that drops everything would look the same from here")
    assert behind == {}
