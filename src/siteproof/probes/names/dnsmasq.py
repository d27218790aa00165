"""dnsmasq: where it forwards a zone, and what it answers itself, by the command line and the files that it runs with.

It has nothing that tells its configuration. What it read when it started is still what stands in its files where none
of these is newer; hosts files and servers files it reads again when it is told to, and nobody knows when that was.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from importlib import resources
from ipaddress import ip_address

from siteproof.asks import HOST_NAME, LINE, SMALL, Ask, Host, Output, Single, bounded, command
from siteproof.asks.words import CHAOS_CLASS, TEXT_TYPE, Address
from siteproof.errors import NoControl, Unparseable
from siteproof.probes.common.sections import Sections, split
from siteproof.probes.names.dns import question
from siteproof.probes.names.dnsmasq_files import DOMAINS, SETTINGS, configured
from siteproof.probes.names.forms import in_any_encoding
from siteproof.probes.names.forwarding import Forwarding
from siteproof.probes.names.listening import TOOLS, answering, sockets

VERSION = {"dnsmasq": "dnsmasq --version"}

_SCRIPT = resources.files(__package__).joinpath("listening.sh").read_text()
_TICKS = 100


@dataclass(frozen=True, slots=True)
class Port53:
    """Who answers at a router's addresses; and where that is dnsmasq, what it does with a zone."""

    program: str
    dnsmasq: Forwarding | None = None


def port_53(router: Host, zone: str, addresses: Collection[Address]) -> Ask[Port53]:
    """Which program on `router` answers at all `addresses`; of dnsmasq, what it does with `zone`.

    Raises NoControl where it cannot be told who that is, or with what dnsmasq runs.
    """
    own = HOST_NAME(zone).text.replace(".", r"\.")
    about = rf"(([^/]*\.)?{own}\.?|#|\*[^/]*)"
    rest = rf"({'|'.join(SETTINGS.split())})[[:space:]]*(=|#|$)"
    bulk = rf"({'|'.join(DOMAINS.split())})[[:space:]]*=[[:space:]]*([^/\"[:space:]]|.*/{about}(/|$))"
    return command(
        router,
        _SCRIPT,
        probe=f"who listens on port 53, and dnsmasq's files about {zone}",
        parse=lambda output: parse(output, zone, addresses),
        given={
            "settings": LINE(rf"^[[:space:]]*({rest}|{bulk})"),
            "names": LINE(rf"^[^#]*[[:space:]](([^[:space:]#]*\.)?{own}\.?|[^.[:space:]#]+)([[:space:]#]|$)"),
        },
        tools=(),
        may_use=(*TOOLS, "cat", "date", "dnsmasq", "grep", "sed", "sort", "stat", "tr"),
        root=True,
    )


def parse(output: Output, zone: str, addresses: Collection[Address]) -> Port53:
    of_files = ("settings ", "hosts ", "leases ", "directory ", "nothing ", "closed ")
    who = tuple(f"listening {tool}" for tool in TOOLS)
    sections = split(in_any_encoding(output.text), who, "now", ("process ", *of_files))
    (tool,) = (tool for tool in TOOLS if f"listening {tool}" in sections)
    processes = answering(sockets(sections[f"listening {tool}"], tool), addresses)
    if processes[0].name != "dnsmasq":
        return Port53(processes[0].name)
    main = _the_parent(sections, {process.pid for process in processes})
    return Port53("dnsmasq", configured(sections, main.arguments, main.started, zone))


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    parent: int
    started: float
    """Seconds since the epoch."""
    arguments: tuple[str, ...]


def _the_parent(sections: Sections, pids: Collection[int]) -> _Process:
    """Of those that listen, the one that the others are children of, which serve a connection each."""
    shown = [_process(sections, pid) for pid in pids if f"process {pid}" in sections]
    mains = [process for process in shown if process.parent not in pids]
    if len(mains) != 1:
        raise NoControl(f"{len(mains)} processes of dnsmasq listen there, and not one: {sorted(pids)}")
    return mains[0]


def _process(sections: Sections, pid: int) -> _Process:
    now, own = sections["now"].strip().split("\n")
    stat, mounts, *arguments = sections[f"process {pid}"].split("\n")
    if mounts != "the same mounts":
        raise NoControl(
            f"the dnsmasq that listens there (process {pid}) has mounts of its own, as in a container or a sandbox, so "
            "that it may see other files"
        )
    age = (_numbers(own, None)[1] - _numbers(stat, pid)[1]) / _TICKS
    # The last argument ends as the others do.
    return _Process(pid, _numbers(stat, pid)[0], int(now) - age, tuple(arguments))


def _numbers(stat: str, pid: int | None) -> tuple[int, int]:
    """The parent, and when it was started, in ticks since the kernel was."""
    found = re.fullmatch(r"(\d+) \(.{1,64}\) [A-Z] ([\d -]+)", stat)
    numbers = found[2].split() if found else []
    if found is None or len(numbers) < 45 or pid not in (None, int(found[1])):
        raise Unparseable(f"not /proc/{pid or 'self'}/stat: {stat[:200]!r}")
    return int(numbers[0]), int(numbers[18])


def upstreams(router: Host, at: Address) -> Ask[frozenset[Address] | None]:
    """The servers that the dnsmasq at `at` forwards to, of whatever zone, as it says itself (`servers.bind`).

    None where it does not say (`no-ident`). Raises Unanswered if nobody answers.
    """
    words = {"class": CHAOS_CLASS("CH"), "name": HOST_NAME("servers.bind"), "type": TEXT_TYPE("TXT")}
    asked = question(router, f"DNS CH TXT servers.bind at {at}", at=at, words=words)
    return Single(asked, bounded(parse_upstreams, SMALL))


def parse_upstreams(output: Output) -> frozenset[Address] | None:
    """`"10.0.20.201#53 5 0"`, a text for each server: how much was asked, and how much in vain."""
    # As in dns.py: only who asks needs dnspython.
    from siteproof.probes.names.message import of_wire, texts

    said = texts(of_wire(output.stdout), "servers.bind")
    if said is None:
        return None
    found = [re.fullmatch(r"([0-9a-fA-F:.]+)(?:%\w+)?#\d+ \d+ \d+", text) for text in said]
    if None in found:
        raise Unparseable(f"dnsmasq tells its servers in another way: {said}")
    return frozenset(ip_address(one[1]) for one in found if one)
