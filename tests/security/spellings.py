"""A secret in each of the spellings that docs/redaction.md promises to find, as real tools print them."""

from __future__ import annotations

import base64
import html
import html.entities
import json
import shlex
import textwrap
from collections.abc import Callable
from urllib.parse import quote, quote_plus

Spell = Callable[[str], bytes]


def _json(secret: str, *, ascii_only: bool) -> str:
    return json.dumps(secret, ensure_ascii=ascii_only)[1:-1]


def _go(secret: str) -> str:
    """As encoding/json does it unless it is told not to."""
    said = _json(secret, ascii_only=False)
    return said.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _lower_percent(secret: str) -> str:
    return "".join(chr(b) if b < 0x80 and chr(b).isalnum() else f"%{b:02x}" for b in secret.encode())


def _upper_json(secret: str) -> str:
    said = "".join(c if c.isascii() else "".join(f"\\u{u:04X}" for u in _units(c)) for c in secret)
    return "".join(f"\\{c}" if c in '\\"' else c for c in secret) if secret.isascii() else said


def _units(char: str) -> list[int]:
    data = char.encode("utf-16-be")
    return [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]


def _markdown(secret: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else f"&#{ord(c)};" for c in secret)


def _backslashes(secret: str) -> str:
    """As `printf %q` of bash and `ls --quoting-style=escape` do it."""
    return "".join(c if c.isalnum() or not c.isascii() else f"\\{c}" for c in secret)


def _octal(secret: str) -> str:
    """As git does it with paths."""
    said = secret.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(chr(b) if b < 0x80 else f"\\{b:03o}" for b in said.encode())


def _xxd(secret: str) -> str:
    digits = secret.encode().hex()
    return " ".join(digits[i : i + 4] for i in range(0, len(digits), 4))


def _base64(secret: str, before: str = "", *, url: bool = False, width: int = 0, end: str = "\n") -> str:
    data = f"{before}{secret}:and more, so that no padding comes".encode()
    said = (base64.urlsafe_b64encode if url else base64.b64encode)(data).decode()
    return end.join(textwrap.wrap(said, width)) if width else said


