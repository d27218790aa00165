"""Which destination ports the expressions in nft's JSON speak of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from siteproof.errors import Unparseable
from siteproof.probes.common.sections import words
from siteproof.probes.edge.nat import ALL, HIGHEST_PORT, NONE, Ports, Reach

Table = tuple[str, str]
MOST_LOOKED_AT = 2_000_000
"""Elements, by all rules together: a set of ports has 65536 at most."""


class Sets(dict[tuple[str, str, str], list[Any]]):
    """Family, table and name -> the elements of a set or map."""

    def __init__(self) -> None:
        super().__init__()
        self._looked_at = 0

    def counted(self, elements: list[Any]) -> list[Any]:
        """`elements`, to be looked at. Raises Unparseable where all that were come to more than anybody looks at."""
        self._looked_at += len(elements)
        if self._looked_at > MOST_LOOKED_AT:
            raise Unparseable(f"nft's rules speak of more than {MOST_LOOKED_AT} elements of sets")
        return elements


WHOLE, UNTOLD = 0, -1
"""Places of the port in a key, beside None (it is not about ports) and 1, 2, … (that part of a concatenation)."""

_TRANSPORT = words("th tcp udp udplite sctp dccp")
_TRANSPORT_FIELDS = words("""
    sport flags sequence ackseq doff reserved window checksum urgptr length csumcov vtag type
""")
_OTHER_PROTOCOLS = words("ether vlan arp ip ip6 icmp icmpv6 igmp ah esp comp gre geneve vxlan gretap")
_ABOUT_SOMETHING_ELSE = words("meta ct fib rt socket ipsec osf numgen jhash symhash exthdr tunnel") | {
    "tcp option",
    "ip option",
    "sctp chunk",
    "dccp option",
}
_KEYED = words("meta ct rt socket ipsec")
# Somebody may have set or looked these up by port.
_TELLS_NOTHING = words("mark label secmark proto-src proto-dst cgroup")
_OPERATIONS = frozenset({"&", "|", "^", "<<", ">>"})
_FROM_TO: Mapping[str, Callable[[int], tuple[int, int]]] = {
    "<": lambda port: (0, port - 1),
    "<=": lambda port: (0, port),
    ">": lambda port: (port + 1, HIGHEST_PORT),
    ">=": lambda port: (port, HIGHEST_PORT),
}


def matched(match: Mapping[str, Any], reach: Reach, sets: Sets, table: Table) -> Reach:
    """What of `reach` a match leaves."""
    place = _place(match["left"])
    if place is None:
        return reach
    if place == UNTOLD:
        return reach.under(json.dumps(match))
    operator, right = match["op"], match["right"]
    if operator in _FROM_TO and type(right) is int:
        return reach.only(Ports.span(*_FROM_TO[operator](right)))
    if operator not in ("==", "in", "!="):
        raise Unparseable(f"nft compares ports in a way that nobody knows: {json.dumps(match)}")
    if isinstance(right, str) and not _elements(right, sets, table):
        return reach.under(f"the set {right} is empty, or filled as packets come")
    ports = _ports(right, place, sets, table)
    return reach.only(~ports if operator == "!=" else ports)


def selected(map_: Mapping[str, Any], reach: Reach, sets: Sets, table: Table) -> Iterator[tuple[Reach, Any]]:
    """The values of a map, each once, with what of `reach` leads to it."""
    place = _place(map_["key"])
    if not _elements(map_["data"], sets, table):
        yield reach.under(f"the map {map_['data']} is empty, or filled as packets come"), "?"
    ports: dict[str, Ports] = {}
    for key, value in _elements(map_["data"], sets, table):
        told = _ports(key, place, sets, table) if place is not None and place != UNTOLD else NONE
        spelt = json.dumps(value)
        ports[spelt] = ports.get(spelt, NONE) | told
    for spelt, found in ports.items():
        if place == UNTOLD:
            yield reach.under(json.dumps(map_["key"])), json.loads(spelt)
        else:
            yield reach if place is None else reach.only(found), json.loads(spelt)


def _place(key: Any) -> int | None:
    """Where in a key the destination port stands."""
    ((kind, what),) = key.items()
    if kind == "concat":
        places = [_place(part) for part in what]
        if WHOLE in places:
            return places.index(WHOLE) + 1
        return UNTOLD if UNTOLD in places else None
    if kind == "payload":
        return _place_in_header(what)
    if kind in _OPERATIONS:
        about = [_place(part) for part in what if isinstance(part, dict)]
        return None if about and all(place is None for place in about) else UNTOLD
    if kind in _ABOUT_SOMETHING_ELSE:
        if kind in _KEYED and not isinstance(what["key"], str):
            raise Unparseable(f"nft looks at {json.dumps(key)[:200]}")
        return UNTOLD if isinstance(what, dict) and what.get("key") in _TELLS_NOTHING else None
    raise Unparseable(f"nft looks at something that nobody knows: {json.dumps(key)[:200]}")


def _place_in_header(payload: Mapping[str, Any]) -> int | None:
    if payload.get("base") in ("ll", "nh"):
        return None
    if payload.get("base") == "th":
        return WHOLE if (payload["offset"], payload["len"]) == (16, 16) else UNTOLD
    if payload["protocol"] in _TRANSPORT and payload["field"] in _TRANSPORT_FIELDS | {"dport"}:
        return WHOLE if payload["field"] == "dport" else None
    if payload["protocol"] not in _OTHER_PROTOCOLS:
        raise Unparseable(f"nft looks at a header that nobody knows: {json.dumps(payload)[:200]}")
    return None


def _elements(found: Any, sets: Sets, table: Table) -> list[Any]:
    if isinstance(found, str) and found.startswith("@"):
        if (*table, found[1:]) not in sets:
            raise Unparseable(f"nft speaks of the set {found}, which it does not list")
        return sets.counted(sets[(*table, found[1:])])
    return sets.counted(list(found["set"]))


def _ports(value: Any, place: int, sets: Sets, table: Table) -> Ports:
    """The ports that `value` names, in the part of it that stands at `place`."""
    if isinstance(value, str) and value.startswith("@") or isinstance(value, dict) and "set" in value:
        ports = NONE
        for element in _elements(value, sets, table):
            ports |= _ports(element, place, sets, table)
        return ports
    if value == "*":
        return ALL
    if isinstance(value, dict) and "elem" in value:
        return _ports(value["elem"]["val"], place, sets, table)
    if isinstance(value, dict) and "concat" in value and place != WHOLE:
        return _span(value["concat"][place - 1])
    return _span(value)


def _span(value: Any) -> Ports:
    if type(value) is int:
        return Ports.span(value, value)
    if isinstance(value, dict) and "range" in value and all(type(port) is int for port in value["range"]):
        return Ports.span(*value["range"])
    if isinstance(value, dict) and "prefix" in value and type(value["prefix"]["addr"]) is int:
        first = value["prefix"]["addr"]
        return Ports.span(first, first | HIGHEST_PORT >> value["prefix"]["len"])
    if value == "*":
        return ALL
    raise Unparseable(f"nft shows ports in a way that nobody knows: {str(value)[:200]}")
