"""What a run found: results, hosts, coverage, and the exit code that follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any

from siteproof.text.crossing import encodable


class Verdict(StrEnum):
    """What was found out about one subject of one check."""

    HELD = "held"
    VIOLATED = "violated"
    UNKNOWN = "unknown"
    WAIVED = "waived"
    NOT_APPLICABLE = "not applicable"


WORST_FIRST = (Verdict.VIOLATED, Verdict.UNKNOWN, Verdict.WAIVED, Verdict.HELD, Verdict.NOT_APPLICABLE)


class ExitCode(IntEnum):
    """The suite's own exit codes, with those of pytest's that it gives too."""

    HELD = 0
    VIOLATED = 1
    INTERRUPTED = 2
    FAILED_INSIDE = 3
    BAD_INPUT = 4
    UNKNOWN = 6
    SHORTFALL = 7


@dataclass(frozen=True)
class EvidenceRef:
    """Where one answer stands: a line of the bundle, and the part of it that a person wants to see."""

    host: str
    probe: str
    file: str
    """Relative to the run directory."""
    key: str
    shown: str
    """The answer as received, redacted and cut to a screenful."""


@dataclass(frozen=True)
class Result:
    """One (id, subject) of one run."""

    id: str
    check: str
    """The check's sentence."""
    subject: str
    host: str | None
    """The vantage point; None where the subject has none."""
    verdict: Verdict
    severity: str
    probe_class: str
    nodeid: str
    message: str = ""
    """Why: for a violation what is wrong, for unknown which answer is missing, else empty."""
    among: tuple[str, ...] = ()
    """The hosts that the subject is of, where it has no vantage point and is of no others."""
    expected: str | None = None
    seen: str | None = None
    declared_at: str | None = None
    """`file:line` of the fact that the expectation comes from."""
    incident: str = ""
    remedy: str = ""
    notes: tuple[str, ...] = ()
    attempts: int = 1
    blocked_by: str | None = None
    """Why nothing could be known: the one cause that several unknown results share."""
    follows_from: str | None = None
    """The `id[subject]` of the violation that brought this one along."""
    waiver: str | None = None
    duration_s: float = 0.0
    evidence: tuple[EvidenceRef, ...] = ()

    @property
    def name(self) -> str:
        """`id[subject]`."""
        return f"{self.id}[{self.subject}]"

    def to_json(self) -> dict[str, Any]:
        """The result as schema 1 has it."""
        found = vars(self) | {
            "verdict": self.verdict.value,
            "class": self.probe_class,
            "vantage": self.host,
            "evidence": [vars(ref).copy() for ref in self.evidence],
        }
        del found["probe_class"]
        return found

    def or_worse(self, other: Result) -> Result:
        """Of two results of one node id the worse one: what was violated once is not taken back."""
        return min(self, other, key=lambda result: WORST_FIRST.index(result.verdict))

    def encodable(self) -> Result:
        """The same with every text fit for a pipe and a file, whatever bytes the host said."""
        texts = {n: encodable(v) for n, v in vars(self).items() if isinstance(v, str) and not isinstance(v, Verdict)}
        notes = tuple(map(encodable, self.notes))
        evidence = tuple(
            EvidenceRef(**{name: encodable(text) for name, text in vars(ref).items()}) for ref in self.evidence
        )
        return replace(self, **texts, notes=notes, evidence=evidence)  # type: ignore[arg-type]

    @staticmethod
    def from_json(found: Mapping[str, Any]) -> Result:
        known = {k: v for k, v in found.items() if k not in ("class", "vantage")}
        known |= {
            "probe_class": found["class"],
            "verdict": Verdict(found["verdict"]),
            "notes": tuple(found["notes"]),
            "among": tuple(found.get("among", ())),
            "evidence": tuple(EvidenceRef(**e) for e in found["evidence"]),
        }
        return Result(**known)


