"""What a daemon's log has for something, by the version of the daemon that wrote it.

Whoever greps a log finds nothing both where nothing was and where the words have changed. So each list of words says of
which versions it is; of another version what was found counts, and what was not is unknown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from siteproof.errors import NoControl

Version = tuple[int, int]
EXAMPLES = 10
LONGEST = 400
"""Characters of a line that is shown."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The words of some versions in a row."""

    since: Version
    until: Version
    """The first that was not looked at any more, or that has other words."""
    words: tuple[str, ...]
    """Regular expressions, of which a line has one; as awk reads them, with no slash."""
    source: str
    """Where they stand, for whoever looks at the next version."""


@dataclass(frozen=True, slots=True)
class Said:
    """The lines of a log that say one thing."""

    lines: int
    examples: tuple[str, ...]
    """The last of them."""
    doubt: str = ""
    """Why there may be more; empty where the words of this version are known."""

    def sure(self) -> None:
        """Raises NoControl where there may be more lines than were found."""
        if self.doubt:
            raise NoControl(self.doubt)


@dataclass(frozen=True, slots=True)
class LogWords:
    """What one thing is called in the log of `daemon`, by its version; the dialects in the order of their versions."""

    daemon: str
    about: str
    dialects: tuple[Dialect, ...]

    @property
    def known(self) -> str:
        """The versions whose words are known, for the operator."""
        parts = [f"{_shown(d.since)} to before {_shown(d.until)}" for d in self._joined()]
        return " and ".join(parts)

    def _joined(self) -> list[Dialect]:
        found: list[Dialect] = []
        for each in self.dialects:
            if found and found[-1].until == each.since:
                each = Dialect(found.pop().since, each.until, (), "")
            found.append(each)
        return found

    def awk(self, name: str) -> str:
        """Statements of awk: they count the lines of each dialect as `name` and its number, and keep the last."""
        return "\n".join(
            f"/{'|'.join(dialect.words)}/ "
            f'{{ example["{name}{n}", count["{name}{n}"]++ % {EXAMPLES}] = substr($0, 1, {LONGEST}) }}'
            for n, dialect in enumerate(self.dialects, 1)
        )

    def names(self, name: str) -> list[str]:
        """What `awk` counts as."""
        return [f"{name}{n}" for n, _ in enumerate(self.dialects, 1)]

    def said(self, version: str, counted: list[Said]) -> Said:
        """What a daemon of this version said, of what was counted for each dialect."""
        number = re.match(r"v?(\d{1,4})\.(\d{1,4})\.", version)
        at = (int(number[1]), int(number[2])) if number else None
        for dialect, found in zip(self.dialects, counted, strict=True):
            if at is not None and dialect.since <= at < dialect.until:
                return found
        most = max(counted, key=lambda found: found.lines)
        doubt = (
            f"nobody knows the words that {self.daemon} {version[:40]!r} has for it that {self.about}; "
            f"known are those of {self.known}"
        )
        return Said(most.lines, most.examples, doubt)


def _shown(version: Version) -> str:
    return f"{version[0]}.{version[1]}"


# `count` is reset by whoever knows where the daemon's life begins: `delete count` is not in every awk.
FORGET = "for (name in count) delete count[name]"
"""A statement of awk: a new life has begun."""


def print_counts(*names: str) -> str:
    """Statements of awk for its end: a line with each count, one with their sum, then the lines that were kept."""
    counts = "".join(f'print "{name} " count["{name}"] + 0; all += count["{name}"]\n' for name in names)
    counts += 'print "all " all + 0\n'
    examples = "".join(
        f'for (i = count["{name}"] > {EXAMPLES} ? count["{name}"] - {EXAMPLES} : 0; i < count["{name}"]; i++) '
        f'print "example-{name} " example["{name}", i % {EXAMPLES}]\n'
        for name in names
    )
    return counts + examples
