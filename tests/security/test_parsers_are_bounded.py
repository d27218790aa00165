"""No answer holds the judge: a parser reads so many bytes, and takes no more time for each of them the more they are.

Each is fed its own lines over and over, one long line, every bracket, and what its module's patterns nearly match, at a
part of what it reads; what takes longest of these, or too long, at a quarter and at all of it. Four times as much may
take eight times as long, and not sixteen.
"""

from __future__ import annotations

import ast
import gc
import importlib
import inspect
import re
import re._parser as sre  # type: ignore[import-not-found]
import signal
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from types import FrameType, ModuleType
from typing import Any

import pytest
import recorded
from damage import EVERYTHING
from recorded import Recording

from siteproof.asks import LARGE, Controlled, Derived, Heard, Output, Single
from siteproof.errors import ProbeError, TooLarge
from siteproof.probes.common.sections import MARK
from siteproof.probes.names.dns import LONGEST_REPLY
from siteproof.report.text import wrapped
from siteproof.runtimes.pull_failure import cause
from siteproof.text.characters import printable

CASES = 300 if EVERYTHING else 40
"""Tried for each probe. `all` is not all here: the thousands that can be made would take hours."""
RATIO = 8
NOTHING_S = 0.4
"""Of the processor's time: less says nothing of how it grows."""
PART = 16
"""A case is tried at this part of the bound; what is suspicious there, and the slowest, at the bound itself."""
NOTHING_OF_A_PART_S = 0.02
"""What grows with the square and takes less for a part takes less than 6 s for the whole."""
LIMIT_S = 20
TRIES = 3
"""A machine that does something else makes one of them long, not all."""


class TooSlow(BaseException):
    """Not one of those that a parser's caller takes for an answer that cannot be read."""


@contextmanager
def watched(what: str) -> Iterator[None]:
    """Ends what takes more than LIMIT_S of the processor."""

    def end(_: int, __: FrameType | None) -> None:
        raise TooSlow(f"{what}: not done after {LIMIT_S} s")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def seconds(read: Callable[[], object], what: str) -> float:
    with watched(what):
        gc.disable()  # what it looks through is all that this process has, not what is read
        try:
            start = time.process_time()
            with suppress(Exception):  # refused is well; only the time counts
                read()
            return time.process_time() - start
        finally:
            gc.enable()


Feed = Callable[[int], Callable[[], object]]
"""`feed(size)` makes the call that is timed."""


