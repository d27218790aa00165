"""nft: the ruleset as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from siteproof.asks import Ask, Host, Output, command
from siteproof.errors import Unparseable
from siteproof.probes.common.sections import from_json, words
from siteproof.probes.edge.nat import Forward, NatRules, Reach
from siteproof.probes.edge.nft_terms import Sets, matched, selected

VERSION = {"nft": "nft --version"}

# What nft writes, after its source (1.1.3). What is none of it may rewrite a destination for all we know, and is
# refused: other objects, hooks, statements, and other keys in what is read.
_OBJECTS = words("table chain rule set map meter element flowtable counter quota limit secmark synproxy tunnel") | {
    "ct helper",
    "ct timeout",
    "ct expectation",
}
_ELEMENTS = words(
    "family table name handle comment type map policy size flags timeout gc-interval elem stmt auto-merge"
)
_KEYS = {
    "table": words("family name handle comment flags"),
    "chain": words("family table name handle comment type hook prio policy dev"),
    "rule": words("family table chain handle comment expr"),
    "set": _ELEMENTS,
    "map": _ELEMENTS,
    "meter": _ELEMENTS,
}
_FAMILIES = words("ip ip6 inet arp bridge netdev")
_HOOKS = words("prerouting input forward output postrouting ingress egress")
_TABLE_FLAGS = frozenset({"dormant", "owner", "persist"})
_REWRITING = frozenset({"dnat", "redirect", "mangle", "fwd"})
_PLACES = frozenset({"addr", "port", "dev"})
_WRITABLE = words("payload meta ct exthdr") | {"tcp option", "ip option", "sctp chunk", "dccp option"}
_VERDICTS = words("accept drop continue return queue jump goto")
_OTHERS = words("""
    accept drop continue return counter quota limit notrack snat masquerade reject set map log meter queue flow
    synproxy tproxy secmark last reset dup
""") | {"ct helper", "ct count", "ct timeout", "ct expectation"}


MOST_MET = 500_000
"""Rules that are followed: chains that jump to each other have ways without number."""
_SCRIPT = "$ROOT nft -j list ruleset"


def nft_forwards(router: Host) -> Ask[NatRules]:
    """Every destination NAT in nftables' rules of `router`, with the ports that a packet must have to get there."""
    return command(
        router,
        _SCRIPT,
        probe="nft -j list ruleset",
        parse=parse_forwards,
        tools=("nft",),
        root=True,
    )


def parse_forwards(output: Output) -> NatRules:
    """Follows jumps from every chain that incoming packets meet, since the port is often matched before the jump."""
    rules = _Rules()
    entries: list[Chain] = []
    flags: dict[tuple[str, str], Any] = {}
    for item in ruleset(output.text):
        ((kind, found),) = item.items()
        if kind not in _OBJECTS or (kind in _KEYS and set(found) - _KEYS[kind]):
            raise Unparseable(f"nft lists a {kind} that nobody knows: {str(found)[:200]}")
        if kind == "table":
            if found["family"] not in _FAMILIES:
                raise Unparseable(f"nft lists a table of the family {found['family']!r}, which nobody knows")
            flags[found["family"], found["name"]] = found.get("flags", [])
        elif kind == "chain":
            key = Chain(found["family"], found["table"], found["name"])
            rules.of[key] = []
            if ("hook" in found) != ("prio" in found) or found.get("hook", "input") not in _HOOKS:
                raise Unparseable(f"nft lists a chain on a hook that nobody knows: {str(found)[:200]}")
            if found.get("hook") in ("prerouting", "ingress") and not _asleep(flags[key.family, key.table]):
                entries.append(key)
        elif kind == "rule":
            rules.chain(Chain(found["family"], found["table"], found["chain"])).append(found)
        elif kind in ("set", "map", "meter"):
            rules.sets[found["family"], found["table"], found["name"]] = found.get("elem", [])
    forwards = [f for entry in entries for f in rules.forwards(entry, Reach(), frozenset())]
    return NatRules(tuple(forwards), rules.opaque)


def ruleset(text: str) -> list[dict[str, Any]]:
    """The objects that nft lists. Its own first one, `metainfo`, is the control: an empty ruleset still has it."""
    found = from_json(text, "nft -j")
    items = found.get("nftables") if isinstance(found, dict) else None
    if not isinstance(items, list) or not items or "metainfo" not in items[0]:
        raise Unparseable(f"nft printed no ruleset: {text[:200]!r}")
    if items[0]["metainfo"].get("json_schema_version") != 1:
        raise Unparseable(f"nft's JSON schema is not 1: {items[0]['metainfo']}")
    return items[1:]


def _asleep(flags: Any) -> bool:
    """Whether a table is dormant, so that no packet meets its chains."""
    named = [flags] if isinstance(flags, str) else flags
    # nft 1.0.6 prints whatever its memory holds there, e.g. `[80, "10.0.0.1"]`.
    if not all(isinstance(flag, str) and flag in _TABLE_FLAGS for flag in named):
        raise Unparseable(f"nft prints {flags!r} as a table's flags, so whether it is dormant is not told")
    return "dormant" in named


