r"""How tools spell the characters of a text when they quote what they print, one after the other, as patterns of bytes.

`&` is `%26` in a URL, `\u0026` in Go's JSON, `&amp;` on a page, `\&` in a shell's word; and whoever quotes what was
quoted already spells it once more.
"""

from __future__ import annotations

import html
import json
import re
from html.entities import html5
from urllib.parse import quote, quote_plus

# All repetitions are possessive and bounded: each character has one way to be read, wherever a match begins.
_ESCAPED = rb"\\{1,16}+"  # by several tools one after the other
_MAYBE_ESCAPED = rb"\\{0,16}+"
_PERCENT = rb"%(?:25){0,4}+"
AMPERSAND = rb"(?:\\{0,16}+&|\\{1,16}+u0026)(?:amp;){0,4}+"  # what stands for a quote in JSON keeps its backslash
_NAMED: dict[str, list[str]] = {}
"""Character -> the names that HTML has for it."""
for _name, _char in sorted(html5.items()):
    if len(_char) == 1 and _name.endswith(";"):
        _NAMED.setdefault(_char, []).append(_name.removesuffix(";"))
_OFTEN = "+$%&;#*|<>\\'}{][)(=_-,.:/\" "
"""Signs that much output has: the later, the worse to search for."""
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


def quoted(plain: str, *, escaped_letters: bool) -> bytes:
    """Any spelling of the text, character by character; with `escaped_letters` also of its letters and digits."""
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

    Where the text itself goes on like an escape, as in `DOMAIN\123`, that is no reason to doubt it.
    """
    return rb"\\" if re.match(_LIKE_AN_ESCAPE.decode(), after) else rb"\\(?!" + _LIKE_AN_ESCAPE + b")"


def _any_quote(backslash: bytes) -> bytes:
    return (
        rb"(?:\\{1,16}+(?:(?:u00|x)(?:27|22|5[cC])|04[27]|134)|%(?:25){0,4}+(?:27|22|5[cC])|"
        + AMPERSAND
        + rb"(?:#0{0,4}(?:39|34|92);|#[xX]0{0,4}(?:27|22|5[cC]);|(?:apos|quot|QUOT|bsol);)|"
        + backslash
        + rb"""|['"])"""
    )


def _percent(count: int, twenty_fives: int) -> bytes:
    """In a URL `%25` is one: what looks like its escape may be the text's own."""
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
        b"u" + (_ESCAPED + b"u").join(map(any_case, units)),
        b"U" + any_case(f"{code:08x}"),
        rb"[ux]\{0{0,4}" + any_case(f"{code:x}") + rb"\}",
        b"x" + (_ESCAPED + b"x").join(any_case(f"{byte:02x}") for byte in utf8),
        _ESCAPED.join(f"{byte:03o}".encode() for byte in utf8),
    ]
    if 0x80 <= code < 0x100:
        after_backslash.append(b"x" + any_case(f"{code:02x}"))
    entities = [b"#0{0,4}%d;" % code, b"#[xX]0{0,4}" + any_case(f"{code:x}") + b";"]
    entities += [name.encode() + b";" if name != "amp" else b"(?<=amp;)" for name in _NAMED.get(char, ())]
    percent = b"".join(_PERCENT + any_case(f"{byte:02x}") for byte in utf8)
    # Entities first: the `&` of one may itself be escaped.
    return b"%b(?:%b)|%b|%b(?:%b)" % (
        AMPERSAND,
        b"|".join(entities),
        percent,
        _ESCAPED,
        b"|".join(after_backslash),
    )


def any_case(digits: str) -> bytes:
    """Hex digits in upper and lower case."""
    return "".join(d if d.isdigit() else f"[{d.lower()}{d.upper()}]" for d in digits).encode()


def whole(plain: str) -> set[bytes]:
    """The text as one tool after the other writes it: not patterns, but what is written."""
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


def any_case_of_digits(spelling: bytes) -> bytes:
    """As a pattern: whoever writes escapes writes their digits in either case."""
    parts, end = list[bytes](), 0
    for found in _HEX_DIGITS.finditer(spelling):
        digits = (found[1] or found[2]).decode()
        sign = b"%" if found[1] else rb"\\u"
        parts += [re.escape(spelling[end : found.start()]), sign, any_case(digits)]
        end = found.end()
    return b"".join([*parts, re.escape(spelling[end:])])


def hints_of_a_character(plain: str) -> tuple[bytes, ...]:
    """What any spelling has of the rarest character, in lower case."""
    char = min(plain, key=lambda char: (_OFTEN.find(char), -ord(char)))
    code, utf8, utf16 = ord(char), char.encode("utf-8", "surrogatepass"), char.encode("utf-16-be", "surrogatepass")
    texts = [f"#{code};", f"x{code:x};", f"u{utf16[:2].hex()}", f"u{code:08x}", f"{code:x}}}", f"x{code:x}"]
    texts += [f"%{utf8[0]:02x}", f"25{utf8[0]:02x}", f"x{utf8[0]:x}", f"\\{utf8[0]:03o}"]
    texts += [f"{name};" for name in _NAMED.get(char, (char,))]
    return (utf8.lower(), *(text.lower().encode("utf-8", "surrogatepass") for text in texts))
