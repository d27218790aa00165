"""ss, netstat or sockstat: which program answers on port 53, at the addresses where a site's resolver is to listen."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from siteproof.asks.words import Address
from siteproof.errors import NoControl, Unparseable

TOOLS = ("ss", "netstat", "sockstat")

_LINES = {
    "ss": re.compile(r"(?P<protocol>tcp|udp) +\S+ +\d+ +\d+ +(?P<at>\S+):53 +\S+ *(?:users:\((?P<who>.+)\))? *"),
    "netstat": re.compile(r"(?P<protocol>tcp|udp)6? +\d+ +\d+ +(?P<at>\S+):53 +\S+ +(?:LISTEN +)?(?P<who>-|\d+/.+?) *"),
    "sockstat": re.compile(r"\S+ +(?P<who>\S+ +\d+) +\d+ +(?P<protocol>tcp|udp)[46]+ +(?P<at>\S+):53 +\S+ *"),
}
_TO_SOMEBODYS = re.compile(r"\S+ +\S+ +\d+ +\d+ +(?:tcp|udp)[46]+ +\S+ +\S+:53")
"""A connection to another host's port 53, which sockstat shows too."""
_WHO = {
    "ss": re.compile(r'\("(?P<name>(?:[^"\\]|\\.)+)",pid=(?P<pid>\d+),fd=\d+\)'),
    "netstat": re.compile(r"(?P<pid>\d+)/(?P<name>[^\s:]+).*"),
    "sockstat": re.compile(r"(?P<name>\S+) +(?P<pid>\d+)"),
}
_EVERYWHERE = {4: frozenset({"0.0.0.0", "*"}), 6: frozenset({"[::]", "::", "*"})}  # what is read  # noqa: S104  # nosec B104


@dataclass(frozen=True, slots=True)
class Process:
    name: str
    """As the kernel shows it, cut after 15 letters."""
    pid: int


@dataclass(frozen=True, slots=True)
class Socket:
    protocol: str
    at: str
    processes: tuple[Process, ...]

    def is_exactly_at(self, address: Address) -> bool:
        try:
            return ip_address(self.at.partition("%")[0].strip("[]")) == address
        except ValueError:
            return False

    def is_everywhere(self, address: Address) -> bool:
        return self.at in _EVERYWHERE[address.version]


def sockets(text: str, tool: str) -> list[Socket]:
    """Those on port 53 of what `tool` prints. Raises Unparseable for a line that is none of it."""
    return list(_sockets(text, tool))


def _sockets(text: str, tool: str) -> Iterator[Socket]:
    for line in filter(None, map(str.rstrip, text.splitlines())):
        if (found := _LINES[tool].fullmatch(line)) is None:
            if tool != "sockstat" or not _TO_SOMEBODYS.fullmatch(line):
                raise Unparseable(f"not a line of {tool}: {line[:200]!r}")
            continue
        told = [Process(who["name"], int(who["pid"])) for who in _WHO[tool].finditer(found["who"] or "")]
        yield Socket(found["protocol"], found["at"], tuple(dict.fromkeys(told)))


def answering(found: Collection[Socket], addresses: Collection[Address]) -> tuple[Process, ...]:
    """The processes of the one program that answers at all `addresses`, over TCP and over UDP.

    Who listens at an address goes before who listens at all of them. Raises NoControl where nobody does, where it is
    not told who, or where it is not one program everywhere: then nobody knows whom to ask.
    """
    everybody: dict[Process, None] = {}
    for address in addresses:
        for protocol in ("tcp", "udp"):
            there = [socket for socket in found if socket.protocol == protocol]
            holding = [socket for socket in there if socket.is_exactly_at(address)]
            holding = holding or [socket for socket in there if socket.is_everywhere(address)]
            where = f"{address} port 53 over {protocol.upper()}"
            if not holding:
                raise NoControl(f"no process listens at {where}, so whoever answers there is not on this host")
            if not all(socket.processes for socket in holding):
                raise NoControl(f"it is not told which process listens at {where}")
            everybody |= dict.fromkeys(process for socket in holding for process in socket.processes)
    # systemd holds the socket that it has passed on.
    handed_on = [p for p in everybody if (p.name, p.pid) != ("systemd", 1)]
    if len(names := sorted({process.name for process in handed_on})) != 1:
        raise NoControl(f"it is not one program that listens at these addresses: {', '.join(names) or 'systemd'}")
    return tuple(handed_on)
