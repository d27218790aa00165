"""DNS asked directly: one server, one name, over TCP from the host itself (dnspython through the SSH connection)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from siteproof.asks import Ask, Output, Single, Stream, controlled
from siteproof.errors import Unparseable

# SERVFAIL and REFUSED say that this server will not tell, not what the name is.
ANSWERS = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)


def dns_addresses(host: str, name: str, *, at: IPv4Address | IPv6Address, control: str) -> Ask[frozenset[IPv4Address]]:
    """The IPv4 addresses that the server `at` gives to `host` for `name`, CNAMEs followed; empty if it has none.

    `control` is a name that this server must answer, or an empty answer is NoControl.
    """
    return controlled(
        _query(host, name, at),
        _query(host, control, at),
        silent=lambda found: not found,
        seen=bool,
        proves=f"{at} has no address for {control} either",
    )


def _query(host: str, name: str, at: IPv4Address | IPv6Address) -> Ask[frozenset[IPv4Address]]:
    question = Stream(
        host=host,
        probe=f"DNS A {name} at {at}",
        deadline_s=8,
        probe_class="sends",
        address=str(at),
        port=53,
        protocol="dns",
        parameters=(("name", name), ("type", "A")),
    )
    return Single(question, lambda output: parse(output, name))


def parse(output: Output, name: str) -> frozenset[IPv4Address]:
    """Raises Unparseable for anything but a complete answer to the question about `name`."""
    try:
        reply = dns.message.from_wire(output.stdout)
        asked = (dns.name.from_text(name), dns.rdataclass.IN, dns.rdatatype.A)
        if not isinstance(reply, dns.message.QueryMessage) or reply.flags & dns.flags.TC:
            raise Unparseable("not a whole reply to a DNS query")
        if [(q.name, q.rdclass, q.rdtype) for q in reply.question] != [asked]:
            raise Unparseable(f"the reply is not about {name}")
        if reply.rcode() not in ANSWERS:
            raise Unparseable(f"the server does not answer for {name}: {dns.rcode.to_text(reply.rcode())}")
        # Refuses a query that came back, and addresses of a name that does not exist.
        chain = reply.resolve_chaining()
    except (dns.exception.DNSException, ValueError) as error:
        raise Unparseable(f"not a DNS reply: {error or type(error).__name__}") from error
    if chain.answer is None and reply.rcode() == dns.rcode.NOERROR:
        _refuse_half_an_answer(reply, chain, name)
    return frozenset(IPv4Address(item.address) for item in chain.answer or ())


def _refuse_half_an_answer(reply: dns.message.QueryMessage, chain: dns.message.ChainingResult, name: str) -> None:
    """Nothing was found: that is an answer only of a server that looked for all of it."""
    authorities = {record.rdtype for record in reply.authority}
    if dns.rdatatype.SOA in authorities or reply.flags & dns.flags.RA:
        return
    if dns.rdatatype.NS in authorities:
        raise Unparseable(f"the server does not answer for {name}: it refers to others")
    if chain.cnames:
        raise Unparseable(f"the server says that {name} is an alias of {chain.canonical_name}, and no more")
