"""The machine's own Debian package sources, read from both formats that apt knows.

A base is made from the same mirrors the machine itself uses, also one of another release; other people's repositories
are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

_ONE_LINE = re.compile(
    r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>(?:\s+\S+)*)$"
)
# The names Debian gives to its releases by their age; a machine may follow one of these instead of a codename.
_AGES = frozenset({"oldoldstable", "oldstable", "stable", "testing", "unstable", "sid"})
_POCKETS = ("", "-updates", "-security", "/updates")
_NATIVE_ONLY = frozenset({"types", "uris", "suites", "components", "enabled", "architectures"})


@dataclass(frozen=True)
class Source:
    """One archive, suite and its components, with the options that apt needs to trust it."""

    uri: str
    suite: str
    components: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()
    architectures: tuple[str, ...] = ()

    def line(self) -> str:
        """As the base is made from it: `main` alone, whatever else the machine takes from there."""
        options = " ".join(f"{key}={value}" for key, value in self.options)
        return f"deb {f'[{options}] ' if options else ''}{self.uri} {self.suite} main"


def parse_one_line(text: str) -> Iterator[Source]:
    """The `deb [options] uri suite component…` lines of a sources.list."""
    for raw in text.splitlines():
        found = _ONE_LINE.match(raw.partition("#")[0].strip())
        if not found:
            continue
        options = [(k.lower(), v) for k, _, v in (o.partition("=") for o in (found["options"] or "").split())]
        yield Source(
            found["uri"],
            found["suite"],
            tuple(found["components"].split()),
            tuple((k, v) for k, v in options if k != "arch"),
            tuple(a for k, v in options if k == "arch" for a in v.split(",")),
        )


def parse_deb822(text: str) -> Iterator[Source]:
    """The stanzas of a .sources file."""
    for fields in _stanzas(text):
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        options = tuple(
            (key, ",".join(value.split())) for key, value in fields.items() if key not in _NATIVE_ONLY and value.strip()
        )
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                components = tuple(fields.get("components", "").split())
                yield Source(uri, suite, components, options, tuple(fields.get("architectures", "").split()))


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    key = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, key = {}, ""
        elif line[0].isspace():
            if key:
                fields[key] += "\n" + line.strip()
        else:
            name, _, value = line.partition(":")
            key = name.strip().lower()
            fields[key] = value.strip()


def is_debian(source: Source, codename: str, architecture: str) -> bool:
    """Whether this is Debian's own archive for this release: by its keyring, else by the shape every mirror has."""
    if "main" not in source.components or source.uri.startswith("cdrom:"):
        return False
    if source.architectures and architecture not in source.architectures:
        return False
    stem = source.suite.removesuffix(_pocket(source))
    if stem != codename and stem not in _AGES:
        return False
    keyring = dict(source.options).get("signed-by")
    if keyring:
        return Path(keyring.split(",")[0]).name.startswith("debian-archive")
    return re.search(r"/debian(-security)?(/|$)", source.uri) is not None


def debian_sources(codename: str, architecture: str, etc_apt: Path = Path("/etc/apt")) -> list[Source]:
    """What the machine takes Debian from, each once, in apt's order."""
    found: list[Source] = []
    listed = [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*.list"))]
    for path in listed:
        if path.is_file():
            found += parse_one_line(path.read_text(errors="replace"))
    for path in sorted((etc_apt / "sources.list.d").glob("*.sources")):
        found += parse_deb822(path.read_text(errors="replace"))
    wanted = [source for source in found if is_debian(source, codename, architecture)]
    return list(dict.fromkeys(wanted))


def of_release(own: Iterable[Source], release: str, pockets: Collection[str]) -> list[Source]:
    """The same archives' other release, each once."""
    found = [replace(s, suite=release + pocket) for s in own if (pocket := _pocket(s)) in pockets]
    return list(dict.fromkeys(found))


def _pocket(source: Source) -> str:
    return next(pocket for pocket in reversed(_POCKETS) if source.suite.endswith(pocket))
