"""Ansible's host patterns: `k3s:!cp1`, `web*`, `~regex`, `k3s[0]`, `a,b`, `nodes:&lan`.

The documented grammar, evaluated over the names of an inventory; a test compares it with ansible-core's own.
Two differences, both on purpose: a name that nobody has is an error, where Ansible only warns; and there is no
implicit `localhost`, since only hosts of the inventory are ever asked anything. `[0-1]` is a range to Ansible too, with
a warning, and never a class of characters.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping

from siteproof.errors import BadInput
from siteproof.text.spelling import did_you_mean

_SUBSCRIPT = re.compile(r"(?P<name>.+)\[(?:(?P<index>-?\d+)|(?P<start>\d+)[:-](?P<end>\d*))\]")
_TERM = re.compile(r"(?:[^\s:\[\]]|\[[^\]]*\])+")


def match(pattern: str, hosts: Collection[str], groups: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """The hosts of `pattern`, each once. Empty when its terms are known and exclude each other.

    Raises BadInput for a term that names nothing, and for one that is no pattern.
    """
    terms = split(pattern)
    if not terms:
        raise BadInput(f"the host pattern {pattern!r} is empty")
    wanted = [term for term in terms if term[0] not in "!&"] or ["all"]
    required = [term for term in terms if term[0] == "&"]
    excluded = [term for term in terms if term[0] == "!"]
    found = dict.fromkeys(host for term in wanted for host in _term(term, pattern, hosts, groups))
    for term in required:
        kept = set(_term(term[1:], pattern, hosts, groups))
        found = {host: None for host in found if host in kept}
    for term in excluded:
        dropped = set(_term(term[1:], pattern, hosts, groups))
        found = {host: None for host in found if host not in dropped}
    return tuple(found)


def split(pattern: str) -> list[str]:
    """The terms of a pattern. A colon separates only where it is not part of an address."""
    if "," in pattern:
        terms: Iterable[str] = pattern.split(",")
    elif _is_address(pattern):
        terms = [pattern]
    else:
        terms = _TERM.findall(pattern)
    return [term.strip() for term in terms if term.strip()]


def _is_address(pattern: str) -> bool:
    if re.fullmatch(r"\[[^\]]+\]:\d+|[^:\[\]\s!&]+:\d+", pattern):
        return True
    try:
        ipaddress.IPv6Address(pattern)
    except ValueError:
        return False
    return True


def _term(term: str, pattern: str, hosts: Collection[str], groups: Mapping[str, Collection[str]]) -> list[str]:
    if term in hosts:
        return [term]
    said = None if term.startswith("~") else _SUBSCRIPT.fullmatch(term)
    if said is None:
        return _named(term, pattern, hosts, groups)
    return _subscripted(_named(said["name"], pattern, hosts, groups), said, pattern)


def _subscripted(found: list[str], said: re.Match[str], pattern: str) -> list[str]:
    start, end = said["index"] or said["start"], said["end"]
    if said["index"] is None and (not end or int(end)):
        return found[int(start) : int(end) + 1 if end else None]
    try:  # `[2:0]` is one host to Ansible, as `[2]` is
        return [found[int(start)]] if found else []
    except IndexError:
        raise BadInput(f"the host pattern {pattern!r}: {said['name']} has only {len(found)} hosts") from None


def _named(name: str, pattern: str, hosts: Collection[str], groups: Mapping[str, Collection[str]]) -> list[str]:
    fits = _compiled(name, pattern)
    matching = [group for group in groups if fits.match(group)]
    found = [host for group in matching for host in groups[group]]
    # A plain word that names a group never means a host as well; a glob or a regular expression may.
    if not matching or name.startswith("~") or any(special in name for special in ".?*["):
        found += [host for host in hosts if fits.match(host)]
    if not found and not matching and name != "all":
        hint = did_you_mean(name, [*groups, *hosts])
        raise BadInput(f"the host pattern {pattern!r}: no host or group is called {name}{hint}")
    return found


def _compiled(name: str, pattern: str) -> re.Pattern[str]:
    if not name:
        raise BadInput(f"the host pattern {pattern!r} has an empty term")
    try:
        return re.compile(name[1:] if name.startswith("~") else fnmatch.translate(name))
    except re.error as error:
        raise BadInput(f"the host pattern {pattern!r} is not a regular expression: {error}") from error
