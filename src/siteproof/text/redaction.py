r"""Finds secrets in text, however a tool has spelled them, and puts a mark in their place.

`docs/redaction.md` lists what is promised. A tool spells a secret otherwise than the vault because it quotes or encodes
what it prints: `&` is `%26` in a URL, `\u0026` in Go's JSON, `&amp;` on a page, `\&` in a shell's word. So each
character of a secret may stand in any of its spellings, and many tools may have quoted it one after the other. Base64
and hex know no characters; they have patterns of their own.

Letters and digits are left alone by nearly all of them. That is what makes it cheap: text in which not even the longest
run of letters and digits of a secret occurs is not looked at any further.
"""

from __future__ import annotations

import base64
import html
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cached_property
from html.entities import html5
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, quote_plus

T = TypeVar("T")
Span = tuple[int, int]

REDACTED = "«redacted»"
SHORTEST_SECRET = 4
SHORTEST_LINE = 8
"""A line of a longer secret that is shorter than this may be a word that many have, such as `contexts:`."""
SHORTEST_SENTENCE = 16
"""The same of a line of several words, or of letters alone."""

# All repetitions are possessive and bounded: each character has one way to be read, wherever a match begins.
_ESCAPED = rb"\\{1,16}+"  # by several tools one after the other
_MAYBE_ESCAPED = rb"\\{0,16}+"
_PERCENT = rb"%(?:25){0,4}+"
_AMPERSAND = rb"(?:\\{0,16}+&|\\{1,16}+u0026)(?:amp;){0,4}+"  # what stands for a quote in JSON keeps its backslash
_MARKS = re.compile(
    rb"(?:\xc2\xab|\\{1,16}+u00[aA][bB]|&laquo;|&#171;|(?:%[cC]2)?%[aA][bB])redacted"
    rb"(?:\xc2\xbb|\\{1,16}+u00[bB][bB]|&raquo;|&#187;|(?:%[cC]2)?%[bB][bB])"
)
_NAMED: dict[str, list[str]] = {}
"""Character -> the names that HTML has for it."""
for _name, _char in sorted(html5.items()):
    if len(_char) == 1 and _name.endswith(";"):
        _NAMED.setdefault(_char, []).append(_name.removesuffix(";"))
_OFTEN = "+$%&;#*|<>\\'}{][)(=_-,.:/\" "
"""Signs that much output has: the later, the worse to search for."""
_LETTERS = re.compile(r"[A-Za-z0-9]+")
_TOKENS = re.compile(
    r"(?P<percent>%+(?:25)*)|(?P<letters>[A-Za-z0-9]+)|(?P<inside>(?<=.)[\\'\"]+(?=[^\\'\"]))|"
    r"(?P<backslashes>\\+)|(?P<dollars>\$+)|(?P<line>[\r\n]+[ \t]*)|.",
    re.DOTALL,
)
_HEX_DIGITS = re.compile(rb"%([0-9A-F]{2})|\\u([0-9a-f]{4})")
_LIKE_AN_ESCAPE = rb"(?:x[0-9a-fA-F]{2}|[uU][0-9a-fA-F]{4}|[0-3][0-7]{2})"
_LINE_END = (
    rb"(?>(?:\\{1,16}+r)?\\{1,16}+(?:n|x0[aA]|012|u000[aA])|\r?\n|(?:%(?:25){0,4}+0[dD])?%(?:25){0,4}+0[aA]|"
    rb"(?:&#13;)?&#(?:10|[xX][aA]);|<br>|[ +])[ \t]{0,64}+"
)
_LETTER = rb"(?:[46][1-9a-fA-F]|[57][0-9aA]|3[0-9])"
_OCTAL_LETTER = rb"(?:0[67][0-7]|1[0-7][0-7])"
_ESCAPED_LETTER = re.compile(
    rb"\\{1,16}+(?:(?:u00|x)(?P<after_x>" + _LETTER + rb")|(?P<octal>" + _OCTAL_LETTER + rb"))|"
    rb"%(?:25){0,4}+(?P<percent>"
    + _LETTER
    + rb")|"
    + _AMPERSAND
    + rb"#(?:0{0,4}(?P<decimal>[0-9]{2,3})|[xX]0{0,4}(?P<entity>"
    + _LETTER
    + rb"));"
)
# Each begins with a byte that is quickly found.
_SIGNS_OF_ESCAPED_LETTERS = (
    (b"%", re.compile(b"%(?:25){0,4}+" + _LETTER)),
    (b"\\", re.compile(rb"\\(?:(?:u00|x)" + _LETTER + b"|" + _OCTAL_LETTER + b")")),
    (b"&", re.compile(rb"&(?:amp;){0,4}+#[xX0-9]")),
    (b"u0026", re.compile(rb"u0026(?:amp;){0,4}+#[xX0-9]")),
)