HTML5 = {char: name.removesuffix(";") for name, char in html.entities.html5.items() if name.endswith(";")}
SPELLINGS: dict[str, Spell] = {
    "plain": lambda s: s.encode(),
    "a blank and a newline after it": lambda s: f"{s} \n".encode(),
    "not UTF-8 around it": lambda s: b"\xff\xe9" + s.encode() + b"\xc3",
    "percent, all": lambda s: quote(s, safe="").encode(),
    "percent, a slash kept": lambda s: quote(s).encode(),
    "percent, lower case": lambda s: _lower_percent(s).encode(),
    "percent, twice": lambda s: quote(quote(s, safe=""), safe="").encode(),
    "percent, letters too": lambda s: "".join(f"%{b:02X}" for b in s.encode()).encode(),
    "form": lambda s: quote_plus(s).encode(),
    "json": lambda s: _json(s, ascii_only=True).encode(),
    "json, not escaped": lambda s: _json(s, ascii_only=False).encode(),
    "json, upper case": lambda s: _upper_json(s).encode(),
    "json, slash escaped": lambda s: _json(s, ascii_only=True).replace("/", "\\/").encode(),
    "json in json": lambda s: json.dumps(json.dumps(s)).encode(),
    "json of Go": lambda s: _go(s).encode(),
    "json of Go on a page": lambda s: html.escape(_go(s)).encode(),
    "a page in json of Go": lambda s: _go(html.escape(s)).encode(),
    "html": lambda s: html.escape(s).encode(),
    "html, quotes kept": lambda s: html.escape(s, quote=False).encode(),
    "html, decimal quotes": lambda s: html.escape(s).replace("&quot;", "&#34;").replace("&#x27;", "&#39;").encode(),
    "html, all decimal": lambda s: "".join(f"&#{ord(c)};" for c in s).encode(),
    "html, all hex": lambda s: "".join(f"&#x{ord(c):X};" for c in s).encode(),
    "html, named": lambda s: html.escape(s).encode("ascii", "xmlcharrefreplace"),
    "html, names of HTML 5": lambda s: "".join(f"&{HTML5.get(c, f'#{ord(c)}')};" for c in s).encode(),
    "html, twice": lambda s: html.escape(html.escape(s)).encode(),
    "markdown": lambda s: _markdown(s).encode(),
    "shell, single quotes": lambda s: ("'" + s.replace("'", "'\\''") + "'").encode(),
    "shell, as Python quotes": lambda s: shlex.quote(s).encode(),
    "shell, backslashes": lambda s: _backslashes(s).encode(),
    "shell in json": lambda s: json.dumps(shlex.quote(s)).encode(),
    "shell in shell": lambda s: shlex.quote(f"echo {shlex.quote(s)}").encode(),
    "repr of Python": lambda s: repr(s)[1:-1].encode(),
    "repr of its bytes": lambda s: repr(s.encode()).encode(),
    "escapes for all bytes": lambda s: "".join(f"\\x{b:02x}" for b in s.encode()).encode(),
    "escapes of git": lambda s: _octal(s).encode(),
    "yaml, single quotes": lambda s: ("'" + s.replace("'", "''") + "'").encode(),
    "csv": lambda s: ('"' + s.replace('"', '""') + '"').encode(),
    "hex": lambda s: s.encode().hex().encode(),
    "hex, upper case": lambda s: s.encode().hex().upper().encode(),
    "hex, colons": lambda s: s.encode().hex(":").encode(),
    "hex, blanks": lambda s: s.encode().hex(" ").encode(),
    "hex, as xxd prints it": lambda s: _xxd(s).encode(),
    "hex, wrapped in json": lambda s: json.dumps("\n".join(textwrap.wrap(s.encode().hex(), 10))).encode(),
    "hex, wrapped": lambda s: "\n".join(textwrap.wrap(s.encode().hex(), 10)).encode(),
    "base64": lambda s: _base64(s).encode(),
    "base64, alone": lambda s: base64.b64encode(s.encode()),
    "base64, of a line": lambda s: base64.b64encode(f"{s}\n".encode()),
    "base64, one byte before it": lambda s: _base64(s, "x").encode(),
    "base64, two bytes before it": lambda s: _base64(s, "xy").encode(),
    "base64, of URLs": lambda s: _base64(s, "user:", url=True).encode(),
    "base64, wrapped at 76": lambda s: _base64(s, "x" * 50, width=76).encode(),
    "base64, wrapped at 64 with CRLF": lambda s: _base64(s, "x" * 40, width=64, end="\r\n").encode(),
    "base64, wrapped and indented": lambda s: _base64(s, "x" * 50, width=76, end="\n    ").encode(),
    "base64, wrapped in json": lambda s: json.dumps(_base64(s, "x" * 50, width=76)).encode(),
    "base64, in a URL": lambda s: quote(_base64(s), safe="").encode(),
    "base64, wrapped in a URL": lambda s: quote(_base64(s, "x" * 50, width=76, end="\r\n"), safe="").encode(),
    "base64, wrapped on a page": lambda s: _base64(s, "x" * 50, width=76).replace("\n", "&#10;").encode(),
    "base64, slash escaped": lambda s: _base64(s).replace("/", "\\/").encode(),
}
"""What it is called -> what is printed for a secret."""

SECRETS = {
    "a word": "hunter2hunter2",
    "signs": "p/a&s<s>w\"o'r+d =%5$#@!",
    "not ASCII": "Schlüssel-für/Köln&😀",
    "Cyrillic": "пароль от двери",
    "blanks": "correct horse battery staple",
    "backslashes": "C:\\temp\\new\"x'y",
    "quotes together": "it''s \"\"so\\\\'",
    "percent": "50%25off%%now",
    "only signs": "!\"$%&/()=?'",
    "Cyrillic with a number": "пароль42",
    "slashes of base64": "ab?cd?ef",
    "quotes at its end": 'pa"ss"',
    "a backslash and digits": "DOMAIN\\123user",
    "digits": "4711081547",
    "short": "aB3$",
}


def without_marks(text: str | bytes) -> bytes:
    """What is left of some output beside the marks."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return data.replace("«redacted»".encode(), b"\0")
