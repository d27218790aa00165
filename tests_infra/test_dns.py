"""Names: whoever asks, the answer is the declared one."""

from siteproof.asks import each
from siteproof.facts import Dns, Name, Node
from siteproof.invariants import invariant
from siteproof.probes.dns import dns_addresses
from siteproof.probes.getent import getent_addresses
from siteproof.probes.resolver import resolver_servers


@invariant(
    "dns-split-answer",
    family="dns",
    severity="critical",
    incident="image pulls rode the public hairpin",
    remedy="Let the resolver in question forward the site's zone to its authority (pfSense: Unbound domain override); "
    "on a node, take away any server that cannot answer for the zone.",
    gate=True,
    probe_class="sends",
)
async def test_node_gets_the_internal_address_of_a_name(node: Node, name: Name, dns: Dns) -> None:
    """On every node a name has its internal address, whichever of its servers is asked."""
    servers = await resolver_servers(node.host)
    through_server = {
        f"server {server}": dns_addresses(node.host, name.name, at=server, control=dns.control_name)
        for server in servers
    }
    through_system = {"getent": getent_addresses(node.host, name.name, control=dns.control_name)}
    answers = await each(through_system | through_server)
    assert answers == dict.fromkeys(answers, frozenset(name.internal))