_ESCAPED_LINE_END = rb"(?:\\{1,16}+(?:[rn]|u000[aAdD])|%(?:25){0,4}+0[aAdD]|&#(?:1[03]|[xX]0?[aAdD]);)"
_WRAPPED = rb"(?:(?:" + _ESCAPED_LINE_END + rb"|\\?\r?\n)[ \t]{0,64}+){0,3}+"
_ESCAPED_BASE64 = re.compile(
    rb"(?P<end>" + _ESCAPED_LINE_END + rb")|(?P<plus>\\{1,16}+u002[bB]|%(?:25){0,4}+2[bB]|&#(?:43|[xX]2[bB]);|&plus;)|"
    rb"(?P<slash>\\{1,16}+u002[fF]|%(?:25){0,4}+2[fF]|&#(?:47|[xX]2[fF]);|&sol;)"
)
_BASE64_SIGNS = {
    ord("+"): rb"(?:[+-]|%(?:25){0,4}+2[bB]|\\{1,16}+u002[bB]|&#43;|&#[xX]2[bB];|&plus;)",
    ord("/"): rb"(?:\\{0,16}+/|_|%(?:25){0,4}+2[fF]|\\{1,16}+u002[fF]|&#47;|&#[xX]2[fF];|&sol;)",
}
_BETWEEN_BYTES = rb"(?:[ :-]|" + _ESCAPED_LINE_END + rb"|\r?\n[ \t]{0,64}+){0,3}+"


class Redactor:
    """Replaces secrets wherever they stand in bytes, text or plain data. What it has replaced stays as it is."""

    def __init__(self, secrets: Collection[str]) -> None:
        pieces = {piece for secret in secrets for piece in _pieces(secret)}
        ways = [way for piece in sorted(pieces) for way in _ways(piece)]
        self._sought = _Sought([*ways, _CutOff(pieces)] if pieces else [])

    def __bool__(self) -> bool:
        return bool(self._sought.ways)

    def __call__(self, data: bytes) -> bytes:
        return _redacted(data, self._sought) if self else data

    def text(self, text: str) -> str:
        return _redacted_text(text, self._sought) if self else text

    def everywhere(self, value: T, *, spare: Collection[str] = ()) -> T:
        """The same data with every string in it redacted. What fields and keys are called is not data.

        `spare` names fields of dataclasses that stay as they are: times, and the words of an enumeration.
        """
        if not self:
            return value
        # One look at all of it: nearly always there is nothing, and else only few of the secrets.
        occurring = self._sought.occurring(_Views("\0".join(_strings(value, spare)).encode("utf-8", "surrogatepass")))
        if not occurring:
            return value
        sought = _Sought(occurring)
        changed: T = _mapped(value, lambda text: _redacted_text(text, sought), spare)
        return changed

    def sparing(self, text: str) -> Redactor:
        """One that leaves `text` and all numbers as they are: for files whose format has words of its own."""
        views = _Views(text.encode())
        spared = {id(way) for way in self._sought.occurring(views) if any(way.find(views))}
        spared |= {id(way) for way in self._sought.ways if way.is_numeric}
        found = Redactor(())
        found._sought = _Sought([way for way in self._sought.ways if id(way) not in spared])
        return found


