"""nft: the ruleset as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from siteproof.asks import SMALL, Ask, Host, Output, Question, Recorded, command
from siteproof.errors import ToolMissing, Unparseable
from siteproof.probes.common.sections import END, from_json, section, split, words
from siteproof.probes.edge.nat import Forward, NatRules, Reach
from siteproof.probes.edge.nft_terms import EVERY, Sets, matched, selected, unsettled

VERSION = {"nft": "nft --version"}

# What nft writes, after its source (1.1.3). What is none of it may rewrite a destination for all we know: an object or
# a hook is refused, and a statement, or a key in what is read, leaves that rule, set or table in doubt.
_OBJECTS = words("table chain rule set map meter element flowtable counter quota limit secmark synproxy tunnel") | {
    "ct helper",
    "ct timeout",
    "ct expectation",
}
_ELEMENTS = words(
    "family table name handle comment type map policy size count flags timeout gc-interval elem stmt auto-merge"
)
_KEYS = {
    "table": words("family name handle comment flags"),
    "chain": words("family table name handle comment type hook prio policy dev flags"),
    "rule": words("family table chain handle index position comment expr"),
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


# Built in or loaded it has names, and without it nobody made a rule of it. The other one shows that names are told.
_KERNEL = f"""\
{section("kernel")}
grep -cE ' (nf_tables_newrule|nf_register_net_hook)([[:space:]]|$)' /proc/kallsyms
[ $? -le 1 ] || exit
grep -oE ' (nf_tables_newrule|nf_register_net_hook)([[:space:]]|$)' /proc/kallsyms
[ $? -le 1 ] || exit
{END}
"""


def kernel_has_nf_tables(router: Host) -> Ask[bool]:
    """Whether the kernel of `router` has nf_tables, by the names of its functions, which it tells everybody."""
    return command(
        router,
        _KERNEL,
        probe="nf_tables in /proc/kallsyms",
        parse=parse_kernel,
        at_most=SMALL,
        tools=("grep",),
    )


def parse_kernel(output: Output) -> bool:
    """Raises Unparseable where the kernel does not even tell the function that every netfilter has."""
    count, *names = split(output.text, "kernel")["kernel"].split()
    if "nf_register_net_hook" not in names or not set(names) <= {"nf_tables_newrule", "nf_register_net_hook"}:
        raise Unparseable("the kernel does not tell its functions, or has no netfilter")
    if count != str(len(names)):
        raise Unparseable(f"grep counted {count} names, and printed {len(names)}")
    return "nf_tables_newrule" in names


@dataclass(frozen=True, eq=False)
class NfTables(Ask[NatRules]):
    """See `nf_tables_forwards`."""

    nft: Ask[NatRules]
    kernel: Ask[bool]

    @property
    def questions(self) -> tuple[Question, ...]:  # type: ignore[override]
        return (*self.nft.questions, *self.kernel.questions)

    def read(self, recorded: Callable[[Question], Recorded]) -> NatRules:
        try:
            return self.nft.read(recorded)
        except ToolMissing:
            if self.kernel.read(recorded):
                raise
            return NatRules(())


def nf_tables_forwards(router: Host) -> Ask[NatRules]:
    """`nft_forwards`; none where there is no nft, and no nf_tables in the kernel either (an older router's)."""
    return NfTables(nft_forwards(router), kernel_has_nf_tables(router))


def parse_forwards(output: Output) -> NatRules:
    """Follows jumps from every chain that incoming packets meet, since the port is often matched before the jump.

    What cannot be read of a rule that packets meet is `unknown` of the forwards that hang on it, and of no others.
    """
    rules = _Rules()
    entries: list[Chain] = []
    tables: dict[tuple[str, str], dict[str, Any]] = {}
    for item in ruleset(output.text):
        ((kind, found),) = item.items()
        if kind not in _OBJECTS:
            raise Unparseable(f"nft lists a {kind} that nobody knows: {str(found)[:200]}")
        if kind == "table":
            if found["family"] not in _FAMILIES:
                raise Unparseable(f"nft lists a table of the family {found['family']!r}, which nobody knows")
            tables[found["family"], found["name"]] = found
        elif kind == "chain":
            if set(found) - _KEYS["chain"]:
                raise Unparseable(f"nft lists a chain in a way that nobody knows: {str(found)[:200]}")
            key = Chain(found["family"], found["table"], found["name"])
            rules.of[key] = []
            if ("hook" in found) != ("prio" in found) or found.get("hook", "input") not in _HOOKS:
                raise Unparseable(f"nft lists a chain on a hook that nobody knows: {str(found)[:200]}")
            if found.get("hook") in ("prerouting", "ingress"):
                entries.append(key)
        elif kind == "rule":
            rules.chain(Chain(found["family"], found["table"], found["chain"])).append(found)
        elif kind in ("set", "map", "meter"):
            rules.keep((found["family"], found["table"], found["name"]), found, _KEYS[kind])
    rules.note_what_fills_sets()
    forwards: list[Forward] = []
    for entry in entries:
        asleep, doubt = _asleep(tables[entry.family, entry.table])
        if not asleep:
            forwards += rules.forwards(entry, Reach().under(doubt) if doubt else Reach(), frozenset())
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


def _asleep(table: dict[str, Any]) -> tuple[bool, str]:
    """Whether a table is dormant, so that no packet meets its chains; and why that is not told, if it is not."""
    flags = table.get("flags") or []
    named = [flags] if isinstance(flags, str) else flags
    # nft 1.0.6 prints whatever its memory holds there, e.g. `[80, "10.0.0.1"]`.
    if not isinstance(named, list) or not all(isinstance(flag, str) and flag in _TABLE_FLAGS for flag in named):
        return False, f"nft prints {flags!r} as a table's flags, so whether it is dormant is not told"
    if strange := table.keys() - _KEYS["table"]:
        return False, f"nft says of a table what nobody knows ({', '.join(sorted(strange))})"
    return "dormant" in named, ""


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

    def keep(self, key: tuple[str, str, str], found: dict[str, Any], known: frozenset[str]) -> None:
        """A set with its elements; nft leaves them out where there are none."""
        if not isinstance(elements := found.get("elem") or [], list):
            raise Unparseable(f"nft lists no elements of a set: {str(found)[:200]}")
        self.sets[key] = elements
        if set(found) - known:
            self.sets.unsettled.add(key)

    def note_what_fills_sets(self) -> None:
        """Of a set that a rule adds to, what is listed is what was there for a moment."""
        for chain, rules in self.of.items():
            for rule in rules:
                for statement in _statements(rule):
                    for verb in statement.keys() & {"set", "map", "meter"}:
                        value = statement[verb]
                        name = value.get(verb, value.get("name")) if isinstance(value, dict) else None
                        told = name.removeprefix("@") if isinstance(name, str) else EVERY
                        self.sets.unsettled.add((chain.family, chain.table, told))

    def forwards(self, chain: Chain, reach: Reach, above: frozenset[Chain]) -> Iterator[Forward]:
        """The forwards that packets meet which come to `chain` with `reach`."""
        if chain in above:
            return
        for rule in self.chain(chain):
            self.met += 1
            if self.met > MOST_MET:
                raise Knot(f"over {MOST_MET} rules are met on the ways through the ruleset: nobody follows these")
            yield from self._followed(chain, rule, reach, above)

    def _followed(self, chain: Chain, rule: dict[str, Any], reach: Reach, above: frozenset[Chain]) -> Iterator[Forward]:
        """What a rule and the chains behind it forward of `reach`, statement by statement."""
        table = (chain.family, chain.table)
        shown = _shown(chain, rule)
        if strange := rule.keys() - _KEYS["rule"]:
            reach = reach.under(f"nft says of a rule what nobody knows ({', '.join(sorted(strange))})")
            if "expr" not in rule:
                yield from reach.forward(shown, "?")
        for statement in _statements(rule):
            try:
                ((verb, value),) = statement.items()
                if verb == "match":
                    reach = matched(value, reach, self.sets, table)
                elif verb == "xt":
                    self.opaque = self.opaque or chain.family in ("ip", "inet")
                    if chain.family == "ip":
                        return  # a rule of iptables, which tells all of it
                    reach = reach.under("a match of iptables, whose arguments nft does not show")
                elif verb in ("jump", "goto"):
                    yield from self._jump(chain, value, reach, above)
                elif verb == "vmap":
                    yield from self._chosen(chain, shown, value, reach, above)
                elif verb in _REWRITING:
                    yield from list(self._rewritten(chain, shown, verb, value or {}, reach))
                elif verb not in _OTHERS:
                    reach = reach.under(f"nft shows a statement that nobody knows: {verb}")
                    yield from reach.forward(shown, "?")
            except Knot:
                raise
            except (Unparseable, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
                why = error.message if isinstance(error, Unparseable) else "nft shows it in a way that nobody knows"
                reach = reach.under(why)
                if statement.keys() != {"match"}:
                    yield from reach.forward(shown, "?", why)

    def _jump(self, chain: Chain, verdict: dict[str, Any], reach: Reach, above: frozenset[Chain]) -> Iterator[Forward]:
        target = Chain(chain.family, chain.table, verdict["target"])
        self.chain(target)
        return self.forwards(target, reach, above | {chain})

    def _chosen(
        self, chain: Chain, shown: str, map_: dict[str, Any], reach: Reach, above: frozenset[Chain]
    ) -> Iterator[Forward]:
        """What a verdict map makes of what comes to it."""
        table = (chain.family, chain.table)
        if unsettled(map_, self.sets, table):
            yield from reach.forward(shown, "?", f"the map {map_['data']} is filled as packets come")
        for there, verdict in list(selected(map_, reach, self.sets, table)):
            ((kind, target),) = verdict.items()
            if kind not in _VERDICTS:
                yield from there.forward(shown, "?", f"nft shows a verdict that nobody knows: {kind}")
            elif kind in ("jump", "goto"):
                yield from self._jump(chain, target, there, above)

    def _rewritten(self, chain: Chain, shown: str, verb: str, value: dict[str, Any], reach: Reach) -> Iterator[Forward]:
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
            raise Unparseable("nft does not show where this goes")
        reaches = [(reach, address)]
        maps = [place["map"] for place in (port, address) if isinstance(place, dict) and "map" in place]
        for map_ in maps:
            if unsettled(map_, self.sets, table):
                yield from reach.forward(shown, "?", f"the map {map_['data']} is filled as packets come")
        if isinstance(port, dict) and "range" not in port:
            reaches = [(there, address) for there, _ in selected(port["map"], reach, self.sets, table)]
        if isinstance(address, dict) and "map" in address:
            reaches = [t for there, _ in reaches for t in selected(address["map"], there, self.sets, table)]
        for there, target in reaches:
            yield from there.forward(shown, *_target(target, verb))


class Knot(Unparseable):
    """More ways than anybody follows, so that nothing is told of any of them."""


def _statements(rule: dict[str, Any]) -> list[dict[str, Any]]:
    statements = rule.get("expr") or []
    if not isinstance(statements, list) or not all(isinstance(statement, dict) for statement in statements):
        raise Unparseable(f"nft lists no statements of a rule: {str(rule)[:200]}")
    return statements


def _shown(chain: Chain, rule: dict[str, Any]) -> str:
    return json.dumps({"chain": f"{chain.family} {chain.table} {chain.name}", "expr": rule.get("expr")})


def _target(target: Any, verb: str) -> tuple[str, str]:
    """As nft spells it, and what is not known of it."""
    if target is None:
        return "the same address", ""
    if isinstance(target, dict) and target.keys() <= {"concat", "range", "prefix", "elem"} and target:
        return json.dumps(target), ""
    if not isinstance(target, str) or not target:
        return "?", f"nft sends to {json.dumps(target)[:200]}"
    return target if verb in ("fwd", "redirect") else str(ip_address(target)), ""


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
