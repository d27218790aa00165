"""Which keys a host may show. An unknown or another key is never accepted."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

_ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
_REVOKED = "@revoked"


@dataclass(frozen=True)
class Key:
    type: str
    blob: bytes


@dataclass(frozen=True)
class Known:
    """What the files say of one host."""

    keys: tuple[Key, ...]
    revoked: frozenset[bytes]

    def algorithms_first(self, offered: Iterable[str]) -> list[str]:
        """`offered` with the algorithms of known keys in front, so that the server shows a key we can compare."""
        known = {algorithm for key in self.keys for algorithm in _ALGORITHMS.get(key.type, (key.type,))}
        return sorted(offered, key=lambda algorithm: algorithm not in known)


@dataclass
class _File:
    """One known_hosts file. Names are looked up in a dictionary: sites with a thousand hosts have a thousand lines."""

    plain: dict[str, list[Key]] = field(default_factory=dict)
    hashed: list[tuple[bytes, bytes, Key]] = field(default_factory=list)
    patterns: list[tuple[list[str], Key]] = field(default_factory=list)
    revoked: set[bytes] = field(default_factory=set)

    def add(self, line: str) -> None:
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#"):
            return
        try:
            key = Key(words[1], base64.b64decode(words[2], validate=True))
        except binascii.Error:
            return
        if marker == _REVOKED:
            self.revoked.add(key.blob)
        elif not marker:
            self._add_names(words[0], key)

    def _add_names(self, names: str, key: Key) -> None:
        if names.startswith("|1|"):
            salt, _, digest = names.removeprefix("|1|").partition("|")
            self.hashed.append((base64.b64decode(salt), base64.b64decode(digest), key))
        elif re.search(r"[*?!]", names):
            self.patterns.append((names.lower().split(","), key))
        else:
            for name in names.lower().split(","):
                self.plain.setdefault(name, []).append(key)

    def find(self, name: str) -> list[Key]:
        hashed = [key for salt, digest, key in self.hashed if hmac.digest(salt, name.encode(), "sha1") == digest]
        matched = [key for patterns, key in self.patterns if _matches(patterns, name)]
        return [*self.plain.get(name, ()), *hashed, *matched]


def _matches(patterns: list[str], name: str) -> bool:
    # In known_hosts the brackets of [host]:port stand for themselves.
    def fits(pattern: str) -> bool:
        return fnmatchcase(name, pattern.replace("[", "[[]"))

    refused = any(fits(pattern[1:]) for pattern in patterns if pattern.startswith("!"))
    return not refused and any(fits(pattern) for pattern in patterns if not pattern.startswith("!"))


@lru_cache
def _read(path: Path, _version: tuple[int, int]) -> _File:
    file = _File()
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        file.add(line.strip())
    return file


def look_up(names: Iterable[str], files: Iterable[Path]) -> Known:
    """The keys known under the first of `names` that has any."""
    read = []
    for path in files:
        try:
            stat = path.stat()
            read.append(_read(path, (stat.st_mtime_ns, stat.st_size)))
        except OSError:  # ssh, too, takes a file that cannot be read as an empty one: no key is known from it
            continue
    revoked = frozenset(blob for file in read for blob in file.revoked)
    for name in names:
        if keys := tuple(key for file in read for key in file.find(name.lower())):
            return Known(keys, revoked)
    return Known((), revoked)