class _Sought:
    """The ways to spell some secrets, by where the hint of each is looked for."""

    def __init__(self, ways: Sequence[_Way]) -> None:
        self.ways = ways
        self._quoted = [(way.run, way) for way in ways if isinstance(way, _Quoted) and way.run]
        self._rare = [way for way in ways if isinstance(way, _Quoted) and not way.run]
        self._base64 = [(way.hint, way) for way in ways if isinstance(way, _Base64)]
        self._cut = [way for way in ways if isinstance(way, _CutOff)]
        self._hex = [(way.hint, way) for way in ways if isinstance(way, _Hex)]

    def occurring(self, views: _Views) -> list[_Way]:
        """Those that may occur; all others do not."""
        data, unescaped, unwrapped, digits = views.data, views.unescaped, views.unwrapped, views.digits
        found: list[_Way] = [way for run, way in self._quoted if run in data]
        if unescaped is not None:
            plain = set(map(id, found))
            found += [way for run, way in self._quoted if run in unescaped and id(way) not in plain]
        found += [way for way in self._rare if way.may_be_in(views)]
        found += [way for hint, way in self._base64 if hint in unwrapped]
        found += [way for hint, way in self._hex if hint in digits]
        found += self._cut if b"..." in data or b"\xe2\x80\xa6" in data else []
        return found


def is_too_short(secret: str) -> bool:
    """To hide it would take ordinary text with it."""
    return len(secret.strip()) < SHORTEST_SECRET


def _pieces(secret: str) -> Iterator[str]:
    """What is sought of a secret: without the blanks around it, and each of its lines."""
    if is_too_short(secret):
        return
    yield secret.strip()
    lines = [line.strip() for line in secret.strip().splitlines()]
    yield from (line for line in lines if len(lines) > 1 and _tells(line))


def _tells(line: str) -> bool:
    """Whether a line of a secret is one too, and not a word of its format."""
    if line.startswith("-----"):
        return False
    is_one_word = not re.search(r"\s", line) and not re.fullmatch(r"[A-Za-z]*[:{\[(,]*", line)
    return len(line) >= (SHORTEST_LINE if is_one_word else SHORTEST_SENTENCE)


