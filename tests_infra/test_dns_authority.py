"""The way of an answer: from the authority, which follows the ingress, through the edge's resolver."""

from siteproof.asks import note, total, uniform
from siteproof.asks.words import Address
from siteproof.facts.dns import Asker, Dns, Ingress, Name, Resolving, Zone
from siteproof.invariants import Defaults
from siteproof.probes.names.dig import each_way, replies
from siteproof.probes.names.dns import Reply, dns_reply
from siteproof.probes.names.unbound import unbound_forwards
from siteproof.probes.path.ip import host_addresses

# Nobody has a host of this name; who gets an answer for it gets one for everything.
NOBODY = "siteproof-no-such-host"

invariant = Defaults(family="dns", severity="high", incident="image pulls rode the public hairpin", gate=True)


@invariant("dns-edge-override", also=("dns-pfsense-override",), severity="critical")
async def test_edge_forwards_the_zone_to_its_authority(edge: Resolving, zone: Zone, dns: Dns) -> None:
    """The edge's resolver answers on every segment, and forwards the site's zone to the authority's servers.

    Forward the site's zone to its authority servers (pfSense: Services, DNS Resolver, Domain Overrides) and reload
    unbound; a host override there is a pin like any other.
    """
    authority = dns_reply(edge, zone.name, at=dns.authority.servers[0], kind="SOA")
    general = await each_way(replies(edge, dns.control_name, dns.edge.addresses, control=authority))
    assert {way: reply and reply.rcode for way, reply in general.items()} == uniform(general, "NOERROR")
    forwards = await unbound_forwards(edge)
    assert forwards.get(zone.name) == frozenset(dns.authority.servers)


@invariant("dns-rebind-strip")
async def test_rebind_protection_lets_the_sites_own_names_pass(edge: Resolving, name: Name, dns: Dns) -> None:
    """Where the authority has an address for a name, the edge's resolver does not answer with none.

    Except the site's zone from the rebind protection (unbound: `private-domain`; pfSense: DNS Rebind Check).
    """
    control = dns_reply(edge, dns.control_name, at=dns.edge.addresses[0])
    authority = replies(edge, name.name, dns.authority.servers, control=control)
    resolver = replies(edge, name.name, dns.edge.addresses, control=control)
    answers = await each_way(authority | resolver)
    there = [way for way in authority if (reply := answers.get(way)) and reply.addresses]
    empty = [way for way in resolver if (reply := answers.get(way)) and reply.empty]
    stripped = empty if there else []
    assert stripped == []


@invariant("dns-authority-up")
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


@invariant("dns-authority-auto", follows=("dns-authority-up",))
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


@invariant("dns-authority-apex", severity="critical", follows=("dns-authority-up",))
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