@dataclass(frozen=True)
class HostResult:
    """How a host was met."""

    name: str
    reached: bool
    error: str | None
    identity: Mapping[str, str]
    seconds: float
    tools: tuple[str, ...]
    """The tools that were asked about there."""
    login_user: str = ""
    versions: Mapping[str, str | None] = field(default_factory=dict)
    """Tool -> its version in its own words, None where it does not say; empty in a bundle that has none."""


@dataclass(frozen=True)
class Run:
    """Everything a report says."""

    started: str
    """ISO 8601, UTC."""
    finished: str
    inventory: str
    directory: str
    planned: int
    results: tuple[Result, ...]
    hosts: tuple[HostResult, ...]
    shortfalls: tuple[str, ...] = ()
    """Sentences: what the plan has and the run has not."""
    remarks: tuple[str, ...] = ()
    """Sentences about the run as a whole: unused waivers, deselected checks."""
    gate: bool = False
    pytest_exit: int = 0
    """What pytest itself would have exited with."""
    judged: str = ""
    """When the answers were judged: for a replay later than it finished."""
    replayed: tuple[str, ...] = ()
    """The bundles that were judged instead of hosts asked, relative to the directory."""
    follows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Check id -> the ids that it follows from, as the checks of this run declare it."""

    def count(self, verdict: Verdict) -> int:
        return sum(result.verdict is verdict for result in self.results)

    @property
    def summary(self) -> dict[str, int]:
        return {"planned": self.planned} | {v.value.replace(" ", "_"): self.count(v) for v in Verdict}

    @property
    def coverage_complete(self) -> bool:
        return not self.shortfalls and self.planned == len(self.results)

    @property
    def exit_code(self) -> int:
        """Precedence: pytest's 2 to 5, then violated, unknown, shortfall.

        1 means violated and nothing else: what pytest calls failed and no verdict explains has failed inside.
        """
        if 2 <= self.pytest_exit <= 5:
            return self.pytest_exit
        violated = self.count(Verdict.VIOLATED) or (self.gate and self.count(Verdict.WAIVED))
        if violated:
            return ExitCode.VIOLATED
        if self.count(Verdict.UNKNOWN):
            return ExitCode.UNKNOWN
        if not self.coverage_complete:
            return ExitCode.SHORTFALL
        return ExitCode.FAILED_INSIDE if self.pytest_exit == 1 else self.pytest_exit

    def to_json(self) -> dict[str, Any]:
        """report.json, schema 1, without its lists of results and hosts, which may be long."""
        return {
            "schema": 1,
            "started": self.started,
            "finished": self.finished,
            "judged": self.judged or self.finished,
            "replayed": list(self.replayed),
            "inventory": self.inventory,
            "exit_code": int(self.exit_code),
            "gate": self.gate,
            "summary": self.summary,
            "shortfalls": list(self.shortfalls),
            "remarks": list(self.remarks),
            "follows": {check: list(roots) for check, roots in sorted(self.follows.items())},
        }


def grouped(results: Iterable[Result]) -> tuple[dict[str, list[Result]], list[Result]]:
    """(root `id[subject]` -> all that follows from it, the roots and everything else), in the order given.

    A result hides under another one only where both are violated; in a circle nobody hides.
    """
    every = list(results)
    violated = {r.name: r for r in every if r.verdict is Verdict.VIOLATED}
    followers: dict[str, list[Result]] = {}
    others: list[Result] = []
    for result in every:
        if result.verdict is Verdict.VIOLATED and (root := _root(result, violated)) is not result:
            followers.setdefault(root.name, []).append(result)
        else:
            others.append(result)
    return followers, others


def _root(result: Result, violated: Mapping[str, Result]) -> Result:
    passed, root = {result.name}, result
    while (above := violated.get(root.follows_from or "")) is not None:
        if above.name in passed:
            return result
        passed.add(above.name)
        root = above
    return root


def iso(moment: datetime) -> str:
    """As reports and evidence write it: UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