class _Views:
    """The data as a hint is looked for in it. Each is made when it is first needed."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    @cached_property
    def unescaped(self) -> bytes | None:
        """With letters and digits that were escaped as themselves; None where none were, as nearly always."""
        some = any(sign in self.data and found.search(self.data) for sign, found in _SIGNS_OF_ESCAPED_LETTERS)
        return _ESCAPED_LETTER.sub(_letter, self.data) if some else None

    @cached_property
    def bare(self) -> bytes:
        """Without letters and digits that were escaped."""
        return _ESCAPED_LETTER.sub(b"\0", self.data)

    @cached_property
    def lower(self) -> bytes:
        return self.data.lower()

    @cached_property
    def unwrapped(self) -> bytes:
        """Base64 without line ends, in its usual alphabet."""
        return _ESCAPED_BASE64.sub(_of_base64, self.data).translate(_USUAL_ALPHABET, b" \t\r\n\\")

    @cached_property
    def digits(self) -> bytes:
        """Hex without what stands between bytes."""
        return re.sub(_ESCAPED_LINE_END, b"", self.lower).translate(None, b" \t\r\n:-")


_USUAL_ALPHABET = bytes.maketrans(b"-_", b"+/")


def _of_base64(found: re.Match[bytes]) -> bytes:
    return {"end": b"", "plus": b"+", "slash": b"/"}[found.lastgroup or "end"]


def _letter(found: re.Match[bytes]) -> bytes:
    if octal := found["octal"]:
        code = int(octal, 8)
    elif decimal := found["decimal"]:
        code = int(decimal)
    else:
        code = int(found["after_x"] or found["percent"] or found["entity"], 16)
    letter = bytes([code & 0xFF])
    return letter if letter.isalnum() else found[0]


NOTHING_SECRET = Redactor(())


def apart(redacted: Mapping[str, str]) -> dict[str, str]:
    """Name -> the name to show, where `redacted` has what redaction made of it: names that differ still do."""
    taken = {name for name, said in redacted.items() if said == name}
    shown: dict[str, str] = {}
    for name, said in redacted.items():
        shown[name], number = said, 1
        while said != name and shown[name] in taken:
            number += 1
            shown[name] = f"{said}-{number}"
        taken.add(shown[name])
    return shown


class _Way(Protocol):
    """A way to spell a secret."""

    is_numeric: bool

    def find(self, views: _Views) -> Iterator[Span]: ...


class _Quoted:
    """Character by character, each as any tool may have quoted it."""

    def __init__(self, plain: str) -> None:
        self._plain = plain
        runs = sorted(_LETTERS.findall(plain), key=len)
        self.run = runs[-1].encode() if runs and (len(runs[-1]) > 2 or plain.isascii()) else b""
        """The longest run of letters and digits."""
        self._hints = () if self.run else _hints_of_a_character(plain)
        self.is_numeric = re.fullmatch(r"[0-9a-fA-F.+-]+", plain) is not None
        self._reach = 64 + 48 * len(plain)

    def may_be_in(self, views: _Views) -> bool:
        """Where there is no such run."""
        return any(hint in views.lower for hint in self._hints)

    def find(self, views: _Views) -> Iterator[Span]:
        near = [(self.run, views.data)] if self.run else [(hint, views.lower) for hint in self._hints]
        for hint, data in near:
            for begin, end in _around(hint, data, self._reach):
                yield from _spans(self._pattern, views.data, begin, end)
                if not self.run and views.unescaped is not None:
                    yield from _spans(self._pattern_of_escaped_letters, views.data, begin, end)
        if not self.run:
            return
        if views.unescaped is not None and views.unescaped.count(self.run) > views.bare.count(self.run):
            yield from _spans(self._pattern_of_escaped_letters, views.data)

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        flexible = _quoted(self._plain, escaped_letters=False)
        # Where one secret's character is another tool's escape, as in `50%25`, only the whole word tells.
        exact = [s for s in sorted(_whole(self._plain), key=len, reverse=True) if not re.fullmatch(flexible, s)]
        return re.compile(b"|".join([flexible, *map(_any_case_of_digits, exact)]), re.DOTALL)

    @cached_property
    def _pattern_of_escaped_letters(self) -> re.Pattern[bytes]:
        return re.compile(_quoted(self._plain, escaped_letters=True), re.DOTALL)


class _Base64:
    """The characters that only the secret decides, at one of the three places in which it can start."""

    def __init__(self, core: bytes) -> None:
        self._core = core
        self.is_numeric = False
        runs = sorted(re.findall(rb"[A-Za-z0-9]+", core), key=len)
        self.hint = runs[-1] if runs and len(runs[-1]) >= 8 else core

    def find(self, views: _Views) -> Iterator[Span]:
        yield from _spans(self._pattern, views.data)

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        return re.compile(_WRAPPED.join(_BASE64_SIGNS.get(c, bytes([c])) for c in self._core))


class _Hex:
    def __init__(self, plain: bytes) -> None:
        self.hint = plain.hex().encode()
        self.is_numeric = len(plain) < 8  # it might be a part of a checksum

    def find(self, views: _Views) -> Iterator[Span]:
        yield from _spans(self._pattern, views.data)

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        digits = self.hint.decode()
        return re.compile(_BETWEEN_BYTES.join(_any_case(digits[i : i + 2]) for i in range(0, len(digits), 2)))


class _CutOff:
    """The beginning of a secret before an ellipsis, or the end of one after it: pytest and others cut what is long."""

    is_numeric = False
    _ELLIPSIS = re.compile(rb"\.\.\.|\xe2\x80\xa6")

    def __init__(self, pieces: Collection[str]) -> None:
        spellings = {spelling for plain in pieces for spelling in (plain, repr(plain)[1:-1], json.dumps(plain)[1:-1])}
        self._places: dict[bytes, list[tuple[bytes, int]]] = {}
        """A few bytes of a secret -> where they begin in which."""
        for data in sorted(spelling.encode("utf-8", "surrogatepass") for spelling in spellings):
            for place in range(len(data) - SHORTEST_SECRET + 1):
                self._places.setdefault(data[place : place + SHORTEST_SECRET], []).append((data, place))

    def find(self, views: _Views) -> Iterator[Span]:
        data = views.data
        for found in self._ELLIPSIS.finditer(data):
            begin, end = found.span()
            for secret, place in self._places.get(data[max(0, begin - SHORTEST_SECRET) : begin], ()):
                length = place + SHORTEST_SECRET
                if begin >= length and data[begin - length : begin] == secret[:length]:
                    yield begin - length, begin
            for secret, place in self._places.get(data[end : end + SHORTEST_SECRET], ()):
                if data.startswith(secret[place:], end):
                    yield end, end + len(secret) - place


def _ways(plain: str) -> Iterator[_Way]:
    data = plain.encode("utf-8", "surrogatepass")
    yield _Quoted(plain)
    yield _Hex(data)
    yield from (_Base64(core) for offset in range(3) if len(core := _base64_core(data, offset)) >= SHORTEST_SECRET)


def _base64_core(plain: bytes, offset: int) -> bytes:
    first = -(-offset * 8 // 6)
    end = (offset + len(plain)) * 8 // 6
    return base64.b64encode(b"\0" * offset + plain)[first:end]


def _redacted_text(text: str, sought: _Sought) -> str:
    return _redacted(text.encode("utf-8", "surrogatepass"), sought).decode("utf-8", "surrogatepass")


def _redacted(data: bytes, sought: _Sought) -> bytes:
    views = _Views(data)
    spans = sorted(span for way in sought.occurring(views) for span in way.find(views))
    if not spans:
        return data
    marks = [found.span() for found in _MARKS.finditer(data)]
    mark, kept, end = REDACTED.encode(), list[bytes](), 0
    for begin, after in _merged(spans, marks):
        kept += [data[end:begin], mark]
        end = after
    return b"".join([*kept, data[end:]])


def _merged(spans: Iterable[Span], marks: Sequence[Span]) -> Iterator[Span]:
    """In order and apart. What lies in a mark is a word of ours."""
    begins = [begin for begin, _ in marks]
    current: Span | None = None
    for begin, end in spans:
        nearest = bisect_right(begins, begin) - 1
        if nearest >= 0 and end <= marks[nearest][1]:
            continue
        if current is not None and begin < current[1]:
            current = current[0], max(current[1], end)
            continue
        if current is not None:
            yield current
        current = begin, end
    if current is not None:
        yield current


def _spans(pattern: re.Pattern[bytes], data: bytes, begin: int = 0, end: int | None = None) -> Iterator[Span]:
    yield from (found.span() for found in pattern.finditer(data, begin, len(data) if end is None else end))


def _around(run: bytes, data: bytes, reach: int) -> Iterator[Span]:
    """The parts of the data near an occurrence; those that overlap are one."""
    place = data.find(run)
    while place >= 0:
        begin, end = max(0, place - reach), place + reach
        while 0 <= (place := data.find(run, place + 1)) <= end:
            end = place + reach
        yield begin, min(end, len(data))


def _strings(value: Any, spare: Collection[str]) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            if field.name not in spare:
                yield from _strings(getattr(value, field.name), spare)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item, spare)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item, spare)


def _mapped(value: Any, change: Callable[[str], str], spare: Collection[str]) -> Any:
    if isinstance(value, str):
        return change(value) if type(value) is str else value  # else a word of an enumeration
    if is_dataclass(value) and not isinstance(value, type):
        before = {f.name: getattr(value, f.name) for f in fields(value) if f.init and f.name not in spare}
        after = {name: _mapped(item, change, spare) for name, item in before.items()}
        return replace(value, **after) if after != before else value
    if isinstance(value, Mapping):
        return {key: _mapped(item, change, spare) for key, item in value.items()}
    if isinstance(value, list | tuple):
        found = [_mapped(item, change, spare) for item in value]
        return found if isinstance(value, list) else tuple(found)
    return value


def _hints_of_a_character(plain: str) -> tuple[bytes, ...]:
    """What any spelling has of the rarest character, in lower case."""
    char = min(plain, key=lambda char: (_OFTEN.find(char), -ord(char)))
    code, utf8, utf16 = ord(char), char.encode("utf-8", "surrogatepass"), char.encode("utf-16-be", "surrogatepass")
    texts = [f"#{code};", f"x{code:x};", f"u{utf16[:2].hex()}", f"u{code:08x}", f"{code:x}}}", f"x{code:x}"]
    texts += [f"%{utf8[0]:02x}", f"25{utf8[0]:02x}", f"x{utf8[0]:x}", f"\\{utf8[0]:03o}"]
    texts += [f"{name};" for name in _NAMED.get(char, (char,))]
    return (utf8.lower(), *(text.lower().encode("utf-8", "surrogatepass") for text in texts))


def _quoted(plain: str, *, escaped_letters: bool) -> bytes:
    return b"".join(_token(found, escaped_letters=escaped_letters) for found in _TOKENS.finditer(plain))


def _token(found: re.Match[str], *, escaped_letters: bool) -> bytes:
    text, count = found[0], len(found[0])
    backslash = _backslash_before("" if escaped_letters else found.string[found.end() :][:5])
    match found.lastgroup:
        case "letters":
            return b"".join(map(_letter_pattern, text)) if escaped_letters else text.encode()
        case "inside":
            # However quotes were doubled, swapped and escaped to get through a shell: any that stand here.
            return _any_quote(backslash) + b"{%d,%d}+" % (count, 40 * count)
        case "backslashes":
            return b"(?:%b|%b){%d,%d}+" % (_escapes("\\"), backslash, count, 16 * count)
        case "dollars":
            return b"%b{%d,%d}+" % (_character("$"), count, 2 * count)
        case "percent":
            return _percent(text.count("%"), text.count("25"))
        case "line":
            return _LINE_END
    return b"".join(map(_character, text))


def _backslash_before(after: str) -> bytes:
    r"""A backslash that is one, and does not begin the escape of what comes next.

    Where the secret itself goes on like an escape, as in `DOMAIN\123`, that is no reason to doubt it.
    """
    return rb"\\" if re.match(_LIKE_AN_ESCAPE.decode(), after) else rb"\\(?!" + _LIKE_AN_ESCAPE + b")"


def _any_quote(backslash: bytes) -> bytes:
    return (
        rb"(?:\\{1,16}+(?:(?:u00|x)(?:27|22|5[cC])|04[27]|134)|%(?:25){0,4}+(?:27|22|5[cC])|"
        + _AMPERSAND
        + rb"(?:#0{0,4}(?:39|34|92);|#[xX]0{0,4}(?:27|22|5[cC]);|(?:apos|quot|QUOT|bsol);)|"
        + backslash
        + rb"""|['"])"""
    )


