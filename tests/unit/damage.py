"""Every way we know in which an answer can be spoilt before it is read.

A tool may be another one than it was, print its help, be forbidden or gone, be cut short, speak another language or
another version of its own; something may print into its output. Each way makes several outputs of one. What is damaged
is the output as a whole and, where a script prints several tools' outputs in sections, each of these by itself, since a
script goes on where a tool lies.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from siteproof.asks import Output
from siteproof.probes.common.sections import MARK

AMOUNT = os.environ.get("SITEPROOF_DAMAGE") or "sample"
"""How much is tried of what the tests can damage or attack with: `sample`, the same part of each kind in every run;
`all` of it; or `new`, which is all with other random damage in every run. What `all` leaves out says why there."""
if AMOUNT not in ("sample", "all", "new"):
    raise ValueError(f"SITEPROOF_DAMAGE is {AMOUNT!r}, and may be sample, all or new")
EVERYTHING = AMOUNT != "sample"
NEW = AMOUNT == "new"

Object = dict[str, Any]
Ways = Iterator[tuple[str, Output]]
"""What was done, and what came of it."""

_MARK = MARK.encode()

OWN_WORDS = frozenset({"end", "status", "scope", "present", "seconds", "table", "opened"})
"""Sections that the script itself writes, without a tool."""

HELP = {
    "busybox": b"""BusyBox v1.36.1 (Debian 1:1.36.1-9+b1) multi-call binary.

Usage: ip [OPTIONS] address|route|link|tunnel|neigh|rule [ARGS]

OPTIONS := -f[amily] inet|inet6|link | -o[neline]
""",
    "getopt": b"""Usage: tool [OPTION...] database [key ...]
Get entries from administrative database.

  -s, --service=CONFIG       Service configuration to be used
  -?, --help                 Give this help list
      --usage                Give a short usage message
  -V, --version              Print program version
""",
    "argparse": b"""usage: tool [-h] [--json] {list,show} ...
tool: error: unrecognized arguments: ahostsv4
""",
    "cobra": b"""Usage:  tool [OPTIONS] COMMAND

A self-sufficient runtime for containers

Commands:
  network     Manage networks
  info        Display system-wide information

