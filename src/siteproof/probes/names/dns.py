"""DNS asked directly: one server, one name, over TCP from the host itself (dnspython through the SSH connection)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from siteproof.asks import (
    ADDRESS,
    HOST_NAME,
    RECORD_TYPE,
    Ask,
    Host,
    Output,
    Single,
    Stream,
    bounded,
    controlled,
    name_of,
)
from siteproof.asks.words import Address, Word
from siteproof.errors import Unparseable

Kind = Literal["A", "AAAA", "SOA"]
LONGEST_REPLY = 16 << 10
"""Bytes: a thousand addresses. Names of a message may lead to each other, so that reading it may take its square."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server says to one question."""

    rcode: str
    """NOERROR, NXDOMAIN, SERVFAIL, …"""
    authoritative: bool
    aliases: tuple[str, ...]
    """The CNAMEs that lead on from the name that was asked, in order."""
    addresses: frozenset[Address]
    serial: int | None = None
    """The zone's, where its SOA was asked for."""
    unfinished: str = ""
    """Why this is no more than half an answer, and the server looks no further; else empty."""

    def __str__(self) -> str:
        said = [self.rcode, "authoritative" if self.authoritative else "", *self.aliases]
        said += [str(address) for address in sorted(self.addresses, key=str)]
        said += [] if self.serial is None else [f"serial {self.serial}"]
        return ", ".join(filter(None, said))

    @property
    def empty(self) -> bool:
        """The name is there, and has no address."""
        return self.rcode == "NOERROR" and not self.addresses


def dns_reply(host: Host, name: str, *, at: Address, kind: Kind = "A") -> Ask[Reply]:
    """What the server `at` says to `host` about `name`, whatever its rcode. Raises Unanswered if nobody does."""
    words = {"name": HOST_NAME(name), "type": RECORD_TYPE(kind)}
    asked = question(host, f"DNS {kind} {name} at {at}", at=at, words=words)
    return Single(asked, bounded(lambda output: parse(output, name, kind), LONGEST_REPLY))


def question(host: Host, probe: str, *, at: Address, words: Mapping[str, Word]) -> Stream:
    """What `host` asks the server `at` over TCP: `name`, `type` and, unless it is IN, `class`."""
    return Stream(
        host=name_of(host),
        probe=probe,
        deadline_s=8,
        probe_class="sends",
        address=ADDRESS(at).text,
        port=53,
        protocol="dns",
        # A server that has too many connections closes some, and expects to be asked again (RFC 7766, 6.2.4).
        retries=2,
        parameters=tuple((name, word.text) for name, word in words.items()),
    )


def dns_addresses(
    host: Host, name: str, *, at: Address, control: str, kind: Literal["A", "AAAA"] = "A"
) -> Ask[frozenset[Address]]:
    """The addresses that the server `at` gives to `host` for `name`, CNAMEs followed; empty if it has none.

    `control` is a name with an IPv4 address that this server must know, or an empty answer is NoControl.
    """
    return controlled(
        dns_reply(host, name, at=at, kind=kind).then(told),
        dns_reply(host, control, at=at).then(told),
        silent=lambda found: not found,
        seen=bool,
        proves=f"{at} has no address for {control} either",
    )


def told(reply: Reply) -> frozenset[Address]:
    """The addresses of a reply. SERVFAIL and REFUSED say that this server will not tell, not what the name is."""
    if reply.rcode not in ("NOERROR", "NXDOMAIN") or reply.unfinished:
        raise Unparseable(f"the server does not tell: {reply.unfinished or reply.rcode}")
    return reply.addresses


def parse(output: Output, name: str, kind: Kind) -> Reply:
    """Raises Unparseable for anything but a whole reply to the question about `name`."""
    # dnspython takes long to import, and is of no use to who only looks.
    from siteproof.probes.names.message import of_wire, read

    return read(of_wire(output.stdout), name, kind)
