"""What ip prints where it has no JSON: busybox's, and iproute2 before 4.13. The same objects as `ip -j` gives.

Each word is known, or it is refused: a text has no names by which what is new would be told from what is known.
"""

from __future__ import annotations

import re
from typing import Any

from siteproof.asks.dialects import TEXT, TEXT_END
from siteproof.errors import Unparseable
from siteproof.probes.common.sections import readable, words

_TYPES = words("unicast local broadcast anycast multicast unreachable blackhole prohibit throw nat")
_FLAGS = words("onlink pervasive dead linkdown offload trap notify cloned")
_KEYS = {"via": "gateway", "dev": "dev", "proto": "protocol", "scope": "scope", "src": "prefsrc", "table": "table"}
_NUMBERS = words("metric uid")
_METRICS = words("mtu advmss rtt rttvar window cwnd initcwnd initrwnd hoplimit ssthresh reordering rto_min features")
_OTHERS = words("tos tclass expires error pref users age")
_LINK = re.compile(r"[0-9]+: ([!-~]{1,15}?)(?:@[!-~]+)?: <([A-Z0-9_,-]*)> mtu ([0-9]{1,10})(?: .*)?")
_INET = re.compile(r"inet ([0-9.]{7,15})(?: peer [0-9.]{7,15})?(?:/[0-9]{1,2})?(?: .*)?")
_BELOW_A_LINK = words("inet6 valid_lft altname alias vf RX: TX: RX TX minmtu bridge_slave")
_NEXT_HOP = re.compile(r"nexthop (?:via ([0-9.]{7,15}) )?dev ([!-~]{1,15})(?: weight [0-9]+)?((?: [a-z]+)*)")


def links_in(text: str) -> list[dict[str, Any]]:
    """Of `ip link show` and `ip addr show`, with the IPv4 addresses as `addr_info`. Raises Unparseable."""
    found: list[dict[str, Any]] = []
    for line in _lines(text):
        if (link := _LINK.fullmatch(line.rstrip())) is not None:
            found.append({"ifname": link[1], "flags": link[2].split(","), "mtu": int(link[3]), "addr_info": []})
            continue
        shown = line.strip()
        if not line[:1].isspace() or not found:
            raise _odd(line)
        if (address := _INET.fullmatch(shown)) is not None:
            own = {"local": address[1]} | ({"deprecated": True} if "deprecated" in shown.split() else {})
            found[-1]["addr_info"].append(own)
        elif not (shown.startswith("link/") or shown.split()[0] in _BELOW_A_LINK):
            raise _odd(line)
    return found


def routes_in(text: str) -> list[dict[str, Any]]:
    """Of `ip route show` and `ip route get`. Raises Unparseable."""
    found: list[dict[str, Any]] = []
    for line in _lines(text):
        if not line[:1].isspace():
            found.append(_route(line.split(), line))
        elif not found:
            raise _odd(line)
        elif (hop := _NEXT_HOP.fullmatch(line.strip())) is not None and set(hop[3].split()) <= _FLAGS:
            found[-1].setdefault("nexthops", []).append({"gateway": hop[1], "dev": hop[2], "flags": hop[3].split()})
        elif line.split()[0] != "cache":  # which stands below the answer to `get`
            raise _odd(line)
    return found


def _route(said: list[str], line: str) -> dict[str, Any]:
    route: dict[str, Any] = {"flags": []}
    rest = list(said)
    if rest[0] in _TYPES:
        route["type"] = rest.pop(0)
    if not rest:
        raise _odd(line)
    route["dst"] = rest.pop(0)
    while rest:
        word = rest.pop(0)
        if word in _FLAGS:
            route["flags"].append(word)
            continue
        if word in _METRICS and rest[:1] == ["lock"]:
            rest.pop(0)
        if not rest or (word in route):
            raise _odd(line)
        value = rest.pop(0)
        if word in _KEYS and _KEYS[word] not in route:
            route[_KEYS[word]] = value
        elif word in _NUMBERS and value.isdecimal():
            route[word] = int(value)
        elif word in _METRICS:
            route.setdefault("metrics", []).append({word: value})
        elif word in _OTHERS:
            route[word] = value
        else:
            raise _odd(line)
    return route


def _lines(text: str) -> list[str]:
    """Those between the marks. Raises Unparseable where one is missing."""
    first, *lines = [line for line in readable(text).split("\n") if line.strip()]
    if first != TEXT or not lines or lines.pop() != TEXT_END or TEXT in lines or TEXT_END in lines:
        raise Unparseable(f"ip's text was not printed to its end: {text[-200:]!r}")
    return lines


def _odd(line: str) -> Unparseable:
    return Unparseable(f"ip says what is not known here: {line[:200]!r}")