Run 'tool COMMAND --help' for more information on a command.
""",
}
LOGIN_PAGE = b"""<!DOCTYPE html>
<html><head><title>Sign in</title></head>
<body><form action="/login" method="post"><input name="user"><input name="password"></form></body></html>
"""
SAID_INSTEAD = {
    "a login page": LOGIN_PAGE,
    "text for JSON": b"link: eth0 mtu: 1400 state: UP\n",
    "an empty object": b"{}\n",
    "an empty list": b"[]\n",
    "null": b"null\n",
    "a number": b"0\n",
    "true": b"true\n",
    "a version": b"tool version 2.43.0\n",
    "OK": b"OK\n",
    "an error on stdout": b"Error: command failed: Operation not permitted\n",
    "blank lines": b"\n\n\n",
}
REFUSALS = {
    "not found": (127, b"sh: 1: tool: not found\n"),
    "not found, bash": (127, b"bash: line 1: tool: command not found\n"),
    "not executable": (126, b"sh: 1: tool: Permission denied\n"),
    "permission denied": (1, b"Error: Permission denied (you must be root)\n"),
    "cannot open": (2, b"sh: 1: cannot open /etc/thing: Permission denied\n"),
    "sudo wants a password": (1, b"sudo: a password is required\n"),
    "sudo wants a terminal": (1, b"sudo: a terminal is required to read the password\n"),
    "sudo forbids": (1, b"sudo: Sorry, user siteproof may not run sudo on cp1.\n"),
    "sudo has no such tool": (1, b"sudo: tool: command not found\n"),
    "sudo in German": (1, b"sudo: Ein Passwort ist notwendig\n"),
    "doas forbids": (1, b"doas: Operation not permitted\n"),
    "usage": (64, b"usage: tool [-h]\n"),
    "killed": (137, b"Killed\n"),
    "aborted": (134, b"terminate called after throwing an instance of 'std::bad_alloc'\n"),
    "disk full": (1, b"write error: No space left on device\n"),
    "ssh": (255, b"Connection closed by remote host\n"),
}
STRAY_LINES = {
    "a banner": b"Welcome to Ubuntu 24.04.1 LTS (GNU/Linux 6.8.0-45-generic x86_64)",
    "a locale warning": b"bash: warning: setlocale: LC_ALL: cannot change locale (en_US.UTF-8)",
    "a deprecation": b"WARNING: this command is deprecated, use tool2 instead",
    "an error": b"tool: error while loading shared libraries: libfoo.so.1: cannot open shared object file",
    "a kernel message": b"[12345.678901] br-1234: port 1(veth1) entered blocking state",
    "a trace": b"+ exec tool --json",
}
UNKNOWN_WORDS = {
    **{name: line + b"\n" for name, line in STRAY_LINES.items()},
    "an interrupted dump": b"Dump was interrupted and may be inconsistent.\n",
    "a skipped file": b"Journal file /var/log/journal/0/system.journal is truncated, ignoring file.\n",
    "a hint": b"Hint: You are currently not seeing messages from other users and the system.\n",
    "an unreadable object": b"error: 'HEAD:stacks/web.yml': unable to read 8baef1b4abc478178b004d62031cf7fe6db6f903\n",
    "a denied directory": b"find: '/etc/docker/certs.d/r.example': Permission denied\n",
    "a partial answer": b"tool: warning: 3 of 17 entries were skipped\n",
    "words without a line's end": b"Killed",
    "colours": b"\x1b[33mWARN\x1b[0m something\n",
    "no text": b"\xff\xfe\x00w\n",
    "a known line in another": b"x sudo: unable to resolve host cp1: Name or service not known\n",
}
"""Beside a good answer, they may say that not everything was read."""
TRANSLATIONS = {
    b"not found": "nicht gefunden", b"received": "empfangen", b"packets": "Pakete", b"running": "läuft",
    b"Image is up to date": "Das Abbild ist aktuell", b"default": "Vorgabe", b"yes": "ja", b"no": "nein",
    b"Generated": "Erzeugt", b"Completed": "Fertig", b"success": "Erfolg", b"open": "offen", b"closed": "zu",
    b"ACCEPT": "ANNEHMEN", b"Pending": "Wartend", b"ago": "her", b"days": "Tage", b"failed to": "misslungen:",
}  # fmt: skip


def whole(output: Output, others: Sequence[Output]) -> Ways:
    """Damage to all that was printed."""
    stdout = output.stdout
    for name, (status, stderr) in REFUSALS.items():
        yield f"{name}, nothing printed", replace(output, status=status, stdout=b"", stderr=stderr)
        yield f"{name}, after printing", replace(output, status=status, stderr=output.stderr + stderr)
    for name, text in _instead():
        for status in (0, 1, 2):
            yield f"{name}, status {status}", replace(output, status=status, stdout=text)
            yield f"{name} on stderr, status {status}", replace(output, status=status, stdout=b"", stderr=text)
    for number, other in enumerate(others):
        yield f"another tool's answer {number}", replace(other, status=0)
    for end in sorted({0, *_line_ends(stdout)} - {len(stdout)}):
        yield f"cut after {end} bytes", replace(output, stdout=stdout[:end])
    yield "twice", replace(output, stdout=stdout * 2)
    yield "its lines in reverse", replace(output, stdout=b"".join(reversed(stdout.splitlines(keepends=True))))
    for name, text in _mixed(stdout, output.stderr):
        yield name, replace(output, stdout=text)
    for name, text in _encoded(stdout):
        yield name, replace(output, stdout=text)


def said_beside(output: Output) -> Ways:
    """Words on stderr that nobody knows, beside an answer that nothing was done to."""
    for name, words in UNKNOWN_WORDS.items():
        yield f"{name} before", replace(output, stderr=words.rstrip() + b"\n" + output.stderr)
        if not output.stderr or output.stderr.endswith(b"\n"):
            yield f"{name} behind", replace(output, stderr=output.stderr + words)


def sections(output: Output, others: Sequence[Output]) -> Ways:
    """Damage to what one tool of a script printed, the script's own marks untouched."""
    parts = re.split(rb"(?m)^(%s[^\n]*\n)" % _MARK, output.stdout)
    # `file /etc/hosts` and `file /etc/resolv.conf` are of one tool, which lies about both or none.
    tools: dict[str, list[int]] = {}
    for index in range(2, len(parts), 2):
        name, *_ = parts[index - 1].removeprefix(_MARK).decode().split()
        tools.setdefault(name, []).append(index)
    for name in tools.keys() - OWN_WORDS:
        damaged = [dict(_section(parts[index], output.stderr, others)) for index in tools[name]]
        for what in damaged[0]:
            changed = {i: texts[what] for i, texts in zip(tools[name], damaged, strict=True) if what in texts}
            stdout = b"".join(changed.get(index, part) for index, part in enumerate(parts))
            yield f"{name}: {what}", replace(output, stdout=stdout)


