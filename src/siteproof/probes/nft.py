"""nft: the ruleset as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from siteproof.asks import Ask, Output, command
from siteproof.errors import Unparseable
from siteproof.probes.nat import Forward, NatRules

ALL_PORTS = 65536


def nft_forwards(router: str) -> Ask[NatRules]:
    """Every destination NAT in nftables' rules of `router`, with the ports that a packet must have to get there."""
    return command(
        router,
        "$ROOT nft -j list ruleset",
        probe="nft -j list ruleset",
        parse=parse_forwards,
        tools=("nft",),
        root=True,
    )


def parse_forwards(output: Output) -> NatRules:
    """Follows jumps from every nat prerouting chain, since the port is often matched before the jump."""
    ruleset = _ruleset(output.text)
    rules: dict[Chain, list[dict[str, Any]]] = {}
    entries: list[Chain] = []
    sets: dict[tuple[str, str, str], list[Any]] = {}
    for item in ruleset:
        if chain := item.get("chain"):
            key = Chain(chain["family"], chain["table"], chain["name"])
            rules.setdefault(key, [])
            if chain.get("type") == "nat" and chain.get("hook") == "prerouting":
                entries.append(key)
        elif rule := item.get("rule"):
            rules.setdefault(Chain(rule["family"], rule["table"], rule["chain"]), []).append(rule)
        elif (named := item.get("set") or item.get("map")) is not None:
            sets[named["family"], named["table"], named["name"]] = named.get("elem", [])
    forwards = [f for entry in entries for f in _Walk(rules, sets).forwards(entry, None, frozenset())]
    opaque = any("xt" in statement for r in rules.values() for rule in r for statement in rule["expr"])
    return NatRules(tuple(forwards), opaque)


@dataclass(frozen=True)
class Chain:
    family: str
    table: str
    name: str


@dataclass(frozen=True)
class _Walk:
    rules: Mapping[Chain, list[dict[str, Any]]]
    sets: Mapping[tuple[str, str, str], list[Any]]

    def forwards(self, chain: Chain, ports: int | None, above: frozenset[Chain]) -> Iterator[Forward]:
        """The forwards of a chain that a packet reaches with `ports` possible destination ports (None: any packet)."""
        if chain in above:
            return
        if chain not in self.rules:
            raise Unparseable(f"nft jumps to the chain {chain.name}, which it does not list")
        for rule in self.rules[chain]:
            reached = ports
            for statement in rule["expr"]:
                if match := statement.get("match"):
                    reached = _fewer(reached, self._ports_of(chain, match))
                elif "dnat" in statement:
                    yield self._forward(chain, rule, statement["dnat"] or {}, reached)
                elif "redirect" in statement and reached is None:
                    yield self._forward(chain, rule, {"addr": "the router itself"}, reached)
                for verb in ("jump", "goto"):
                    if verb in statement:
                        target = Chain(chain.family, chain.table, statement[verb]["target"])
                        yield from self.forwards(target, reached, above | {chain})
                if "vmap" in statement:
                    yield from self._vmap(chain, statement["vmap"], reached, above)

    def _vmap(
        self, chain: Chain, vmap: dict[str, Any], reached: int | None, above: frozenset[Chain]
    ) -> Iterator[Forward]:
        elements = self._elements(chain, vmap["data"])
        for key, verdict in elements:
            ports = _fewer(reached, _count(key)) if _is_port(vmap["key"]) else reached
            for verb in ("jump", "goto"):
                if isinstance(verdict, dict) and verb in verdict:
                    yield from self.forwards(
                        Chain(chain.family, chain.table, verdict[verb]["target"]), ports, above | {chain}
                    )

    def _forward(self, chain: Chain, rule: dict[str, Any], dnat: dict[str, Any], reached: int | None) -> Forward:
        target = dnat.get("addr", "?")
        if isinstance(target, dict) and "map" in target and _is_port(target["map"]["key"]):
            reached = _fewer(reached, sum(_count(k) for k, _ in self._elements(chain, target["map"]["data"])))
        shown = json.dumps({"chain": f"{chain.family} {chain.table} {chain.name}", "expr": rule["expr"]})
        return Forward(shown, target if isinstance(target, str) else json.dumps(target), reached)

    def _ports_of(self, chain: Chain, match: dict[str, Any]) -> int | None:
        if not _is_port(match["left"]):
            return None
        right = match["right"]
        if isinstance(right, str) and right.startswith("@"):
            right = {"set": self.sets.get((chain.family, chain.table, right[1:]), [])}
        count = _count(right)
        return ALL_PORTS - count if match.get("op") == "!=" else count

    def _elements(self, chain: Chain, data: Any) -> list[tuple[Any, Any]]:
        if isinstance(data, str) and data.startswith("@"):
            data = {"set": self.sets.get((chain.family, chain.table, data[1:]), [])}
        return [(element[0], element[1]) for element in data["set"]]


def _fewer(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)


def _is_port(key: Any) -> bool:
    """Whether a match or map looks at the destination port, alone or in a concatenation."""
    if not isinstance(key, dict):
        return False
    if "concat" in key:
        return any(_is_port(part) for part in key["concat"])
    payload = key.get("payload")
    return isinstance(payload, dict) and payload.get("field") == "dport"


def _count(value: Any) -> int:
    """How many ports a right-hand side names."""
    if isinstance(value, dict):
        if "range" in value:
            first, last = value["range"]
            return int(last) - int(first) + 1 if isinstance(first, int) and isinstance(last, int) else 1
        if "set" in value:
            return sum(_count(v) for v in value["set"])
        if "concat" in value:
            return max(_count(v) for v in value["concat"])
        if "elem" in value:
            return _count(value["elem"]["val"])
        if "prefix" in value:
            raise Unparseable("nft shows ports as a prefix")
    return 1


def _ruleset(text: str) -> list[dict[str, Any]]:
    """nft's own first element, `metainfo`, is the control: an empty ruleset still has it."""
    try:
        found = json.loads(text)["nftables"]
    except (ValueError, KeyError, TypeError):
        raise Unparseable(f"nft -j printed no ruleset: {text[:200]!r}") from None
    if not found or "metainfo" not in found[0]:
        raise Unparseable("nft's ruleset lacks its metainfo")
    if found[0]["metainfo"].get("json_schema_version") != 1:
        raise Unparseable(f"nft's JSON schema is not 1: {found[0]['metainfo']}")
    return list(found[1:])