@dataclass(frozen=True)
class Chain:
    family: str
    table: str
    name: str


@dataclass
class _Rules:
    of: dict[Chain, list[dict[str, Any]]] = field(default_factory=dict)
    sets: Sets = field(default_factory=Sets)
    opaque: bool = False
    met: int = 0
    """Rules, on all ways together."""

    def chain(self, key: Chain) -> list[dict[str, Any]]:
        if key not in self.of:
            raise Unparseable(f"nft speaks of the chain {key.name}, which it does not list")
        return self.of[key]

    def forwards(self, chain: Chain, reach: Reach, above: frozenset[Chain]) -> Iterator[Forward]:
        """The forwards that packets meet which come to `chain` with `reach`."""
        if chain in above:
            return
        table = (chain.family, chain.table)
        for rule in self.chain(chain):
            self.met += 1
            if self.met > MOST_MET:
                raise Unparseable(
                    f"over {MOST_MET} rules are met on the ways through the ruleset: nobody follows these"
                )
            here = reach
            for statement in rule["expr"]:
                ((verb, value),) = statement.items()
                if verb == "match":
                    here = matched(value, here, self.sets, table)
                elif verb == "xt":
                    self.opaque = self.opaque or chain.family in ("ip", "inet")
                    here = here.under("a match of iptables, whose arguments nft does not show")
                elif verb in ("jump", "goto"):
                    yield from self._jump(chain, value, here, above)
                elif verb == "vmap":
                    for there, verdict in selected(value, here, self.sets, table):
                        ((kind, target),) = verdict.items()
                        if kind not in _VERDICTS:
                            raise Unparseable(f"nft shows a verdict that nobody knows: {verdict}")
                        if kind in ("jump", "goto"):
                            yield from self._jump(chain, target, there, above)
                elif verb in _REWRITING:
                    yield from self._rewritten(chain, rule, verb, value or {}, here)
                elif verb not in _OTHERS:
                    raise Unparseable(f"nft shows a statement that nobody knows: {str(statement)[:200]}")

    def _jump(self, chain: Chain, verdict: dict[str, Any], reach: Reach, above: frozenset[Chain]) -> Iterator[Forward]:
        return self.forwards(Chain(chain.family, chain.table, verdict["target"]), reach, above | {chain})

    def _rewritten(
        self, chain: Chain, rule: dict[str, Any], verb: str, value: dict[str, Any], reach: Reach
    ) -> Iterator[Forward]:
        """What a statement that gives packets another destination makes of those that come to it."""
        if verb == "mangle":
            if not _is_destination(value["key"]):
                return
            value = {"addr": value["value"]}
        elif verb == "redirect":
            # To the router itself: of interest only if that is everything it has open.
            if reach.ports is not None or "port" in value:
                return
            value = {"addr": "the router itself"}
        table = (chain.family, chain.table)
        # `dnat to :8080` keeps the address.
        address, port = value.get("addr", value.get("dev")), value.get("port")
        known = value.keys() <= {"addr", "port", "family", "flags", "type_flags", "dev"} and value.keys() & _PLACES
        if not known or None in value.values() or not isinstance(port, int | dict | None):
            raise Unparseable(f"nft does not show where this goes: {json.dumps(rule['expr'])}")
        reaches = [(reach, address)]
        if isinstance(port, dict) and "range" not in port:
            reaches = [(there, address) for there, _ in selected(port["map"], reach, self.sets, table)]
        if isinstance(address, dict) and "map" in address:
            reaches = [t for there, _ in reaches for t in selected(address["map"], there, self.sets, table)]
        shown = json.dumps({"chain": f"{chain.family} {chain.table} {chain.name}", "expr": rule["expr"]})
        for there, target in reaches:
            yield Forward(shown, _target(target, verb), there.count())


def _target(target: Any, verb: str) -> str:
    """As nft spells it; raises Unparseable for what is no place to send anything."""
    if target is None:
        return "the same address"
    if isinstance(target, dict) and target.keys() <= {"concat", "range", "prefix", "elem"} and target:
        return json.dumps(target)
    if not isinstance(target, str) or not target:
        raise Unparseable(f"nft sends to {target!r}")
    return target if verb in ("fwd", "redirect") else str(ip_address(target))


def _is_destination(key: dict[str, Any]) -> bool:
    """Whether what is written is the destination address: `ip daddr set …`, NAT without connection tracking."""
    ((kind, payload),) = key.items()
    if kind not in _WRITABLE:
        raise Unparseable(f"nft writes to something that nobody knows: {key}")
    if kind != "payload":
        return False
    if "base" in payload:
        if payload["base"] != "th":
            raise Unparseable(f"nft writes into a header, at a place that is not told here: {payload}")
        return False
    protocol, name = payload["protocol"], payload["field"]
    if not isinstance(protocol, str) or not isinstance(name, str):
        raise Unparseable(f"nft writes to {payload}")
    return protocol in ("ip", "ip6") and name == "daddr"
