"""Names: whoever asks, the answer is the declared one."""

from functools import partial

from siteproof.asks import Ask, both, each, note, uniform, witnessed
from siteproof.asks.words import Address
from siteproof.facts.dns import Client, Dns, Name, View
from siteproof.invariants import Defaults
from siteproof.probes.names.dig import addresses, each_way
from siteproof.probes.names.dns import dns_addresses
from siteproof.probes.names.programs import explained, program_addresses
from siteproof.probes.names.resolved import asked_servers
from siteproof.probes.names.resolver import resolver_servers, servers_on_file

invariant = Defaults(family="dns", severity="high", incident="image pulls rode the public hairpin", gate=True)

SERVERS_NOW = "the servers in use, asked beside getent over TCP and UDP; the hosts file"


@invariant(
    "dns-split-answer",
    severity="critical",
    follows=("dns-no-hosts-pin", "dns-every-server-agrees", "dns-current-server"),
    witness=SERVERS_NOW,
)
async def test_node_gets_the_internal_address_of_a_name(node: Client, name: Name, dns: Dns) -> None:
    """What programs on a node get for a name is its internal address, from DNS alone as from all their sources.

    Let the resolver in question forward the site's zone to its authority (pfSense: Unbound domain override); on a node,
    take away any server that cannot answer for the zone, and any pin in /etc/hosts.
    """
    asked, right = await asked_servers(node, control=dns.control_name), frozenset[Address](name.internal)
    programs = partial(program_addresses, node, name.name, asked=asked, right=right, control=dns.control_name)
    answers = await each({"getent": programs(), "getent -s dns": programs(only="dns")})
    assert answers == uniform(answers, right)


@invariant("dns-split-answer-ipv6", witness=SERVERS_NOW)
async def test_node_gets_no_other_ipv6_address_of_a_name(node: Client, name: Name, dns: Dns) -> None:
    """The IPv6 addresses of a name are the declared ones; by default it has none.

    Take the AAAA record out of the zone, or declare it: programs try IPv6 first where there is any.
    """
    listed, asked = await both(resolver_servers(node), asked_servers(node, control=dns.control_name))
    servers, right = (
        [s for s in listed if s not in node.how.accepted_secondaries],
        frozenset[Address](name.internal_ipv6),
    )
    through_server = {
        f"server {s}": dns_addresses(node, name.name, at=s, kind="AAAA", control=dns.control_name) for s in servers
    }
    programs = program_addresses(node, name.name, asked=asked, right=right, ipv6=True, control=dns.control_name)
    answers = await each({"getent": programs} | through_server)
    assert answers == uniform(answers, right)


@invariant(
    "dns-every-server-agrees",
    follows=(
        "dns-secondary-policy",
        "dns-edge-override",
        "dns-rebind-strip",
        "dns-authority-auto",
        "dns-authority-up",
    ),
    witness="dig or drill beside the answer over TCP; getent gets what these servers say; resolved's own resolv.conf",
)
async def test_every_server_of_a_node_gives_the_internal_address(node: Client, name: Name, dns: Dns) -> None:
    """Every server that a node may come to ask gives the internal address of a name, over TCP as over UDP.

    Take the dissenting server away from the node, or let it forward the site's zone to the authority. NXDOMAIN is
    dissent too: no other server is asked after it.
    """
    listed, asked = await both(sure_servers(node), asked_servers(node, control=dns.control_name))
    servers = [s for s in listed if s not in node.how.accepted_secondaries]
    answers = await each_way(addresses(node, name.name, servers, control=dns.control_name))
    assert answers == uniform(answers, frozenset(name.internal))
    await explained(node, name.name, asked=asked, control=dns.control_name)


def sure_servers(node: Client) -> Ask[tuple[Address, ...]]:
    """The servers of a node, where resolved tells the same as the file that it has written."""
    return witnessed(
        resolver_servers(node),
        servers_on_file(node),
        agrees=lambda servers, on_file: set(servers) == on_file,
        means="resolved has written down other servers than it says it has",
    )


@invariant(
    "dns-split-horizon",
    gate=False,
    also=("dns-external-monitors-vantage",),
    follows=("dns-split-answer",),
    witness=SERVERS_NOW,
)
async def test_views_of_a_name_differ_where_declared_and_only_there(view: View, dns: Dns) -> None:
    """Everyone inside gets the internal addresses of a name, everyone on the internet the public ones.

    Inside: see `dns-split-answer`. Outside: take the internal records out of the public zone, and do not let the
    authority be asked from the internet in its internal view. A monitor that sees the internal view is none of the
    outside.
    """
    name, control = view.name.name, dns.control_name
    right = {host: frozenset[Address](view.name.internal) for host in view.inside}
    right |= {host: frozenset[Address](view.name.outside) for host in view.outside}
    asked = await each({host: asked_servers(host, control=control) for host in right})
    programs = {h: program_addresses(h, name, asked=a, right=right[h], control=control) for h, a in asked.items()}
    public = {
        f"{host} at {server}": dns_addresses(host, name, at=server, control=control)
        for host in view.outside
        for server in dns.outside.servers
    }
    answers = await each(programs | public)
    declared = {who: right.get(who, frozenset(view.name.outside)) for who in answers}
    if answers != declared:
        note(f"who sees what: {who_sees_what(answers)}")
    assert answers == declared


def who_sees_what(answers: dict[str, frozenset[Address]]) -> str:
    """`10.0.20.203: cp1, worker1; nothing: outside`."""
    seers: dict[str, list[str]] = {}
    for who, found in answers.items():
        seers.setdefault(" ".join(sorted(map(str, found))) or "nothing", []).append(who)
    return "; ".join(f"{answer}: {', '.join(whos)}" for answer, whos in seers.items())