def _percent(count: int, twenty_fives: int) -> bytes:
    """In a URL `%25` is one: what looks like its escape may be the secret's own."""
    other = _escapes("%").replace(_PERCENT + b"25|", b"")
    signs = b"(?:%b|%b%%(?:25){0,5}+){%d}+" % (other, _MAYBE_ESCAPED, count)
    return signs + b"(?:%b%b){0,%d}+" % (_letter_pattern("2"), _letter_pattern("5"), twenty_fives)


def _letter_pattern(letter: str) -> bytes:
    return b"(?>" + letter.encode() + b"|" + _escapes(letter) + b")"


def _character(char: str) -> bytes:
    """Any spelling of one character."""
    raw = re.escape(char.encode("utf-8", "surrogatepass"))
    # Its escapes come first: what they begin with may be the character itself.
    simple = b"(?>" + _escapes(char) + b"|" + (_MAYBE_ESCAPED if char.isascii() else b"") + raw + b")"
    match char:
        case "'":
            double = _character('"')
            return b"(?>%b%b%b|%b%b%b%b%b|%b)" % (*[simple] * 3, simple, double, simple, double, simple, simple)
        case " ":
            return b"(?>" + simple + rb"|\+)"
        case "\t":
            return b"(?>" + simple + b"|" + _ESCAPED + b"t)"
    return simple


