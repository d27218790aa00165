"""Which destination ports the expressions in nft's JSON speak of."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_network
from typing import Any

from siteproof.errors import Unparseable
from siteproof.probes.common.sections import words
from siteproof.probes.edge.nat import ALL, HIGHEST_PORT, NONE, PROTOCOLS, Ports, Reach

Table = tuple[str, str]
MOST_LOOKED_AT = 2_000_000
"""Elements, by all rules together: a set of ports has 65536 at most."""


class Sets(dict[tuple[str, str, str], list[Any]]):
    """Family, table and name -> the elements of a set or map, as they are now."""

    def __init__(self) -> None:
        super().__init__()
        self._looked_at = 0
        self.unsettled: set[tuple[str, str, str]] = set()
        """Those that are not told whole: rules add to them as packets come, or nft says of them what nobody knows."""

    def counted(self, elements: list[Any]) -> list[Any]:
        """`elements`, to be looked at. Raises Unparseable where all that were come to more than anybody looks at."""
        self._looked_at += len(elements)
        if self._looked_at > MOST_LOOKED_AT:
            raise Unparseable(f"nft's rules speak of more than {MOST_LOOKED_AT} elements of sets")
        return elements


EVERY = ""
"""Stands for the name of every set of a table."""
WHOLE, UNTOLD = 0, -1
"""Places of the port in a key, beside None (it is not about ports) and 1, 2, … (that part of a concatenation)."""

_TRANSPORT = words("th tcp udp udplite sctp dccp")
_TRANSPORT_FIELDS = words("""
    sport flags sequence ackseq doff reserved window checksum urgptr length csumcov vtag type
