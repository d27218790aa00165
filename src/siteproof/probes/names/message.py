"""A DNS message, read with dnspython: as it came, or as dig prints it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from siteproof.errors import Unparseable
from siteproof.probes.names.dns import Kind, Reply


def of_wire(wire: bytes) -> dns.message.Message:
    """The message that came, or Unparseable."""
    try:
        return dns.message.from_wire(wire)
    except (dns.exception.DNSException, ValueError) as error:
        raise Unparseable(f"not a DNS message: {error or type(error).__name__}") from error


@dataclass(frozen=True)
class Record:
    """A record as it is written in a zone: `www.example. 60 IN A 192.0.2.1`."""

    name: str
    ttl: int
    kind: str
    data: str


def of_words(
    rcode: str, flags: str, asked: tuple[str, str], answer: Sequence[Record], authority: Sequence[Record]
) -> dns.message.Message:
    """The message of which a tool says this. `flags` stand one behind the other: `qr aa`; `asked`: a name, a type."""
    message = dns.message.QueryMessage()
    message.flags = dns.flags.from_text(flags.upper())
    message.set_rcode(dns.rcode.from_text(rcode))
    name, kind = dns.name.from_text(asked[0]), dns.rdatatype.from_text(asked[1])
    message.question = [dns.rrset.RRset(name, dns.rdataclass.IN, kind)]
    for section, records in ((message.answer, answer), (message.authority, authority)):
        for record in records:
            owner = dns.name.from_text(record.name)
            found = dns.rrset.from_text(owner, record.ttl, "IN", record.kind, record.data)
            known = message.find_rrset(section, owner, found.rdclass, found.rdtype, create=True)
            known.update(found)  # type: ignore[no-untyped-call]
    return message


def read(message: dns.message.Message, name: str, kind: Kind) -> Reply:
    """What a message says. Raises Unparseable for all but a whole reply to the question about `name`."""
    asked = (dns.name.from_text(name), dns.rdataclass.IN, dns.rdatatype.from_text(kind))
    if not isinstance(message, dns.message.QueryMessage) or message.flags & dns.flags.TC:
        raise Unparseable("not a whole reply to a DNS query")
    if [(q.name, q.rdclass, q.rdtype) for q in message.question] != [asked]:
        raise Unparseable(f"the reply is not about {name}")
    try:
        # Refuses a query that came back, and records of a name that does not exist.
        chain = message.resolve_chaining()
    except dns.exception.DNSException as error:
        raise Unparseable(f"not a DNS reply: {error or type(error).__name__}") from error
    records = list(chain.answer or ())
    return Reply(
        rcode=dns.rcode.to_text(message.rcode()),
        authoritative=bool(message.flags & dns.flags.AA),
        aliases=tuple(alias[0].target.to_text(omit_final_dot=True).lower() for alias in chain.cnames),
        addresses=frozenset(ip_address(r.address) for r in records if kind != "SOA"),
        serial=next((r.serial for r in records if kind == "SOA"), None),
        unfinished=_half_an_answer(message, chain) if not records else "",
    )


def _half_an_answer(reply: dns.message.QueryMessage, chain: dns.message.ChainingResult) -> str:
    """Nothing was found: that is an answer only of a server that looked for all of it."""
    authorities = {record.rdtype for record in reply.authority}
    if dns.rdatatype.SOA in authorities or reply.flags & dns.flags.RA or reply.rcode() != dns.rcode.NOERROR:
        return ""
    if dns.rdatatype.NS in authorities:
        return "it refers to other servers"
    return f"an alias of {chain.canonical_name}, and no more" if chain.cnames else ""


def texts(message: dns.message.Message, name: str) -> list[str] | None:
    """The texts that a server has of a name of the class CHAOS; None where it has none, or will not tell."""
    asked = (dns.name.from_text(name), dns.rdataclass.CH, dns.rdatatype.TXT)
    if not isinstance(message, dns.message.QueryMessage) or message.flags & dns.flags.TC:
        raise Unparseable("not a whole reply to a DNS query")
    if not message.flags & dns.flags.QR or [(q.name, q.rdclass, q.rdtype) for q in message.question] != [asked]:
        raise Unparseable(f"the reply is not about {name}")
    if not message.answer:
        return None
    return [text.decode("ascii", "replace") for r in message.answer for record in r for text in record.strings]