def documents(output: Output) -> Ways:
    """JSON of another schema: a key gone, renamed, or with another type of value, wherever it stands."""
    for start, end, document in _json_in(output.stdout.decode("utf-8", "surrogateescape")):
        text = output.stdout.decode("utf-8", "surrogateescape")
        for what, changed in _schemas(document):
            spelt = f"{text[:start]}{json.dumps(changed)}{text[end:]}"
            yield what, replace(output, stdout=spelt.encode("utf-8", "surrogateescape"))


def dialects(output: Output) -> Ways:
    """JSON that means the same in another version's spelling, or in another tool's that makes it."""
    text = output.stdout.decode("utf-8", "surrogateescape")
    for start, end, document in _json_in(text):
        for what, spelt in _spellings(document, text[start:end]):
            if spelt != text[start:end]:
                stdout = f"{text[:start]}{spelt}{text[end:]}".encode("utf-8", "surrogateescape")
                yield what, replace(output, stdout=stdout)
    for what, (here, elsewhere) in OTHER_WORDS.items():
        if (stdout := re.sub(here, elsewhere, output.stdout)) != output.stdout:
            yield what, replace(output, stdout=stdout)


def stream(output: Output, others: Sequence[Output]) -> Ways:
    """Damage to a message that came through a channel."""
    message = output.stdout
    for end in range(len(message)):
        yield f"cut after {end} bytes", replace(output, stdout=message[:end])
    for name, text in [*_instead(), *((f"another answer {n}", other.stdout) for n, other in enumerate(others))]:
        yield name, replace(output, stdout=text)
        yield f"{name} behind it", replace(output, stdout=message + text)
    yield "twice", replace(output, stdout=message * 2)
    yield "the question sent back", replace(output, stdout=message[:2] + b"\1\0" + message[4:])


def _instead() -> Iterator[tuple[str, bytes]]:
    yield "nothing", b""
    for name, text in HELP.items():
        yield f"help of {name}", text
    yield from SAID_INSTEAD.items()


def _section(body: bytes, stderr: bytes, others: Sequence[Output]) -> Iterator[tuple[str, bytes]]:
    for name, text in [*_instead(), *((f"another tool's answer {n}", other.stdout) for n, other in enumerate(others))]:
        yield name, b"" if not text else text + b"\n"
    if body.strip():
        yield "twice", body * 2
        yield from _mixed(body, stderr)
        yield from _encoded(body)


