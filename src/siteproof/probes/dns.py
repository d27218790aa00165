"""DNS asked directly: one server, one name, over TCP from the host itself (dnspython through the SSH connection)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import dns.exception
import dns.message
import dns.name
import dns.rcode
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
    except (dns.exception.DNSException, ValueError) as error:
        raise Unparseable(f"not a DNS message: {error or type(error).__name__}") from error
    asked = dns.name.from_text(name)
    if not (reply.question and reply.question[0].name == asked and reply.question[0].rdtype == dns.rdatatype.A):
        raise Unparseable(f"the reply is not about {name}")
    if reply.rcode() not in ANSWERS:
        raise Unparseable(f"the server does not answer for {name}: {dns.rcode.to_text(reply.rcode())}")
    found: set[IPv4Address] = set()
    for record in reply.answer:
        if record.rdtype == dns.rdatatype.A:
            found.update(IPv4Address(item.address) for item in record)
    return frozenset(found)