def _escapes(char: str) -> bytes:
    code, utf8, utf16 = ord(char), char.encode("utf-8", "surrogatepass"), char.encode("utf-16-be", "surrogatepass")
    units = [f"{utf16[i : i + 2].hex()}" for i in range(0, len(utf16), 2)]
    after_backslash = [
        b"u" + (_ESCAPED + b"u").join(map(_any_case, units)),
        b"U" + _any_case(f"{code:08x}"),
        rb"[ux]\{0{0,4}" + _any_case(f"{code:x}") + rb"\}",
        b"x" + (_ESCAPED + b"x").join(_any_case(f"{byte:02x}") for byte in utf8),
        _ESCAPED.join(f"{byte:03o}".encode() for byte in utf8),
    ]
    if 0x80 <= code < 0x100:
        after_backslash.append(b"x" + _any_case(f"{code:02x}"))
    entities = [b"#0{0,4}%d;" % code, b"#[xX]0{0,4}" + _any_case(f"{code:x}") + b";"]
    entities += [name.encode() + b";" if name != "amp" else b"(?<=amp;)" for name in _NAMED.get(char, ())]
    percent = b"".join(_PERCENT + _any_case(f"{byte:02x}") for byte in utf8)
    # Entities first: the `&` of one may itself be escaped.
    return b"%b(?:%b)|%b|%b(?:%b)" % (
        _AMPERSAND,
        b"|".join(entities),
        percent,
        _ESCAPED,
        b"|".join(after_backslash),
    )


