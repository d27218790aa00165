"""Resolvers: a node asks the servers that it is meant to ask, and is told so in one place."""

from siteproof.asks import Ask, each, note, witnessed
from siteproof.errors import NoControl
from siteproof.facts.dns import Client, Dns, Fleet
from siteproof.facts.model import SOMEWHERE
from siteproof.invariants import Defaults
from siteproof.judging.verdicts import shown
from siteproof.probes.names.getent import Database, hosts_database
from siteproof.probes.names.managers import resolver_managers
from siteproof.probes.names.name_files import HostsEntry, hosts_entries, lookup_order, resolv_conf
from siteproof.probes.names.programs import explained
from siteproof.probes.names.resolved import asked_servers, resolved_settings
from siteproof.probes.names.resolver import resolver_servers, servers_on_file
from siteproof.probes.names.resolver_files import resolver_settings
from siteproof.probes.path.ip import link_towards

STICKY = "resolved stays on a server that it failed over to, also when the first one is back"

invariant = Defaults(family="dns", severity="high", incident="image pulls rode the public hairpin", gate=True)


@invariant(
    "dns-current-server",
    severity="critical",
    follows=("dns-secondary-policy",),
    witness="getent gets what that server says itself now",
)
async def test_node_is_on_its_first_server(node: Client, dns: Dns) -> None:
    """A node is answered by its first server, and not by one that it failed over to and stayed with.

    See why the first server did not answer. resolved goes back to it when it is restarted (`systemctl restart
    systemd-resolved`), and not before.
    """
    asked = await asked_servers(node, control=dns.control_name)
    assert asked.current == {node.how.servers[0]}
    await explained(node, dns.names[0].name, asked=asked, control=dns.control_name)


@invariant(
    "dns-secondary-policy",
    remedy="Give the node its declared servers only. A public secondary cannot answer for the site's own zones, and "
    f"{STICKY}.",
    follows=("dns-no-dropins",),
    witness="resolved's own resolv.conf, or a second reading of it, beside what the daemon says",
)
async def test_node_may_ask_the_declared_servers_only(node: Client) -> None:
    """The DNS servers that a node may come to ask are the declared ones, in their order."""
    servers = await resolver_servers(node)
    if accepted := node.how.accepted_secondaries:
        note(f"accepted as secondary: {', '.join(map(str, accepted))}; {STICKY}")
    assert servers == node.how.servers
    on_file = await servers_on_file(node)
    if on_file != set(servers):
        raise NoControl(f"resolved has written down other servers than it says it has: {shown(on_file)}")


@invariant("dns-no-dropins", unwitnessed_because="one reading of files; what they come to is dns-secondary-policy's")
async def test_resolver_is_configured_in_the_declared_files_only(node: Client) -> None:
    """No file of a node sets DNS servers or domains but the declared ones.

    Delete the file, or declare it in `configured_in`; global servers of several files are merged, and take the place of
    a routing domain's own.
    """
    settings = await resolver_settings(node)
    if unread := await resolver_managers(node):
        note(f"runs there, may set servers too, and its files were not looked at: {', '.join(unread)}")
    assert {file: lines for file, lines in settings.items() if file not in node.how.configured_in} == {}


@invariant("dns-no-hosts-pin", witness="getent goes through the hosts file too")
async def test_no_hosts_file_pins_a_name_of_the_site(node: Client, dns: Dns) -> None:
    """No hosts file of a node has an address for a name in the site's zones, save loopback for its own name.

    Delete the line (and in cloud-init's template), and let DNS answer: a pin is right until the address moves, and
    hides a broken resolver until then.
    """
    entries = await witnessed(
        hosts_entries(node),
        hosts_database(node),
        agrees=lambda entries, database: same_pins(entries, database, dns),
        means="getent finds entries of the site's zones there that were not read",
    )
    assert [e for e in entries if not e.address.is_loopback and any(map(dns.has, e.names))] == []


def same_pins(entries: tuple[HostsEntry, ...], database: Database, dns: Dns) -> bool:
    """Whether getent has no entry of the site's zones that is not among these."""
    read = {(entry.address, name) for entry in entries for name in entry.names}
    return {(address, name) for address, names in database for name in names if dns.has(name)} <= read


ONE_READING = "one file, read by one tool; what comes of it is dns-split-answer's"


@invariant("dns-nsswitch", gate=False, severity="medium", unwitnessed_because=ONE_READING)
async def test_names_are_looked_up_in_the_declared_order(node: Client) -> None:
    """nsswitch.conf asks the declared sources for a name, in their order.

    Write the declared `hosts:` line into /etc/nsswitch.conf. Programs in Go (containerd, kubelet) read it too, and then
    ask the servers of resolv.conf themselves.
    """
    assert await lookup_order(node) == node.how.lookup_order


@invariant("dns-resolvconf-target", gate=False, severity="medium", unwitnessed_because=ONE_READING)
async def test_resolv_conf_is_the_declared_file(node: Client) -> None:
    """/etc/resolv.conf is the declared file, and lists no more servers than glibc reads, which is three.

    Link /etc/resolv.conf to the declared file again; whoever replaced it (dhclient, a VPN, a container's entrypoint)
    will do so again.
    """
    seen = await resolv_conf(node)
    assert seen.path == node.how.resolv_conf
    assert len(seen.servers) <= 3


@invariant(
    "dns-fleet-parity",
    gate=False,
    severity="medium",
    follows=("dns-no-dropins", "dns-secondary-policy", "dns-nsswitch", "dns-resolvconf-target", "mtu-node"),
    unwitnessed_because="what hosts say of themselves, by one tool for each trait",
)
async def test_nodes_of_a_fleet_ask_alike(fleet: Fleet) -> None:
    """Hosts that are meant to be alike do not differ in anything that decides about names, nor in their MTU.

    Give the outlier what the others have: the next incident is on the node that was built at another time.
    """
    answers = await each({(host, trait): ask for host in fleet.hosts for trait, ask in traits(host).items()})
    usual = {trait: most_common([a for (_, of), a in answers.items() if of == trait]) for _, trait in answers}
    seen = {f"{host}: {trait}": answer for (host, trait), answer in answers.items()}
    assert seen == {f"{host}: {trait}": usual[trait] for host, trait in answers}


def traits(host: str) -> dict[str, Ask[str]]:
    """What decides about names on a host, each as a text to compare."""
    return {
        "servers": resolver_servers(host).then(shown),
        "lookup order": lookup_order(host),
        "resolv.conf": resolv_conf(host).then(lambda seen: seen.path),
        "resolved": resolved_settings(host).then(shown),
        "MTU": link_towards(host, SOMEWHERE).then(lambda way: str(way.link.mtu)),
    }


def most_common(answers: list[str]) -> str:
    """The first of the answers that are there most often."""
    return max(answers, key=answers.count)