""")
_OTHER_PROTOCOLS = words("ether vlan arp ip ip6 icmp icmpv6 igmp ah esp comp gre geneve vxlan gretap")
_WITHOUT_PORTS = words("icmp icmpv6 igmp ah esp comp gre")
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

_OPERATORS = _FROM_TO.keys() | {"==", "!=", "in"}


def matched(match: Mapping[str, Any], reach: Reach, sets: Sets, table: Table) -> Reach:
    """What of `reach` a match leaves."""
    left, operator, right = match["left"], match["op"], match["right"]
    place = _place(left)
    if place == UNTOLD:
        return reach.under(json.dumps(match))
    if (spoken := _transport(left)) is not None:
        reach = reach.of([spoken])
    if operator not in _OPERATORS:
        raise Unparseable(f"nft compares in a way that nobody knows: {json.dumps(match)}")
    if place is None:
        if operator in _FROM_TO or (narrow := _aside(left)) is None:
            return reach
        named = _names(right, sets, table)
        return reach if named is None else narrow(reach, named, operator == "!=")
    if operator in _FROM_TO and type(right) is int:
        return reach.only(Ports.span(*_FROM_TO[operator](right)))
    if operator in _FROM_TO:
        raise Unparseable(f"nft compares ports in a way that nobody knows: {json.dumps(match)}")
    if _unsettled(right, sets, table):
        return reach.under(f"the set {right} is filled as packets come")
    ports = _ports(right, place, sets, table)
    return reach.only(~ports if operator == "!=" else ports)


def selected(map_: Mapping[str, Any], reach: Reach, sets: Sets, table: Table) -> Iterator[tuple[Reach, Any]]:
    """The values of a map, each once, with what of `reach` leads to it: none of a map that is empty."""
    key = map_["key"]
    place, narrow = _place(key), _aside(key)
    ports: dict[str, Ports] = {}
    names: dict[str, list[str] | None] = {}
    for element, value in _elements(map_["data"], sets, table):
        told = _ports(element, place, sets, table) if place is not None and place != UNTOLD else NONE
        spelt = json.dumps(value)
        ports[spelt] = ports.get(spelt, NONE) | told
        if narrow is not None:
            named, before = _names(element, sets, table), names.get(spelt, [])
            names[spelt] = None if named is None or before is None else [*before, *named]
    for spelt, found in ports.items():
        there = reach
        if place == UNTOLD:
            there = reach.under(json.dumps(key))
        elif place is not None:
            there = reach.only(found)
        elif narrow is not None and (of := names[spelt]) is not None:
            there = narrow(reach, of, False)
        yield there, json.loads(spelt)


def unsettled(map_: Mapping[str, Any], sets: Sets, table: Table) -> bool:
    """Whether a map may have other values than those that are listed."""
    return _unsettled(map_["data"], sets, table)


def _unsettled(found: Any, sets: Sets, table: Table) -> bool:
    named = isinstance(found, str) and found.startswith("@")
    return named and not sets.unsettled.isdisjoint({(*table, found[1:]), (*table, EVERY)})


Narrow = Callable[[Reach, list[str], bool], Reach]


def _of(reach: Reach, named: list[str], negated: bool) -> Reach:
    return reach.of(named, negated=negated)


def _by(reach: Reach, named: list[str], negated: bool) -> Reach:
    if not all(re.fullmatch(r"[A-Za-z0-9_.:@*+-]+", name) for name in named):
        raise Unparseable(f"no interfaces: {named}")
    # An interface that is gone is shown by its number.
    return reach if any(map(str.isdigit, named)) else reach.by(named, negated=negated)


def _to(reach: Reach, named: list[str], negated: bool) -> Reach:
    return reach.to([str(ip_network(one, strict=False)) for one in named], negated=negated)


def _aside(key: Mapping[str, Any]) -> Narrow | None:
    """What a key narrows beside the ports: the protocol, the interface that a packet came in by, where it is sent."""
    ((kind, what),) = key.items()
    if kind == "meta" and what["key"] == "l4proto":
        return _of
    if kind == "meta" and what["key"] in ("iifname", "iif"):
        return _by
    header = (what.get("protocol"), what.get("field")) if kind == "payload" else None
    if header in (("ip", "daddr"), ("ip6", "daddr")):
        return _to
    return _of if header in (("ip", "protocol"), ("ip6", "nexthdr")) else None


def _transport(key: Mapping[str, Any]) -> str | None:
    """The protocol that a packet has if it has this field: `udp` of `udp dport`."""
    ((kind, what),) = key.items()
    spoken = what.get("protocol") if kind == "payload" and isinstance(what, dict) else None
    return spoken if spoken in PROTOCOLS.values() or spoken in _WITHOUT_PORTS else None


def _names(value: Any, sets: Sets, table: Table) -> list[str] | None:
    """The protocols, interfaces or networks that `value` names; None where they have no names, as of a range."""
    if _unsettled(value, sets, table):
        raise Unparseable(f"the set {value} is filled as packets come")
    if isinstance(value, str) and value.startswith("@") or isinstance(value, dict) and "set" in value:
        every = [_names(element, sets, table) for element in _elements(value, sets, table)]
        return None if None in every else [name for names in every if names is not None for name in names]
    if isinstance(value, dict) and "elem" in value:
        return _names(value["elem"]["val"], sets, table)
    if isinstance(value, dict) and "prefix" in value:
        return [f"{value['prefix']['addr']}/{value['prefix']['len']}"]
    # A `*` by itself is every value of a map that has no other key.
    if value == "*" or (isinstance(value, dict) and value.keys() & {"range", "concat"}):
        return None
    if not isinstance(value, str | int):
        raise Unparseable(f"nft names something in a way that nobody knows: {json.dumps(value)[:200]}")
    return [str(value)]


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
    if payload["protocol"] not in _OTHER_PROTOCOLS or not isinstance(payload["field"], str):
        raise Unparseable(f"nft looks at a header that nobody knows: {json.dumps(payload)[:200]}")
    return None


def _elements(found: Any, sets: Sets, table: Table) -> list[Any]:
    if isinstance(found, str) and found.startswith("@"):
        if (*table, found[1:]) not in sets:
            raise Unparseable(f"nft speaks of the set {found}, which it does not list")
        return sets.counted(sets[(*table, found[1:])])
    if not isinstance(found["set"], list):
        raise Unparseable(f"nft shows a set in a way that nobody knows: {json.dumps(found)[:200]}")
    return sets.counted(found["set"])


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
