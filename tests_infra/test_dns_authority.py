"""The way of an answer: from the authority, which follows the ingress, through the edge's resolver."""

from ipaddress import IPv4Address

from siteproof.asks import Ask, note, total, uniform, witnessed
from siteproof.asks.words import Address
from siteproof.errors import NoControl
from siteproof.facts.dns import Asker, Dns, Ingress, Name, Resolving, Zone, in_zone
from siteproof.invariants import Defaults
from siteproof.probes.names.dig import Nothing, each_way, replies
from siteproof.probes.names.dns import Reply, dns_reply
from siteproof.probes.names.edge_resolver import edge_forwarding
from siteproof.probes.names.kernel import kernel_addresses
from siteproof.probes.path.ip import host_addresses

# Nobody has a host of this name; who gets an answer for it gets one for everything.
NOBODY = "siteproof-no-such-host"

invariant = Defaults(family="dns", severity="high", incident="image pulls rode the public hairpin", gate=True)

BOTH_WAYS = "dig or drill over UDP, beside the answer over TCP"


@invariant(
    "dns-edge-override",
    also=("dns-pfsense-override",),
    severity="critical",
    witness="what names answer there and at the authority, over TCP and UDP, beside what the resolver is told to do",
)
async def test_edge_forwards_the_zone_to_its_authority(edge: Resolving, zone: Zone, dns: Dns) -> None:
    """The edge's resolver answers on every segment, and for the site's zone what the authority says, by asking it.

    Forward the site's zone to its authority servers (pfSense: Services, DNS Resolver, Domain Overrides; dnsmasq:
    `server=/home.example/10.0.20.201`) and restart the resolver; take away what answers in front of the forward
    (unbound: local-zone, local-data; dnsmasq: `address=`, `local=`, a hosts file; any host override): it is a pin like
    any other.
    """
    authority = dns_reply(edge, zone.name, at=dns.authority.servers[0], kind="SOA")
    general = await each_way(replies(edge, dns.control_name, dns.edge.addresses, control=authority))
    assert {way: reply and reply.rcode for way, reply in general.items()} == uniform(general, "NOERROR")
    assert await not_the_authoritys(edge, zone, dns) == {}
    own = await edge_forwarding(edge, zone.name, dns.edge.addresses)
    names = [zone.name, *(name.name for name in dns.names_in(zone))]
    assert {n: kind for n, kind in own.hiding.items() if n == "." or any(in_zone(name, n) for name in names)} == {}
    assert {name: own.records[name] for name in names if name in own.records} == {}
    if others := own.records.keys() - set(names):
        note(f"the resolver has records of its own in the zone: {', '.join(sorted(others))}")
    for remark in own.remarks:
        note(remark)
    assert own.forwards == frozenset(dns.authority.servers)
    if own.doubt:
        raise NoControl(own.doubt)


async def not_the_authoritys(edge: Resolving, zone: Zone, dns: Dns) -> dict[str, Reply]:
    """What the edge's resolver says of declared names and no server of the authority does, by name and way.

    But for names that it passes on without an address: that is `dns-rebind-strip`.
    """
    control = dns_reply(edge, dns.control_name, at=dns.edge.addresses[0])
    soa = dns_reply(edge, zone.name, at=dns.authority.servers[0], kind="SOA")
    asks = dict[tuple[str, str, str], Ask[Reply | Nothing | None]]()
    for name in map(str, dns.names_in(zone)):
        there = replies(edge, name, dns.authority.servers, control=control)
        asks |= {(name, "there", way): ask for way, ask in there.items()}
        asks |= {(name, "here", way): a for way, a in replies(edge, name, dns.edge.addresses, control=soa).items()}
    own = replies(edge, zone.name, dns.edge.addresses, kind="SOA", control=soa)
    asks |= {("SOA", "here", way): ask for way, ask in own.items()}
    said, strange = dict[str, list[frozenset[Address]]](), dict[str, Reply]()
    answers = {key: reply for key, reply in (await each_way(asks)).items() if reply}
    for (name, place, _), reply in answers.items():
        if place == "there":
            said.setdefault(name, []).append(reply.addresses)
    for (name, place, way), reply in answers.items():
        if place == "here" and name != "SOA" and not passed_on(reply, answers.get(("SOA", "here", way))):
            if name not in said:
                raise NoControl(f"no server of the authority tells {edge.host} what {name} is")
            # One by one: to a plan's stand-ins all are equal.
            known = any(reply.addresses == told for told in said[name])
            strange |= {} if known else {f"{name} at {way}": reply}
    return strange


def passed_on(reply: Reply, soa: Reply | None) -> bool:
    """Whether a resolver says that a name has no address, and not by its own word.

    dnsmasq passes on that the authority has spoken; who has the zone's serial forwards the zone.
    """
    return reply.empty and (not reply.authoritative or (soa is not None and soa.serial is not None))