def _mixed(text: bytes, stderr: bytes) -> Iterator[tuple[str, bytes]]:
    lines = text.splitlines(keepends=True)
    strays = {**STRAY_LINES, **({"its own stderr": stderr.strip()} if stderr.strip() else {})}
    for name, stray in strays.items():
        for place in sorted({0, 1, len(lines) // 2, len(lines)} & set(range(len(lines) + 1))):
            yield f"{name} in line {place}", b"".join((*lines[:place], stray + b"\n", *lines[place:]))


def _encoded(text: bytes) -> Iterator[tuple[str, bytes]]:
    yield "UTF-16", text.decode("utf-8", "replace").encode("utf-16")
    yield "with carriage returns", text.replace(b"\n", b"\r\n")
    yield "with a byte order mark", b"\xef\xbb\xbf" + text
    yield "coloured", re.sub(rb"(?m)^(.+)$", b"\x1b[1;32m\\1\x1b[0m", text)
    yield "with decimal commas", re.sub(rb"(?<![\d.])(\d+)\.(\d{3,})(?![\d.])", rb"\1,\2", text)
    for english, other in TRANSLATIONS.items():
        if re.search(rb"\b%s\b" % re.escape(english), text):
            yield f"{other} for {english.decode()}", re.sub(rb"\b%s\b" % re.escape(english), other.encode(), text)
    for name, byte in (("NUL", b"\0"), ("a byte of Latin-1", b"\xe4")):
        for place in sorted({0, len(text) // 3, len(text) // 2}):
            yield f"{name} at {place}", text[:place] + byte + text[place:]


def _line_ends(text: bytes) -> Iterator[int]:
    position = 0
    for line in text.splitlines(keepends=True):
        position += len(line)
        yield position
        yield position - 1


def _json_in(text: str) -> Iterator[tuple[int, int, Any]]:
    """Every JSON document that stands at the start of a line."""
    decoder = json.JSONDecoder()
    position = 0
    for start in (m.start() for m in re.finditer(r"(?m)^[\[{]", text)):
        if start < position:
            continue
        try:
            document, position = decoder.raw_decode(text, start)
        except ValueError:
            continue
        yield start, position, document


NOTHING: dict[str, Any] = {"null": None, "an empty list": [], "an empty object": {}, "an empty text": ""}
"""What Go, Rust and C write for nothing, beside leaving it out."""
OTHER_WORDS = {
    "ports by their names": (rb'"right": (?:80|443)\b', b'"right": "https"'),
    "protocols by their numbers": (rb'"right": "tcp"', b'"right": 6'),
    "the back end in the tool's name": (rb"# Generated by iptables-save", b"# Generated by iptables-nft-save"),
    "no back end in the tool's name": (rb"# Generated by iptables-nft-save", b"# Generated by iptables-save"),
    "counters that moved": (rb"\[0:0\]", b"[12:3456]"),
    "the default network by its number": (rb'"dst":"default"', b'"dst":"0.0.0.0/0"'),
    "the usual type of route said": (rb'\{"dst":', b'{"type":"unicast","dst":'),
    "a state in small letters": (rb'"operstate":"(?:UNKNOWN|UP)"', b'"operstate":"unknown"'),
    "a zero for a null": (rb'": ?null\b', b'":0'),
}
"""What an older, newer or differently built version says for the same; each stands for its kind."""
NO_ORDER = frozenset({"set", "elem", "flags", "addr_info", "capabilities"})
"""Keys of lists whose items may come in any order."""


def _spellings(document: Any, text: str) -> Iterator[tuple[str, str]]:
    if text.strip() in ("{}", "[]"):
        return
    yield "indented", json.dumps(document, indent=4)
    yield "without a blank", json.dumps(document, separators=(",", ":"))
    yield "every letter escaped", _escaped(document)
    for what, changed in _same(document):
        yield what, json.dumps(changed)


def _same(document: Any) -> Iterator[tuple[str, Any]]:
    yield "keys the other way round", _each_object(document, lambda found: dict(reversed(found.items())))
    for name, new in (("null", None), ("an object", {}), ("a text", "new")):
        yield f"a new key with {name} in every object", _each_object(document, partial(_with, "NewKey", new))
    if isinstance(document, list):
        yield "the list the other way round", document[::-1]
    yield "an empty object first in every list of objects", _with_blanks(document)
    yield "lists without order the other way round", _each_object(document, _reversed)
    for key in sorted(_keys(document)):
        yield f"without the key {key} where it is empty", _each_object(document, partial(_without_empty, key))
        for name, value in NOTHING.items():
            yield f"{name} at {key} where it is empty", _each_object(document, partial(_emptied, key, value))
        yield f"{key} as a list", _each_object(document, partial(_listed, key))
        yield f"{key} as a text", _each_object(document, partial(_texted, key))


def _escaped(document: Any) -> str:
    """`"\\u0061"` for `"a"`."""
    return re.sub(
        r'"((?:[^"\\\\]|\\\\.)*)"',
        lambda m: '"' + "".join(f"\\u{ord(c):04x}" for c in json.loads(m[0])) + '"',
        json.dumps(document),
    )


def _with(key: str, value: Any, found: Object) -> Object:
    return {**found, key: value}


def _with_blanks(document: Any) -> Any:
    """As iproute2 does where a filter leaves something out."""
    if isinstance(document, dict):
        return {key: _with_blanks(value) for key, value in document.items()}
    if isinstance(document, list):
        objects = bool(document) and all(isinstance(item, dict) for item in document)
        return [*([{}] if objects else []), *map(_with_blanks, document)]
    return document


def _reversed(found: Object) -> Object:
    return {n: v[::-1] if n in NO_ORDER and isinstance(v, list) else v for n, v in found.items()}


def _without_empty(key: str, found: Object) -> Object:
    return {n: value for n, value in found.items() if n != key or not _is_empty(value)}


def _emptied(key: str, nothing: Any, found: Object) -> Object:
    return {n: nothing if n == key and _is_empty(value) else value for n, value in found.items()}


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, list | dict | str) and not value)


def _listed(key: str, found: Object) -> Object:
    """A text alone where there was a list of one, and a list of one where there was a text."""
    return {n: _list_of_one(value) if n == key else value for n, value in found.items()}


def _list_of_one(value: Any) -> Any:
    if isinstance(value, list) and len(value) == 1:
        return value[0]
    return [value] if isinstance(value, str) else value


def _texted(key: str, found: Object) -> Object:
    """`"80"` for `80`, and `"true"` for `true`."""
    return {n: json.dumps(v) if n == key and isinstance(v, int | float) else v for n, v in found.items()}


def _schemas(document: Any) -> Iterator[tuple[str, Any]]:
    for key in sorted(_keys(document)):
        renamed = f"{key}2" if key.islower() else key.lower()
        yield f"without the key {key}", _each_object(document, partial(_without, key))
        yield f"{renamed} for the key {key}", _each_object(document, partial(_renamed, key, renamed))
        for name, value in (("null", None), ("a text", "?"), ("an object", {"value": 1})):
            yield f"{name} at {key}", _each_object(document, partial(_retyped, key, value))
    yield "inside a list", [document]
    yield "inside an object", {"data": document}


def _without(key: str, found: Object) -> Object:
    return {name: value for name, value in found.items() if name != key}


def _renamed(key: str, other: str, found: Object) -> Object:
    return {other if name == key else name: value for name, value in found.items()}


def _retyped(key: str, other: Any, found: Object) -> Object:
    """Another value of the same type would be another answer, and nobody could tell."""
    return {n: other if n == key and type(value) is not type(other) else value for n, value in found.items()}


def _keys(document: Any) -> set[str]:
    """Without those that are a name, an id or a network: they are data."""
    if isinstance(document, dict):
        own = {key for key in document if re.fullmatch("[A-Za-z_ ]+", key)}
        return own.union(*map(_keys, document.values()))
    return set().union(*map(_keys, document)) if isinstance(document, list) else set()


def _each_object(document: Any, change: Callable[[Object], Object]) -> Any:
    if isinstance(document, dict):
        return change({key: _each_object(value, change) for key, value in document.items()})
    return [_each_object(value, change) for value in document] if isinstance(document, list) else document
