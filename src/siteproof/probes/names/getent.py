"""getent: what the host's own programs get for a name (glibc NSS: hosts file, resolved, DNS)."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Literal

from siteproof.asks import HOST_NAME, LOOKUPS, SMALL, Ask, Host, Output, command, controlled
from siteproof.asks.words import Address
from siteproof.errors import NoControl, ToolFailed, Unparseable
from siteproof.probes.common.sections import END, section, split, whole_number
from siteproof.probes.names.forms import in_any_encoding, in_one_form

VERSION = {"getent": "getent --version"}

Service = Literal["dns", "files"]

FOUND, NOT_FOUND = 0, 2
# getaddrinfo gives each address once for each of these; getent prints what it gives.
SOCKET_TYPES = frozenset({"STREAM", "DGRAM", "RAW"})
MUSL_SOCKET_TYPES = SOCKET_TYPES - {"RAW"}
"""musl's getaddrinfo knows no raw sockets."""


# `-s hosts:dns` would mean the service `dns` for the database `hosts`, which ahosts is not.
_TOOLS = {
    (only, ipv6): f"getent {f'-s {only} ' if only else ''}{'ahostsv6' if ipv6 else 'ahostsv4'}"
    for only in (None, "dns", "files")
    for ipv6 in (False, True)
}
_DATABASE = f"""\
{section("entries")}
getent hosts || exit
{END}"""
_SCRIPTS = {
    asked: f'{section("found")}\n{tool} "$name"\nstatus=$?\n{section("status")}\necho $status\n{END}'
    for asked, tool in _TOOLS.items()
}


def getent_addresses(
    host: Host, name: str, *, control: str, only: Service | None = None, ipv6: bool = False
) -> Ask[frozenset[Address]]:
    """The IPv4 (or IPv6) addresses of `name` as programs on `host` get them; empty if they get none.

    `only` asks one source of nsswitch.conf, where programs ask all of them in turn. `control` is a name with an IPv4
    address that must be found from there, or an empty answer is NoControl: getent says the same of a name that does
    not exist and of a resolver that does not answer.
    """
    return controlled(
        _ahosts(host, name, only, ipv6),
        _ahosts(host, control, only, False),
        silent=lambda found: not found,
        seen=bool,
        proves=f"{control} is not found either, so this resolver answers nothing at all",
    )


Database = tuple[tuple[Address, frozenset[str]], ...]


def hosts_database(host: Host) -> Ask[Database]:
    """The entries of the hosts file as getent goes through them: an address, and its names. It may leave out IPv6's.

    A file without `localhost` is not believed: NoControl.
    """
    return command(host, _DATABASE, probe="getent hosts", parse=parse_database, tools=("getent",))


def parse_database(output: Output) -> Database:
    """`10.0.20.203     forgejo.home.example forgejo`, one line for each entry."""
    lines = [line.split() for line in split(in_any_encoding(output.text), "entries")["entries"].splitlines()]
    found = tuple((ip_address(a.partition("%")[0]), frozenset(map(in_one_form, names))) for a, *names in lines)
    if not any("localhost" in names for _, names in found):
        raise NoControl("getent does not know localhost, so it did not go through the hosts file")
    return found


def _ahosts(host: Host, name: str, only: Service | None, ipv6: bool) -> Ask[frozenset[Address]]:
    return command(
        host,
        _SCRIPTS[only, ipv6],
        probe=f"{_TOOLS[only, ipv6]} {name}",
        parse=parse,
        at_most=SMALL,
        given={"name": HOST_NAME(name)},
        tools=("getent",),
        # resolved gives up on a dead server after 5 s and goes on to the next.
        deadline_s=12,
        waits_for=LOOKUPS,
    )


def parse(output: Output) -> frozenset[Address]:
    """`10.0.20.203     STREAM forgejo.home.example`, one line per address and socket type."""
    sections = split(output.text, "found", "status")
    status, lines = whole_number(sections, "status"), sections["found"].splitlines()
    if status not in (FOUND, NOT_FOUND):
        raise ToolFailed(f"getent ended with status {status}, which is not an answer")
    if status == NOT_FOUND and lines:
        raise Unparseable(f"getent says not found, and yet prints {lines[0]!r}")
    if status == FOUND and not lines:
        raise Unparseable("getent says found, and prints nothing")
    types: dict[Address, set[str]] = {}
    for line in lines:
        address, *rest = line.split() or [""]
        if not rest or rest[0] not in SOCKET_TYPES:
            raise Unparseable(f"getent does not print lines like {line!r}")
        types.setdefault(ip_address(address.partition("%")[0]), set()).add(rest[0])
    whole = MUSL_SOCKET_TYPES if all(seen == MUSL_SOCKET_TYPES for seen in types.values()) else SOCKET_TYPES
    if partial := [str(address) for address, seen in types.items() if seen != whole]:
        raise Unparseable(f"getent prints every address once for each socket type, but not so {', '.join(partial)}")
    # ahostsv6 dresses IPv4 addresses up (::ffff:10.0.20.203) where a name has no other.
    return frozenset(a for a in types if not (isinstance(a, IPv6Address) and a.ipv4_mapped))
