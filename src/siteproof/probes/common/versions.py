"""Which version of a tool answered on a host: one question more in the host's batch, of which no verdict hangs.

Tools that are not there are passed over. What a bundle lacks, because it is older than this, was not recorded.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from pkgutil import walk_packages

from siteproof import probes
from siteproof.asks import Answers, Command, Output, Question, Recorded, Versions
from siteproof.errors import NotRecorded, ProbeError
from siteproof.probes.common.sections import END, MARK, split

COREUTILS, FINDUTILS, UTIL_LINUX, SYSTEMD = (
    "cat --version", "find --version", "setsid --version", "systemctl --version",
)  # fmt: skip
SYSTEM: Mapping[str, str] = {
    "awk": "awk -W version",
    "busctl": SYSTEMD,
    "cat": COREUTILS,
    "date": COREUTILS,
    "find": FINDUTILS,
    "grep": "grep --version",
    "head": COREUTILS,
    "journalctl": SYSTEMD,
    "ls": COREUTILS,
    "mktemp": COREUTILS,
    "nsenter": UTIL_LINUX,
    "readlink": COREUTILS,
    "sed": "sed --version",
    "setpriv": UTIL_LINUX,
    "setsid": UTIL_LINUX,
    "sha256sum": COREUTILS,
    "sleep": COREUTILS,
    "sort": COREUTILS,
    "su": UTIL_LINUX,
    "systemctl": SYSTEMD,
    "tr": COREUTILS,
    "xargs": FINDUTILS,
}
"""Tools of the system itself, which no one probe is about."""


@cache
def says() -> Mapping[str, str]:
    """Tool -> what makes it, or one that comes with it, say its version on its first line.

    Those of SYSTEM, and what each module of a probe has as `VERSION` for the tools that it is about. Some say none
    (netplan), and have no entry. Raises TypeError where two modules say it of one tool.
    """
    found = dict(SYSTEM)
    for module in walk_packages(probes.__path__, f"{probes.__name__}."):
        for tool, line in getattr(import_module(module.name), "VERSION", {}).items():
            if tool in found:
                raise TypeError(f"{module.name} says what tells the version of {tool}, and so does another")
            found[tool] = line
    return found


_SCRIPT = f"""\
line_end='
'
says() {{{{
    command -v "$1" >/dev/null || return
    said=$("$@" 2>&1)
    printf '\\n%s\\n%s\\n%s\\n%s\\n' "{MARK}status $*" "$?" "{MARK}$*" "${{{{said%%"$line_end"*}}}}"
}}}}
{{each}}
{END}
"""
_VERSION = re.compile(r"\d+\.\d|\b\d{3,}\b")
_BUSYBOX = re.compile(r"BusyBox v\d")
"""What its applets say above their usage, with a status of failure."""
_NONE_OF_ITS_OWN = "This is not GNU sed version"
"""BusyBox's sed, for the scripts that look for GNU's."""
_LONGEST = 120
_MOST_PARTS = 64


def question(host: str, part: int, tools: Collection[str] = ()) -> Versions:
    """One that says nothing of `tools` only finds the answer."""
    lines = dict.fromkeys(says()[tool] for tool in sorted(tools) if tool in says())
    script = _SCRIPT.format(each="\n".join(f"says {line}" for line in lines))
    return Versions(host, "versions of the tools", 5, "reads", script=script, part=part)


class Asking:
    """Which tools each host has been asked about, from round to round."""

    def __init__(self) -> None:
        self._asked: dict[str, set[str]] = {}
        self._parts: Counter[str] = Counter()

    def beside(self, questions: Iterable[Question]) -> list[Question]:
        """One question for each host that is asked something by tools that it was not asked by before."""
        new: dict[str, set[str]] = {}
        for asked in questions:
            if isinstance(asked, Command) and (tools := set(asked.tools) - self._asked.setdefault(asked.host, set())):
                new.setdefault(asked.host, set()).update(tools)
        for host, tools in new.items():
            self._asked[host] |= tools
            self._parts[host] += 1
        return [question(host, self._parts[host], tools) for host, tools in new.items()]


def read(store: Answers, host: str, tools: Collection[str]) -> dict[str, str | None]:
    """Tool -> its version in its own words, None where it does not say. Empty where nobody asked."""
    answers: list[Recorded] = []
    for part in range(1, _MOST_PARTS + 1):
        answer = store.get(question(host, part))
        if answer is None or isinstance(answer, NotRecorded):  # a file that cannot be read says so of any part
            break
        answers.append(answer)
    if not answers:
        return {}
    said = {line: version for answer in answers for line, version in _said(answer)}
    return {tool: said.get(says().get(tool, "")) for tool in sorted(tools)}


def _said(answer: Recorded) -> Iterator[tuple[str, str]]:
    if not isinstance(answer, Output) or answer.status != 0:
        return
    try:
        sections = split(answer.text)
    except ProbeError:
        return
    for line, text in sections.items():
        well = sections.get(f"status {line}", "").strip() == "0" and not text.strip().startswith(_NONE_OF_ITS_OWN)
        if (well or _BUSYBOX.match(text.strip())) and _VERSION.search(text):
            yield line, text.strip()[:_LONGEST]
