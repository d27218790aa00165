"""What a report says, before it is laid out: findings, causes, notes, and the words for how the run ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TypeVar

from siteproof.results import WORST_FIRST, HostResult, Result, Run, Verdict, grouped

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

SEVERITIES = ("critical", "high", "medium", "low")
_ORDINALS = {2: "second", 3: "third", 4: "fourth", 5: "fifth", 6: "sixth"}
ENDED = {
    2: "the run was interrupted",
    3: "the run failed inside",
    4: "the run was refused its input",
    5: "there was nothing to check",
}


@dataclass(frozen=True)
class Finding:
    """One fault as an operator thinks of it: violated results of one check that failed in one way."""

    results: tuple[Result, ...]
    followers: tuple[Result, ...]
    """Violated because of this one."""

    @property
    def first(self) -> Result:
        return self.results[0]

    @property
    def hosts(self) -> tuple[str, ...]:
        return unique(r.host for r in self.results if r.host)

    @property
    def declared_at(self) -> tuple[str, ...]:
        return unique(r.declared_at for r in self.results if r.declared_at)

    @property
    def notes(self) -> tuple[str, ...]:
        return unique(note for r in self.results for note in notes(r))


@dataclass(frozen=True)
class Cause:
    """Why nothing could be known, and the results that it keeps unknown."""

    text: str
    results: tuple[Result, ...]

    @property
    def hosts(self) -> tuple[str, ...]:
        return unique(r.host for r in self.results if r.host)


@dataclass(frozen=True)
class Said:
    """The same words about several results."""

    text: str
    results: tuple[Result, ...]


def findings(run: Run) -> list[Finding]:
    """Worst first."""
    followers, others = grouped(run.results)
    violated = [r for r in others if r.verdict is Verdict.VIOLATED]
    folded = [
        Finding(tuple(alike), tuple(f for r in alike for f in followers.get(r.name, ())))
        for alike in by(violated, _way).values()
    ]
    return sorted(folded, key=lambda finding: _rank(finding.first))


def _way(result: Result) -> tuple[str, str]:
    """How it failed: another value than the declared one, else what was said, whoever said it about which address."""
    if result.expected is not None and result.seen is not None:
        return result.id, "compared"
    said = result.message
    for part in filter(None, (result.subject, result.host, subject_beside_host(result))):
        said = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", "‹›", said)
    return result.id, re.sub(r"\d[\w.:]*", "#", said)


def subject_beside_host(result: Result) -> str:
    """`forgejo.example` of `worker1-forgejo.example`."""
    return result.subject.removeprefix(result.host or "").removeprefix("-")


def causes(results: Iterable[Result]) -> list[Cause]:
    """The unknown ones by why they are, those that block most first."""
    unknown = [r for r in results if r.verdict is Verdict.UNKNOWN]
    found = [Cause(_because(text, alike), tuple(alike)) for text, alike in by(unknown, _unnamed_reason).items()]
    return sorted(found, key=lambda cause: -len(cause.results))


def reason(result: Result) -> str:
    return result.blocked_by or result.message or "no reason was given"


def _unnamed_reason(result: Result) -> str:
    return reason(result).removeprefix(f"{result.host}: ")


def _because(text: str, alike: Sequence[Result]) -> str:
    hosts = unique(r.host for r in alike if r.host)
    if not hosts or any(_mentions(text, host) for host in hosts):
        return text
    return f"{', '.join(hosts)}: {text}"


def _mentions(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", text) is not None


def waived(run: Run) -> list[Said]:
    return _said((r.waiver or "no reason was given", r) for r in run.results if r.verdict is Verdict.WAIVED)


def not_applicable(run: Run) -> list[Said]:
    return _said((r.message or "no reason was given", r) for r in run.results if r.verdict is Verdict.NOT_APPLICABLE)


def asides(run: Run) -> list[Said]:
    """What is worth knowing about results that need no action."""
    quiet = (Verdict.HELD, Verdict.WAIVED, Verdict.NOT_APPLICABLE)
    return _said((note, r) for r in run.results if r.verdict in quiet for note in notes(r))


def notes(result: Result) -> tuple[str, ...]:
    if result.attempts > 1:
        which = _ORDINALS.get(result.attempts, f"{result.attempts}th")
        return (f"{result.verdict} on the {which} try", *result.notes)
    return result.notes


def _said(pairs: Iterable[tuple[str, Result]]) -> list[Said]:
    together = by(pairs, lambda pair: pair[0])
    return [Said(text, tuple(result for _, result in alike)) for text, alike in together.items()]


def shortfalls(run: Run) -> list[str]:
    """What the plan has and the run has not; empty only if coverage is complete."""
    judged = len(run.results)
    if judged == run.planned:
        return list(run.shortfalls)
    count = f"{run.planned} results were planned, {judged} were judged"
    return [count, *run.shortfalls]


def troubled_hosts(run: Run) -> list[HostResult]:
    return [host for host in run.hosts if host.error or not host.reached]


def worst_first(results: Iterable[Result]) -> list[Result]:
    return sorted(results, key=_rank)


def _rank(result: Result) -> tuple[int, int, str, list[tuple[str, int]]]:
    severity = SEVERITIES.index(result.severity) if result.severity in SEVERITIES else len(SEVERITIES)
    return WORST_FIRST.index(result.verdict), severity, result.id, _counting(result.subject)


def _counting(name: str) -> list[tuple[str, int]]:
    """A key that sorts n2 before n10."""
    return [(word, int(number or 0)) for word, number in re.findall(r"(\D*)(\d{0,18})", name)]


def counts(run: Run) -> list[tuple[str, int]]:
    """(word, count): planned first; what is zero is left out where everything held."""
    found = [(str(verdict), run.count(verdict)) for verdict in Verdict]
    if run.count(Verdict.HELD) == run.planned == len(run.results):
        found = found[:1]
    if missing := run.planned - len(run.results):
        found.append(("not judged", missing))
    return [("planned", run.planned), *found]


def headline(run: Run) -> str:
    """How the run ended, in a few words; never better than its exit code."""
    parts = [f"{n} {v}" for v in (Verdict.VIOLATED, Verdict.UNKNOWN) if (n := run.count(v))]
    if (roots := sum(r.verdict is Verdict.VIOLATED and not r.follows_from for r in run.results)) and (
        roots < run.count(Verdict.VIOLATED)
    ):
        parts[0] += f" for {roots} reason{'s' if roots > 1 else ''}"
    if n := run.count(Verdict.WAIVED):
        parts.append(f"{n} waived (a gate accepts none)" if run.gate else f"{n} waived")
    if not run.coverage_complete:
        parts.append("coverage falls short")
    if run.exit_code in ENDED:
        parts.insert(0, ENDED[run.exit_code])
    if run.exit_code == 0:
        held = run.count(Verdict.HELD)
        nothing = "nothing applied" if run.results else "nothing was planned"
        parts.insert(0, nothing if not held else f"all {held} held" if not parts else f"{held} held")
    said = ", ".join(parts)
    return said[:1].upper() + said[1:]


def exit_words(run: Run) -> str:
    """The exit code, with its reason where no count says it."""
    code = int(run.exit_code)
    reason = {**ENDED, 7: "coverage falls short"}.get(code, "")
    if code == 1 and not run.count(Verdict.VIOLATED):
        reason = "a gate accepts no waiver"
    return f"exit {code}" + (f": {reason}" if reason else "")


def took(run: Run) -> float:
    """Seconds."""
    return max(0.0, (moment(run.finished) - moment(run.started)).total_seconds())


def moment(iso: str) -> datetime:
    found = datetime.fromisoformat(iso)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def site(inventory: str) -> str:
    """The inventory's short name: `lab` of `inventories/lab` and of `inventories/lab/hosts.yml`."""
    path = PurePath(inventory)
    if path.stem in ("hosts", "inventory") and path.parent.name:
        path = path.parent
    return (path.stem if path.suffix in (".yml", ".yaml", ".ini", ".toml", ".json") else path.name) or inventory


def unique(items: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(items))


def by(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups
