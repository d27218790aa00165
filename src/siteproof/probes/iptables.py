"""iptables: the nat tables of both its back ends."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from siteproof.asks import MISSING, Ask, Output, command, controlled
from siteproof.errors import Unparseable
from siteproof.probes.nat import NONE, Forward, NatRules, Ports, Reach
from siteproof.probes.nft import nft_forwards
from siteproof.probes.sections import END, section, split, words

# Both back ends are read, whichever one `iptables` stands for. The legacy one makes the table that it is asked to
# show, so the kernel's own list decides whether there is anything to ask it about.
_SCRIPT = f"""\
there() {{ command -v "$1" >/dev/null; }}
nft= legacy=
there iptables-nft-save && nft=iptables-nft-save
there iptables-legacy-save && legacy=iptables-legacy-save
if there iptables-save; then
    case $(iptables-save -V 2>&1) in
        *nf_tables*) nft=${{nft:-iptables-save}} ;;
        *) legacy=${{legacy:-iptables-save}} ;;
    esac
fi
if [ -n "$nft" ]; then
    {section("nft")}
    $ROOT $nft -t nat || exit
fi
tables=
if [ -e /proc/net/ip_tables_names ]; then tables=$($ROOT cat /proc/net/ip_tables_names) || exit; fi
case $tables in *nat*)
    [ -n "$legacy" ] || {{ echo '{MISSING}iptables-legacy-save, and there are tables for it' >&2; exit 127; }}
    {section("legacy")}
    $ROOT $legacy -t nat || exit
esac
{END}
"""

# iptables-nft does not read a nat table that nft made; it says so, and then prints an empty one as if it had.
_LEFT_TO_NFT = re.compile(r"# Table .nat. (contains incompatible base-chains|is incompatible), use .nft. tool")

_FORWARDING = {"DNAT": "--to-destination", "NETMAP": "--to", "REDIRECT": "--to-ports"}
_OTHER_TARGETS = words("ACCEPT DROP RETURN SNAT MASQUERADE LOG NFLOG ULOG MARK CONNMARK NFQUEUE SET TRACE")
_PORT_OPTIONS = frozenset({"--dport", "--dports", "--destination-port", "--destination-ports"})
# Options of matches that cannot speak of the destination port. An option that is not here may.
_NO_PORTS = words("""
    -p -s -d -i -o -f -m -j -g --source --destination --comment --sport --sports --source-port --source-ports
    --src-range --dst-range --src-type --dst-type --limit-iface-in --limit-iface-out --ctstate --ctdir
    --ctstatus --ctproto --ctorigsrc --ctorigdst --ctreplsrc --ctrepldst --ctorigsrcport --state --mac-source
    --tcp-flags --syn --icmp-type --mode --probability --every --packet --physdev-in --physdev-out
    --physdev-is-in --physdev-is-bridged --limit --limit-burst --rcheck --update --set --remove --name --rsource
    --rdest --mask --seconds --reap --hitcount --rttl --timestart --timestop --datestart --datestop --weekdays
    --monthdays --kerneltz --length --ttl-eq --ttl-gt --ttl-lt --dscp --dscp-class --tos --pkt-type --dir --pol
    --reqid --uid-owner --gid-owner --socket-exists --random --random-fully --persistent --to --to-destination
    --to-ports