def _any_case(digits: str) -> bytes:
    return "".join(d if d.isdigit() else f"[{d.lower()}{d.upper()}]" for d in digits).encode()


def _whole(plain: str) -> set[bytes]:
    """The secret as one tool after the other writes it."""
    unescaped = json.dumps(plain, ensure_ascii=False)[1:-1]
    spellings = {
        plain,
        quote(plain, safe="", errors="surrogatepass"),
        quote(plain, errors="surrogatepass"),
        quote_plus(plain, errors="surrogatepass"),
        json.dumps(plain)[1:-1],
        unescaped,
        unescaped.replace("/", "\\/"),
        unescaped.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"),
        html.escape(plain),
        html.escape(plain, quote=False),
        plain.replace("'", "'\"'\"'"),
        plain.replace("'", "''"),
        plain.replace("%", "%%"),
        plain.replace("'", "'\\''"),
        repr(plain)[1:-1],
    }
    return {spelling.encode("utf-8", "surrogatepass") for spelling in spellings}


def _any_case_of_digits(spelling: bytes) -> bytes:
    """As a pattern: whoever writes escapes writes their digits in either case."""
    parts, end = list[bytes](), 0
    for found in _HEX_DIGITS.finditer(spelling):
        digits = (found[1] or found[2]).decode()
        sign = b"%" if found[1] else rb"\\u"
        parts += [re.escape(spelling[end : found.start()]), sign, _any_case(digits)]
        end = found.end()
    return b"".join([*parts, re.escape(spelling[end:])])