@invariant("dns-rebind-strip", witness=BOTH_WAYS)
async def test_rebind_protection_lets_the_sites_own_names_pass(edge: Resolving, name: Name, dns: Dns) -> None:
    """Where the authority has an address for a name, the edge's resolver does not answer with none.

    Except the site's zone from the rebind protection (unbound: `private-domain`; dnsmasq: `rebind-domain-ok`; pfSense:
    DNS Rebind Check).
    """
    resolvers = [address for address in dns.edge.addresses if address not in dns.authority.servers]
    if len(resolvers) < len(dns.edge.addresses):
        note("an address of the edge is the authority's: what it answers there is its own word")
    control = dns_reply(edge, dns.control_name, at=dns.edge.addresses[0])
    authority = replies(edge, name.name, dns.authority.servers, control=control)
    resolver = replies(edge, name.name, resolvers, control=control)
    of_zone = replies(edge, dns.zone_of(name), resolvers, kind="SOA", control=control)
    soas = {f"{way}, of the zone": ask for way, ask in of_zone.items()}
    answers = await each_way(authority | resolver | soas)
    there = [reply for way in authority if (reply := answers.get(way))]
    stripped = [
        way for way in resolver if (reply := answers.get(way)) and passed_on(reply, answers.get(f"{way}, of the zone"))
    ]
    if stripped and not there:
        raise NoControl(f"no server of the authority answers whether {name} has an address")
    lost = stripped if any(reply.addresses for reply in there) else []
    assert lost == []


@invariant("dns-authority-up", witness=BOTH_WAYS)
async def test_every_server_of_the_authority_has_the_same_zone(asker: Asker, zone: Zone, dns: Dns) -> None:
    """Every server of the authority answers for the zone as its own, over TCP as over UDP, with the same serial.

    Bring the server back, or the zone to it. With one server left, its loss is the loss of every name; where serials
    differ, one of them answers with yesterday's addresses.
    """
    control = dns_reply(asker, dns.control_name, at=dns.edge.addresses[0])
    answers = await each_way(replies(asker, zone.name, dns.authority.servers, kind="SOA", control=control))
    newest = max((reply.serial or 0 for reply in answers.values() if reply), default=0)
    assert {way: str(reply) for way, reply in answers.items()} == uniform(
        answers, f"NOERROR, authoritative, serial {newest}"
    )


@invariant("dns-authority-auto", follows=("dns-authority-up",), witness=BOTH_WAYS)
async def test_declared_names_are_aliases_at_the_authority(asker: Asker, zone: Zone, dns: Dns) -> None:
    """At every server of the authority a declared name is the declared CNAME, and no wildcard answers for others.

    Make the missing record a CNAME of the declared name (or let what makes it from the ingress run again), and take a
    wildcard away: under it a missing host looks like one that is there.
    """
    control = dns_reply(asker, dns.control_name, at=dns.edge.addresses[0])
    declared = {name.name: name.alias_of for name in dns.names_in(zone) if name.alias_of}
    names = [*declared, f"{NOBODY}.{zone.name}"]
    asks = {name: replies(asker, name, dns.authority.servers, control=control) for name in names}
    answers = await each_way({(name, way): ask for name, ways in asks.items() for way, ask in ways.items()})
    seen = {f"{name} at {way}": leads_to(reply) for (name, way), reply in answers.items() if reply}
    assert seen == {f"{name} at {way}": declared.get(name) for (name, way), reply in answers.items() if reply}


def leads_to(reply: Reply) -> str | Address | None:
    """The alias that it gives, else an address; None for nothing."""
    return next(iter(reply.aliases or reply.addresses), None)


@invariant(
    "dns-authority-apex",
    severity="critical",
    follows=("dns-authority-up",),
    witness="dig or drill over UDP, beside the answer over TCP; the kernel's own table of local addresses beside ip",
)
async def test_what_names_are_aliases_of_is_at_the_ingress(
    asker: Asker, zone: Zone, ingress: Ingress, dns: Dns
) -> None:
    """What the site's names are aliases of has addresses at the authority that the ingress has now.

    Give the record the ingress's address of now; what keeps it so (a job, an operator) has stopped.
    """
    live = {a for found in (await total({h: host_addresses(h) for h in ingress.hosts})).values() for a in found}
    control = dns_reply(asker, dns.control_name, at=dns.edge.addresses[0])
    targets = {name.alias_of for name in dns.names_in(zone) if name.alias_of}
    asks = {target: replies(asker, target, dns.authority.servers, control=control) for target in targets}
    answers = await each_way({f"{t} at {way}": ask for t, ways in asks.items() for way, ask in ways.items()})
    stale = {where: r for where, r in answers.items() if r and not (r.addresses and r.addresses <= live)}
    if stale:
        note(f"the ingress has {', '.join(sorted(map(str, live)))}")
    assert stale == {}
    await total({h: sure_addresses(h) for h in ingress.hosts})


def sure_addresses(host: str) -> Ask[frozenset[IPv4Address]]:
    """The addresses of a host, where its kernel has no others."""
    return witnessed(
        host_addresses(host),
        kernel_addresses(host),
        agrees=lambda found, kernel: kernel <= found,
        means="the kernel also has addresses that ip does not show, or that are on their way out",
    )
