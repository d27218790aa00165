"""DNS asked over UDP, as programs do it, with the tool that the host has: dig or drill. And both ways at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Literal, TypeVar

from siteproof.asks import (
    ADDRESS,
    HOST_NAME,
    RECORD_TYPE,
    SMALL,
    Ask,
    Host,
    Output,
    command,
    controlled,
    each,
    note,
    or_silence,
)
from siteproof.asks.words import Address
from siteproof.errors import NoControl, ToolFailed, Unanswered, Unparseable
from siteproof.probes.common.sections import END, section, split, whole_number
from siteproof.probes.names.dns import Kind, Reply, dns_addresses, dns_reply, told

VERSION = {"dig": "dig -v", "drill": "drill -v"}

# Neither falls back to TCP: what does not get through over UDP is what is looked for.
_SCRIPT = f"""\
tool=none
for known in drill dig; do command -v $known >/dev/null && tool=$known; done
case $tool in
    dig) set -- +notcp +ignore +tries=2 +time=2 +noall +comments +question +answer +authority "@$1" "$2" "$3" ;;
    drill) set -- -u "$2" "@$1" "$3" ;;
esac
{section("said by ")}$tool
[ $tool = none ] || $tool "$@"
status=$?
{section("status")}
echo $status
{END}
"""
NO_REPLY = {"dig": 9, "drill": 1}
_NOBODY = re.compile("no servers could be reached|no response from|Could not send or receive")
# dig waits through all its tries before 9.17, also where the port is refused: a dead server keeps each for seconds.
_SILENCE = rf"(?s)(?:{_NOBODY.pattern}).*\n== siteproof status\n[19]\n"

_HEADER = re.compile(r"^;; ->>HEADER<<- opcode: QUERY, (?:status|rcode): ([A-Z]+), id: \d+\s*$", re.MULTILINE)
_FLAGS = re.compile(
    # What a server sets in the bit that must be zero is said, and is nobody's concern.
    r"^;; flags: (?P<set>[a-z ]*?) ?;(?: MBZ: 0x[0-9a-f]+[;,])? QUERY: 1, "
    r"ANSWER: (?P<ANSWER>\d+), AUTHORITY: (?P<AUTHORITY>\d+),",
    re.MULTILINE,
)
_QUESTION = re.compile(r"^;(?:; )?([^;\s]\S*)\s+IN\s+([A-Z]+)\s*$", re.MULTILINE)
_RECORDS = r"^;; {} SECTION:\n((?:[^;\s].*\n)*)"
_RECORD = re.compile(r"(?P<name>\S+)\s+(?P<ttl>\d+)\s+IN\s+(?P<kind>[A-Z0-9]+)\s+(?P<data>.+)")


class Nothing(Enum):
    """What a host has to ask with."""

    TO_ASK_WITH = "neither dig nor drill"


A = TypeVar("A")
B = TypeVar("B")


def udp_reply(host: Host, name: str, *, at: Address, kind: Kind = "A") -> Ask[Reply | Nothing]:
    """What the server `at` says to `host` about `name` over UDP. Raises Unanswered if nothing came back."""
    return command(
        host,
        _SCRIPT,
        probe=f"dig {kind} {name} at {at}",
        parse=lambda output: parse(output, name, kind),
        at_most=SMALL,
        given={"@": (ADDRESS(at), HOST_NAME(name), RECORD_TYPE(kind))},
        tools=(),
        may_use=("dig", "drill"),
        deadline_s=6,
        waits_for=f"{at} port 53 over UDP",
        silence=_SILENCE,
        probe_class="sends",
    )


def replies(
    host: Host, name: str, servers: Iterable[Address], *, control: Ask[Reply], kind: Kind = "A"
) -> dict[str, Ask[Reply | Nothing | None]]:
    """What each server says to `host` about `name`, over TCP and over UDP; None where it does not answer.

    That counts only if the `control`, another server asked from the same host, does; otherwise NoControl. To be
    awaited by `each_way`.
    """
    asks: dict[str, Ask[Reply | Nothing]] = {}
    for server in servers:
        asks[f"{server} over TCP"] = dns_reply(host, name, at=server, kind=kind)
        asks[f"{server} over UDP"] = udp_reply(host, name, at=server, kind=kind)
    proves = f"{control.questions[0].probe} is not answered either"
    return {way: or_silence(ask, control=control, proves=proves) for way, ask in asks.items()}


def addresses(
    host: Host, name: str, servers: Iterable[Address], *, control: str, kind: Literal["A", "AAAA"] = "A"
) -> dict[str, Ask[frozenset[Address] | Nothing | None]]:
    """The addresses that each server gives to `host`, over TCP and over UDP; empty as in `dns_addresses`.

    None where a server answers `control` one way, and this not at all the other. To be awaited by `each_way`.
    """
    asks: dict[str, Ask[frozenset[Address] | Nothing | None]] = {}
    for server in servers:
        tcp, udp = dns_reply(host, control, at=server), udp_reply(host, control, at=server)
        over_tcp = dns_addresses(host, name, at=server, control=control, kind=kind)
        over_udp = controlled(
            udp_reply(host, name, at=server, kind=kind).then(_told),
            udp.then(_told),
            silent=lambda found: found == frozenset(),
            seen=bool,
            proves=f"{server} has no address for {control} either",
        )
        asks[f"{server} over TCP"] = or_silence(over_tcp, control=udp.then(_said), proves="nor over UDP")
        asks[f"{server} over UDP"] = or_silence(over_udp, control=tcp, proves="nor over TCP")
    return asks


def _said(reply: Reply | Nothing) -> Reply:
    if isinstance(reply, Nothing):
        raise NoControl(f"{reply.value} is on this host, to ask with over UDP")
    return reply


async def each_way(asks: Mapping[A, Ask[B | Nothing]]) -> dict[A, B]:
    """`each`, without the ways that a host has nothing to ask with, which is noted."""
    answers = await each(asks)
    found = {way: answer for way, answer in answers.items() if not isinstance(answer, Nothing)}
    if len(found) < len(answers):
        note("neither dig nor drill is on this host, so nothing was asked over UDP")
    return found


def _told(said: Reply | Nothing) -> frozenset[Address] | Nothing:
    return said if isinstance(said, Nothing) else told(said)


def parse(output: Output, name: str, kind: Kind) -> Reply | Nothing:
    """What dig and drill print is alike: a header, flags with the number of records, the question, the records."""
    sections = split(output.text, *((f"said by {tool}",) for tool in ("dig", "drill", "none")), "status")
    status = whole_number(sections, "status")
    (tool,) = {title.removeprefix("said by ") for title in sections} - {"status"}
    if tool == "none":
        return Nothing.TO_ASK_WITH
    text = sections[f"said by {tool}"]
    words = (text + output.errors).strip()[-300:]
    if status == NO_REPLY[tool] and _NOBODY.search(words):
        raise Unanswered(f"{tool}: {words}")
    if status != 0:
        raise ToolFailed(f"{tool} ended with status {status}, which is not an answer: {words}")
    return _read(f"{text}\n", name, kind)


def _read(text: str, name: str, kind: Kind) -> Reply:
    # As in dns.py: only who asks needs dnspython.
    from siteproof.probes.names.message import Record, of_words, read

    header, flags, question = _HEADER.search(text), _FLAGS.search(text), _QUESTION.search(text)
    if header is None or flags is None or question is None:
        raise Unparseable(f"not a reply as dig prints it: {text[:200]!r}")
    records: dict[str, list[Record]] = {}
    for part in ("ANSWER", "AUTHORITY"):
        found = re.search(_RECORDS.format(part), text, re.MULTILINE)
        lines = found[1].splitlines() if found else []
        if len(lines) != int(flags[part]):
            raise Unparseable(f"the reply has {flags[part]} records in {part}, and {len(lines)} are printed")
        written = [_written(line) for line in lines]
        records[part] = [Record(w["name"], int(w["ttl"]), w["kind"], w["data"]) for w in written]
    asked = question[1], question[2]
    return read(of_words(header[1], flags["set"], asked, records["ANSWER"], records["AUTHORITY"]), name, kind)


def _written(line: str) -> re.Match[str]:
    if (record := _RECORD.fullmatch(line)) is None:
        raise Unparseable(f"not a record as dig prints it: {line!r}")
    return record