def measured(feed: Feed, most: int, what: str) -> tuple[float, float]:
    """How long a quarter takes, and all of it."""
    try:
        part, whole = (seconds(feed(size), what) for size in (most // 4, most))
    except TooSlow as slow:
        pytest.fail(str(slow))
    return part, whole


def assert_linear(feed: Feed, most: int, what: str) -> None:
    """What grows with the square takes 16 times as long, each time."""
    seen: list[str] = []
    for _ in range(TRIES):
        part, whole = measured(feed, most, what)
        if whole < max(NOTHING_S, RATIO * part):
            return
        seen.append(f"{part:.2f} s, then {whole:.2f} s")
    pytest.fail(f"{what}: {'; '.join(seen)}")


# What is fed.


def near_matches(module: ModuleType) -> list[str]:
    """What the patterns of a module, and those that it calls with, match up to some place."""
    tree = ast.parse(inspect.getsource(module))
    spelt = {p.pattern for p in vars(module).values() if isinstance(p, re.Pattern) and isinstance(p.pattern, str)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.func).startswith("re."):
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                spelt.add(first.value)
    return sorted({text for pattern in spelt for text in _up_to(sre.parse(pattern)) if text.strip("\n")})


def _up_to(parsed: Any) -> Iterator[str]:
    text = ""
    for item in parsed:
        text += _one(item)
        yield text


def _one(item: Any) -> str:
    """Something short that a part of a pattern matches."""
    kind, value = str(item[0]), item[1]
    if kind == "LITERAL":
        return chr(value)
    if kind == "IN":
        return next((c for c in ' a0:=."-/[' if re.match(_as_class(value), c)), "")
    if kind == "NOT_LITERAL" or kind == "ANY":
        return "a"
    if kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        return "".join(map(_one, value[2])) * max(1, min(int(value[0]), 40))
    if kind in ("SUBPATTERN", "ATOMIC_GROUP"):
        return "".join(map(_one, value[-1] if kind == "SUBPATTERN" else value))
    if kind == "BRANCH":
        return "".join(map(_one, value[1][0]))
    return ""


_CLASSES = {"CATEGORY_SPACE": r"\s", "CATEGORY_DIGIT": r"\d", "CATEGORY_WORD": r"\w", "CATEGORY_NOT_SPACE": r"\S",
            "CATEGORY_NOT_DIGIT": r"\D", "CATEGORY_NOT_WORD": r"\W"}  # fmt: skip


def _as_class(items: Any) -> str:
    parts = ""
    for kind, value in items:
        match str(kind):
            case "NEGATE":
                parts += "^"
            case "LITERAL":
                parts += re.escape(chr(value))
            case "RANGE":
                parts += f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
            case _:
                parts += _CLASSES[str(value)]
    return f"[{parts}]"


# fmt: off
TOKENS = (
    "a", "9", " ", "\n", "\t", ".", "a.", "a ", "a\n", "-", "0-65535,", "1,", "/", ":", "=", '"', "'", "\\", '\\"', "[",
    "{", '{"a":', "[[", "(", "<a>", "<a ", "&b;", "]]>", "a = [", "[a.b]\n", "a.a=1\n", "%", "|", "| ", "#", "é",
    "\u0301", "\x1b[",
)
# fmt: on


def _frames(text: str) -> Iterator[tuple[str, str, str]]:
    """Before, inside, behind: each section of a script's output, or all of it."""
    if MARK not in text:
        yield "", text, ""
        return
    parts = re.split(rf"(?m)^({MARK}[^\n]*\n)", text)
    for index in range(2, len(parts) - 2, 2):
        yield "".join(parts[:index]), parts[index], "\n" + "".join(parts[index + 1 :])


def _filled(before: str, token: str, behind: str, size: int) -> bytes:
    room = size - len(f"{before}{behind}".encode("utf-8", "surrogateescape")) - 1
    filling = token * (room // len(token.encode("utf-8", "surrogateescape")))
    return f"{before}{filling}{behind}".encode("utf-8", "surrogateescape")


def cases(recording: Recording, module: ModuleType) -> Iterator[tuple[str, Callable[[int], bytes]]]:
    """What is repeated and where; and what makes it, of a size."""
    text = recording.output.stdout.decode("utf-8", "surrogateescape")
    tokens = [*near_matches(module), *TOKENS]
    for before, body, behind in _frames(text):
        (title,) = before.splitlines()[-1:] or ["all of it"]
        lines = list(dict.fromkeys(body.splitlines(keepends=True)))[:40]
        for token in [*([body] if body.strip() else []), *lines, *tokens]:
            yield f"{title}: {token[:40]!r}", partial(_filled, before, token, behind)
        for at in _places(body):
            for token in tokens:
                what = f"{title}: {token!r} behind {body[max(0, at - 20) : at]!r}"
                yield what, partial(_filled, before + body[:at], token, body[at:] + behind)


def _places(body: str) -> list[int]:
    """Where a value of each kind of line begins, or ends."""
    kinds: dict[str, int] = {}
    for found in re.finditer(r"[:=\" ]\"?(?=[\w/<])|(?<=\w)(?=\n)", body):
        start = body.rfind("\n", 0, found.start()) + 1
        kinds.setdefault(re.sub(r"\d+", "0", body[start : found.end()][:40]), found.end())
    return list(kinds.values())[:60]


def innermost(ask: Any) -> Single[Any]:
    match ask:
        case Controlled() | Heard() | Derived():
            return innermost(ask.ask)
    assert isinstance(ask, Single)
    return ask


def by_probe() -> dict[str, Recording]:
    """The longest recorded answer of each probe."""
    found: dict[str, Recording] = {}
    for recording in sorted(recorded.every(), key=lambda r: (r.error is not None, -len(r.output.stdout))):
        found.setdefault(recording.probe, recording)
    return found


RECORDED = by_probe()


def bound_of(single: Single[Any]) -> int:
    """How many bytes it reads; fails where nobody said."""
    assert hasattr(single.parse, "__wrapped__"), f"{single.question.probe} is read without a bound: see asks.bounded"
    most = inspect.getclosurevars(single.parse).nonlocals["at_most"]
    assert isinstance(most, int)
    return most


@pytest.mark.parametrize("name", RECORDED)
def test_more_than_its_bound_is_not_read(name: str) -> None:
    single = innermost(eval(RECORDED[name].ask, dict(recorded.NAMES)))
    most = bound_of(single)
    assert most <= LARGE
    with pytest.raises(TooLarge):
        single.parse(Output(0, b"a" * (most + 1), b"", 0, 0))


@pytest.mark.parametrize("name", RECORDED)
def test_a_parser_takes_time_in_proportion(name: str) -> None:
    recording = RECORDED[name]
    single = innermost(eval(recording.ask, dict(recorded.NAMES)))
    module = importlib.import_module(recorded.NAMES[name].__module__)
    parse, most = single.parse.__wrapped__, bound_of(single)  # type: ignore[attr-defined]
    tried = sorted(
        cases(recording, module), key=lambda case: zlib.crc32(f"{name} {case[0]}".encode("utf-8", "replace"))
    )
    suspicious: list[tuple[str, Feed]] = []
    slowest: tuple[float, str, Feed] | None = None
    for what, made in tried[:CASES]:

        def feed(size: int, made: Callable[[int], bytes] = made) -> Callable[[], object]:
            output = replace(recording.output, stdout=made(size))
            return lambda: parse(output)

        part, whole = measured(feed, most // PART, f"{name}, {what}")
        if whole >= max(NOTHING_OF_A_PART_S, RATIO * part):
            suspicious.append((what, feed))
        elif slowest is None or whole > slowest[0]:
            slowest = whole, what, feed
    for what, suspect in [*suspicious, *([slowest[1:]] if slowest else [])]:
        assert_linear(suspect, most, f"{name}, {what}")


# Worse than what can be made of a recording.


def registry_headers(size: int) -> bytes:
    head = f"\n{MARK}headers\nHTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: "
    return _filled(head, "Bearer ", f"\r\n\r\n\n{MARK}written\n401 192.0.2.1\n\n{MARK}status\n0\n\n{MARK}end\n", size)


def nmap_ports(size: int) -> bytes:
    group = '<extrareasons reason="resets" ports="0-65535"/>'
    head = '<?xml version="1.0"?><nmaprun><host><address addr="198.51.100.77"/><ports><extraports state="closed">'
    behind = '</extraports></ports></host><runstats><finished exit="success"/></runstats></nmaprun>'
    return _filled(head, group, behind, size)


def nmap_entities(_: int) -> bytes:
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    return f'<!DOCTYPE nmaprun [<!ENTITY a0 "aaaaaaaaaa">{entities}]><nmaprun>&a11;</nmaprun>'.encode()


def nft_ways(size: int) -> bytes:
    """Chains each of which jumps to the next one twice: as many ways as two to the power of them."""
    chain = '{{"chain": {{"family": "inet", "table": "t", "name": "c{0}"{1}}}}}'
    rule = '{{"rule": {{"family": "inet", "table": "t", "chain": "c{0}", "expr": [{{"jump": {{"target": "c{1}"}}}}]}}}}'
    hook = ', "hook": "prerouting", "prio": 0, "type": "nat", "policy": "accept"'
    depth = min(60, size // 200)
    items = ['{"metainfo": {"json_schema_version": 1}}', '{"table": {"family": "inet", "name": "t"}}']
    items += [chain.format(n, "" if n else hook) for n in range(depth + 1)]
    items += [rule.format(n, n + 1) for n in range(depth) for _ in range(2)]
    return f'{{"nftables": [{", ".join(items)}]}}'.encode()


def iptables_ways(size: int) -> bytes:
    depth = min(24, size // 100)
    lines = ["*nat", ":PREROUTING ACCEPT [0:0]", *(f":C{n} - [0:0]" for n in range(depth + 1)), "-A PREROUTING -j C0"]
    for n in range(depth):
        for port in (n, n + 100):
            lines.append(f"-A C{n} -p tcp -m multiport ! --dports {port + 1} -j C{n + 1}")
    text = "\n".join(["# Generated by iptables-save", *lines, "COMMIT", "# Completed on today"])
    return f"\n{MARK}nft\n{text}\n\n{MARK}end\n".encode()


def sockets(size: int) -> bytes:
    behind = f"\nb\n\n{MARK}report\n\n200 bytes=300000 tls=0.1 first=0.2 https://a/\n\n{MARK}status\n0\n\n{MARK}end\n"
    return _filled(f"\n{MARK}sockets\n0 0 192.0.2.1:1 192.0.2.2:2 ", "pid=", behind, size)


def tasks(size: int) -> bytes:
    head = f"\n{MARK}created\n{'a' * 25}\n\n{MARK}tasks\n{'a' * 25} Running "
    return _filled(head, "ago ", f'"a"b\n\n{MARK}seconds\n1\n\n{MARK}end\n', size)


def dns_names(size: int) -> bytes:
    """Names that lead to names that lead to names, and records that all have the last of them."""
    asked = b"\7forgejo\4home\7example\0"
    chain, start = bytearray(b"\1a\0"), 12 + len(asked) + 4 + 11
    end = min(size // 2, 0x3FF0)
    while start + len(chain) + 2 < end:
        chain += struct.pack("!H", 0xC000 | (start + len(chain) - (2 if len(chain) > 3 else 3)))
    last = start + len(chain) - 2
    record = struct.pack("!HHHIH4s", 0xC000 | last, 1, 1, 1, 4, b"\xc0\0\2\1")
    first = struct.pack("!BHHIH", 0, 10, 1, 1, len(chain)) + chain
    count = (size - start - len(chain)) // len(record)
    return (
        struct.pack("!HHHHHH", 1, 0x8180, 1, count + 1, 0, 0)
        + asked
        + struct.pack("!HH", 1, 1)
        + first
        + record * count
    )


def toml_key(size: int) -> bytes:
    """A key of as many parts as there is room for."""
    text = RECORDED["containerd_registries"].output.stdout.decode()
    (before, behind) = next(
        (before, behind) for before, _, behind in _frames(text) if before.endswith(f"{MARK}config\n")
    )
    return _filled(f"{before}| a", ".a", f" = 1{behind}", size)


WORST: dict[str, tuple[str, Callable[[int], bytes]]] = {
    "challenges of a registry": ("registry_answer", registry_headers),
    "parts of a key": ("containerd_registries", toml_key),
    "ports of nmap": ("tcp_scan", nmap_ports),
    "entities of XML": ("tcp_scan", nmap_entities),
    "ways through nft's chains": ("nft_forwards", nft_ways),
    "ways through iptables' chains": ("iptables_forwards", iptables_ways),
    "a connection's process": ("transfer", sockets),
    "a task's past": ("deploy_canary", tasks),
    "names of DNS": ("dns_reply", dns_names),
}


@pytest.mark.parametrize("what", WORST)
def test_the_worst_that_is_known_is_read_or_refused_in_time(what: str) -> None:
    name, made = WORST[what]
    single = innermost(eval(RECORDED[name].ask, dict(recorded.NAMES)))
    most = bound_of(single)

    def feed(size: int) -> Callable[[], object]:
        output = Output(0, made(size), b"", 0, 0)
        return lambda: single.parse.__wrapped__(output)  # type: ignore[attr-defined]

    try:
        assert seconds(feed(most), what) < LIMIT_S / 2
    except TooSlow as slow:
        pytest.fail(str(slow))


def test_the_longest_reply_of_dns_is_a_bound_of_its_own() -> None:
    assert bound_of(innermost(eval(RECORDED["dns_reply"].ask, dict(recorded.NAMES)))) == LONGEST_REPLY


@pytest.mark.parametrize(
    "read",
    [
        lambda size: lambda: cause("dial tcp " * (size // 9)),
        lambda size: lambda: cause("dial tcp a" + "a " * (size // 2)),
        lambda size: lambda: printable("\x1b" * size),
        lambda size: lambda: wrapped("a" * size, 100, 10),
        lambda size: lambda: wrapped("a " * (size // 2), 100, 10),
        lambda size: lambda: wrapped("a-" * (size // 2), 100, 10),
    ],
)
def test_what_comes_after_a_parser_takes_time_in_proportion(read: Callable[[int], Callable[[], object]]) -> None:
    assert_linear(read, LARGE, "text")


def test_a_parser_that_takes_the_square_is_found() -> None:
    slow = re.compile(r'(Bearer|Basic)\s.*?realm="(?P<realm>[^"]*)"', re.IGNORECASE)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        assert_linear(lambda size: lambda: slow.search("Bearer " * (size // 7)), 32 << 10, "a quadratic pattern")
    assert "Bearer " in _prefixes_of(slow)


def _prefixes_of(pattern: re.Pattern[str]) -> list[str]:
    return list(_up_to(sre.parse(pattern.pattern)))


def test_errors_of_a_bomb_are_of_our_own_kind() -> None:
    single = innermost(eval(RECORDED["tcp_scan"].ask, dict(recorded.NAMES)))
    for made in (nmap_ports, nmap_entities):
        with pytest.raises(ProbeError):
            single.parse(Output(0, made(1 << 16), b"", 0, 0))
