"""What programs on a host get for a name, and whether anybody says so now.

A name service cache (nscd, sssd), a wrapper around getent or a resolver that holds on to what it knew gives yesterday's
answer, and yesterday's control with it. So the servers that the host asks are asked themselves, over TCP and over UDP,
by other tools; and the hosts file is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from siteproof.asks import Ask, Host, Question, Recorded, witnessed
from siteproof.asks.words import Address
from siteproof.errors import ProbeError
from siteproof.probes.names.dig import addresses
from siteproof.probes.names.forms import in_one_form
from siteproof.probes.names.getent import Service, getent_addresses
from siteproof.probes.names.name_files import HostsEntry, hosts_entries
from siteproof.probes.names.resolved import Asked

Addresses = frozenset[Address]


@dataclass(frozen=True, slots=True)
class Sources:
    """What the sources of a host's answers say now."""

    pinned: Addresses
    """In /etc/hosts."""
    told: tuple[Addresses, ...]
    """What each server says that decides; none where nobody answers, or one says this over TCP and that over UDP."""

    def explain(self, answer: Addresses, *, hosts_file_first: bool) -> bool:
        """Whether programs can have got `answer` from there now.

        Where several servers decide (resolved with several links), one that has no address leaves it to the others.
        """
        if self.pinned and answer and answer <= self.pinned:
            return True
        if self.pinned and hosts_file_first:
            return False
        return bool(self.told) and {answer} == ({said for said in self.told if said} or {frozenset()})


def program_addresses(
    host: Host,
    name: str,
    *,
    asked: Asked,
    control: str,
    right: Addresses,
    only: Service | None = None,
    ipv6: bool = False,
) -> Ask[Addresses]:
    """`getent_addresses`, of which the `right` answer counts only if a server that `host` asks gives it now.

    Or its hosts file; otherwise NoControl. What is wrong needs nobody to say it once more. `asked` is who is asked
    there (see `asked_servers`), `control` as for `getent_addresses`.
    """
    got = getent_addresses(host, name, control=control, only=only, ipv6=ipv6)
    return witnessed(
        got,
        _sources(host, name, asked, control, ipv6),
        agrees=lambda answer, sources: answer != right or sources.explain(answer, hosts_file_first=only is None),
        means="neither the servers that are asked nor the hosts file give it now, so a cache or a wrapper may have it",
    )


def explained(host: Host, name: str, *, asked: Asked, control: str) -> Ask[Addresses]:
    """What programs get from DNS, right or wrong, if the servers that are said to be asked there give it now.

    Otherwise NoControl: then others are asked, or answer in their place.
    """
    got = Several(
        {
            "dns": getent_addresses(host, name, control=control, only="dns"),
            "all": getent_addresses(host, name, control=control),
        }
    )
    return witnessed(
        got.then(lambda heard: next(iter(heard.items()))),
        _sources(host, name, asked, control, ipv6=False),
        agrees=lambda answer, sources: sources.explain(answer[1], hosts_file_first=answer[0] == "all"),
        means="other servers are asked there than those it lists, or somebody answers in their place",
    ).then(lambda answer: answer[1])


def _sources(host: Host, name: str, asked: Asked, control: str, ipv6: bool) -> Ask[Sources]:
    about = asked.about(name)
    ways = {
        (server, way): ask
        for servers in about
        for server in sorted(servers, key=str)
        for way, ask in addresses(host, name, [server], control=control, kind="AAAA" if ipv6 else "A").items()
    }
    return Gathered(hosts_entries(host), Several(ways), name, about, ipv6)


@dataclass(frozen=True, eq=False)
class Several(Ask[Mapping[Any, Any]]):
    """The answers that came of several asks; raises the first ProbeError if none did."""

    asks: Mapping[Any, Ask[Any]]

    @property
    def questions(self) -> tuple[Question, ...]:  # type: ignore[override]
        return tuple(question for ask in self.asks.values() for question in ask.questions)

    def read(self, recorded: Callable[[Question], Recorded]) -> Mapping[Any, Any]:
        found: dict[Any, Any] = {}
        errors = []
        for key, ask in self.asks.items():
            try:
                found[key] = ask.read(recorded)
            except ProbeError as error:
                errors.append(error)
        if errors and not found:
            raise errors[0]
        return found


@dataclass(frozen=True, eq=False)
class Gathered(Ask[Sources]):
    """The hosts file, and the first of the servers that answer."""

    entries: Ask[tuple[HostsEntry, ...]]
    ways: Several
    name: str
    about: tuple[frozenset[Address], ...]
    ipv6: bool

    @property
    def questions(self) -> tuple[Question, ...]:  # type: ignore[override]
        return (*self.entries.questions, *self.ways.questions)

    def read(self, recorded: Callable[[Question], Recorded]) -> Sources:
        entries = self.entries.read(recorded)
        name, version = in_one_form(self.name), 6 if self.ipv6 else 4
        own = (e.address for e in entries if e.file == "/etc/hosts" and name in e.names)
        pinned = frozenset(address for address in own if address.version == version)
        try:
            said = self.ways.read(recorded)
        except ProbeError:
            if not pinned:
                raise
            said = {}
        for servers in self.about:
            heard = [(server, a) for (server, _), a in said.items() if server in servers and isinstance(a, frozenset)]
            answers = {server: {answer for of, answer in heard if of == server} for server, _ in heard}
            if answers:
                torn = any(len(own) > 1 for own in answers.values())
                return Sources(pinned, () if torn else tuple(answer for own in answers.values() for answer in own))
        return Sources(pinned, ())