""")


def iptables_forwards(router: str) -> Ask[NatRules]:
    """Every destination NAT in iptables' nat tables of `router`.

    Where its nft back end shows nothing, that counts only beside nft's ruleset with none of its rules in it; otherwise
    NoControl.
    """
    return controlled(
        command(
            router,
            _SCRIPT,
            probe="iptables-save -t nat",
            parse=parse_forwards,
            tools=(),
            may_use=("iptables-save", "iptables-nft-save", "iptables-legacy-save", "cat"),
            root=True,
        ),
        nft_forwards(router),
        silent=lambda rules: rules.opaque,
        seen=lambda rules: not rules.opaque,
        proves="nft lists rules of iptables, which iptables-save did not show",
    )


def parse_forwards(output: Output) -> NatRules:
    """`opaque` if its nft back end showed nothing: it is not on this host, has no nat table or leaves it to nft."""
    sections = split(output.text)
    if unknown := set(sections) - {"nft", "legacy"}:
        raise Unparseable(f"the script printed a section {unknown.pop()!r}, which it does not have")
    nft = sections.get("nft", "")
    opaque = not nft.strip() or _LEFT_TO_NFT.search(nft) is not None
    texts = [nft] if nft.strip() else []
    if "legacy" in sections:
        texts.append(sections["legacy"])
    return NatRules(tuple(f for text in texts for f in _forwards(text)), opaque)


@dataclass(frozen=True)
class _Rule:
    text: str
    words: list[str]
    """Without the words of its comment."""

    def value(self, *options: str) -> str | None:
        pairs = zip(self.words, self.words[1:], strict=False)
        return next((value for option, value in pairs if option in options), None)

    def matched(self, reach: Reach) -> Reach:
        """What its matches leave of `reach`."""
        for index, word in enumerate(self.words):
            if word in _PORT_OPTIONS:
                ports = _ports(self.words[index + 1])
                reach = reach.only(~ports if self.words[index - 1] == "!" else ports)
            elif word.startswith("-") and word not in _NO_PORTS:
                reach = reach.under(self.text)
        return reach


def _forwards(text: str) -> Iterator[Forward]:
    for rule, reach in _met(_table(text)):
        target = rule.value("-j")
        if target not in _FORWARDING:
            continue
        where = rule.value(_FORWARDING[target])
        if target == "REDIRECT":
            # To the router itself: of interest only if that is everything it has open.
            if reach.ports is not None or where is not None:
                continue
            where = "the router itself"
        if where is None:
            raise Unparseable(f"iptables-save does not say where this goes: {rule.text}")
        yield Forward(rule.text, where, reach.count())


def _met(chains: Mapping[str, list[_Rule]]) -> Iterator[tuple[_Rule, Reach]]:
    """The rules that an incoming packet meets, with what is left of it there."""
    seen: set[tuple[str, Reach]] = set()
    ahead = [("PREROUTING", Reach())]
    while ahead:
        if (here := ahead.pop(0)) in seen:
            continue
        seen.add(here)
        for rule in chains[here[0]]:
            if (target := rule.value("-j", "-g")) is None:
                continue
            reach = rule.matched(here[1])
            yield rule, reach
            if target in chains:
                ahead.append((target, reach))
            elif target not in _FORWARDING and target not in _OTHER_TARGETS:
                raise Unparseable(f"nobody knows what -j {target} makes of a packet: {rule.text}")


def _table(text: str) -> dict[str, list[_Rule]]:
    """Chain -> its rules."""
    lines = [line for line in text.splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith("#")]
    begun = any(line.startswith("# Generated by ") for line in lines[:2])
    if not begun or not lines[-1].startswith("# Completed on ") or [said[0], said[-1]] != ["*nat", "COMMIT"]:
        raise Unparseable(f"not a nat table as iptables-save prints it: {text[:200]!r}")
    chains: dict[str, list[_Rule]] = {}
    for line in said[1:-1]:
        if declared := re.fullmatch(r":(\S+) (\S+) \[[0-9]+:[0-9]+\]", line):
            chains[declared[1]] = []
            continue
        word, chain, *rest = shlex.split(line)
        if word != "-A" or chain not in chains:
            raise Unparseable(f"not a line of iptables-save, or of a chain that it does not show: {line!r}")
        if "--comment" in rest:
            del rest[rest.index("--comment") + 1]
        chains[chain].append(_Rule(line, rest))
    return chains


def _ports(spelt: str) -> Ports:
    ports = NONE
    for part in spelt.split(","):
        if not re.fullmatch(r"[0-9]+(:[0-9]+)?", part):
            raise Unparseable(f"iptables-save shows ports as {spelt!r}")
        first, _, last = part.partition(":")
        ports |= Ports.span(int(first), int(last or first))
    return ports
