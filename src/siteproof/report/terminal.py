"""What pytest prints at the end of a run: first what an operator has to act on, in the end one line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from siteproof.report import findings as told
from siteproof.report.findings import Cause, Finding, Said
from siteproof.report.text import cut, excerpt, listed, most_telling, telling_words, wrapped
from siteproof.results import EvidenceRef, Result, Run, Verdict
from siteproof.text.characters import printable

NARROWEST, WIDEST = 40, 120
LABEL = 10
FINDING_LINES = 25
EVIDENCE_SHOWN = 2
EVIDENCE_LINES = 4
ASIDES_SHOWN = 4

_COLOURS = {"violated": "1;31", "unknown": "1;33", "waived": "1;36", "held": "1;32", "label": "2", "name": "1"}


@dataclass(frozen=True)
class Screen:
    width: int
    """Characters beside the labels."""
    colour: bool
    verbose: bool
    escape: str = "\033"
    """What begins a colour; text has none of it."""

    def paint(self, text: str, style: str) -> str:
        return f"{self.escape}[{_COLOURS[style]}m{text}{self.escape}[0m" if self.colour and text else text

    def row(self, label: str, lines: Sequence[str], style: str = "label") -> list[str]:
        """The lines beside a label; nothing if there are none."""
        if not lines:
            return []
        head = self.paint(label, style) + " " * (LABEL - len(label))
        return [head + lines[0], *(" " * LABEL + line for line in lines[1:])]

    def prose(self, label: str, text: str, at_most: int = 3, style: str = "label") -> list[str]:
        return self.row(label, wrapped(text, self.width, self.cap(at_most)), style)

    def names(self, label: str, names: Sequence[str], at_most: int = 3) -> list[str]:
        return self.row(label, listed(names, self.width, self.cap(at_most)))

    def cap(self, lines: int) -> int:
        return lines * 10 if self.verbose else lines


def lines(run: Run, *, width: int, colour: bool, verbose: int, escape: str = "\033") -> list[str]:
    """The end of a run on a terminal."""
    screen = Screen(max(NARROWEST, min(width, WIDEST)) - LABEL, colour, verbose > 0, escape)
    blocks = [
        *(_finding(screen, finding) for finding in told.findings(run)),
        *(_cause(screen, cause) for cause in told.causes(run.results)),
        _remarks(screen, run),
    ]
    said = [line for block in blocks if block for line in (*block, "")]
    return [*said, _summary(screen, run), *_report(screen, run)]


def _finding(screen: Screen, finding: Finding) -> list[str]:
    first, several = finding.first, len(finding.results) > 1
    title = first.id if several else first.name
    scope = f" on {len(finding.results)} subjects" if several else ""
    head = screen.paint("VIOLATED", "violated") + "  " + screen.paint(printable(title), "name")
    above = [
        f"{head}{scope}  {screen.paint(first.severity, 'label')}",
        *screen.prose("", first.check, 2),
        *_message(screen, finding),
        *_where(screen, finding),
        *_both_sides(screen, finding),
    ]
    below = [
        *screen.prose("remedy", first.remedy),
        *screen.prose("incident", first.incident, 1),
        *_capped(screen, "note", finding.notes, 2),
        *_followers(screen, finding),
    ]
    room = FINDING_LINES - len(above) - len(below)
    return [*above, *_evidence(screen, first, screen.cap(room)), *below]


def _message(screen: Screen, finding: Finding) -> list[str]:
    if finding.first.seen is not None and finding.first.expected is not None:
        return []  # the message says the same two values once more
    return _per_result(screen, "", finding, lambda result: result.message)


def _where(screen: Screen, finding: Finding) -> list[str]:
    label = "host" if len(finding.hosts) == 1 else "hosts"
    rows = screen.names(label, finding.hosts, 2)
    if len(finding.results) > 1 and any(r.subject != r.host for r in finding.results):
        rows += screen.names("subjects", [r.subject for r in finding.results])
    return rows


def _both_sides(screen: Screen, finding: Finding) -> list[str]:
    expected = _per_result(screen, "expected", finding, lambda result: result.expected)
    if expected and finding.declared_at:
        first, *rest = finding.declared_at
        expected += screen.names("", [f"declared at {first}", *rest], 2)
    return expected + _per_result(screen, "seen", finding, lambda result: result.seen)


def _per_result(
    screen: Screen, label: str, finding: Finding, value: Callable[[Result], str | None], at_most: int = 4
) -> list[str]:
    """A value once where all share it, else beside the subjects that have it."""
    having = told.by((r for r in finding.results if value(r) is not None), value)
    if len(having) <= 1:
        return screen.prose(label, next(iter(having), None) or "", at_most)
    said = []
    for text, results in having.items():
        one_line = "; ".join(printable(text or "").splitlines())
        more = f" and {len(results) - 1} more" if len(results) > 1 else ""
        who = f"  ({printable(results[0].subject)}{more})"
        said.append(cut(f"{cut(one_line, max(20, screen.width - len(who)))}{who}", screen.width))
    return screen.row(label, _some(said, screen.cap(at_most)))


def _some(said: Sequence[str], at_most: int) -> list[str]:
    if len(said) <= at_most:
        return list(said)
    return [*said[: at_most - 1], f"… {len(said) - at_most + 1} more in the report"]


def _evidence(screen: Screen, result: Result, room: int) -> list[str]:
    """What was printed where it can be seen, the command above it."""
    if not result.evidence or room < 2:
        return []
    words = telling_words(result.seen or result.message, result.expected or "")
    order = most_telling([ref.shown for ref in result.evidence], words)
    shown = order if screen.verbose else order[:EVIDENCE_SHOWN]
    said: list[str] = []
    for index in shown:
        left = min(room - len(said), screen.cap(EVIDENCE_LINES))
        if left >= 2:
            said += _ref(screen, result, result.evidence[index], words, left)
    return screen.row("evidence", said)


def _ref(screen: Screen, result: Result, ref: EvidenceRef, words: frozenset[str], room: int) -> list[str]:
    elsewhere = f"on {ref.host}: " if ref.host != result.host else ""
    head = cut(printable(f"{elsewhere}{ref.probe}"), screen.width)
    printed = excerpt(ref.shown, words, screen.width - 2, room - 1) or ["(nothing)"]
    return [head, *(f"  {screen.paint(line, 'label')}" for line in printed)]


def _followers(screen: Screen, finding: Finding) -> list[str]:
    if not finding.followers:
        return []
    names = [r.name for r in finding.followers]
    names[0] = f"because of this: {names[0]}"
    return screen.names("also", names)


def _cause(screen: Screen, cause: Cause) -> list[str]:
    count = len(cause.results)
    text = f"{cause.text} — {count} {'result' if count == 1 else 'results'} unknown"
    rows = screen.prose("UNKNOWN", text, 4, "unknown")
    rows += screen.row("", listed([r.name for r in cause.results], screen.width, screen.cap(4)))
    shown = cause.results[0]
    return rows + (_evidence(screen, shown, screen.cap(4)) if not shown.blocked_by else [])


def _remarks(screen: Screen, run: Run) -> list[str]:
    return [
        *_sayings(screen, "WAIVED", told.waived(run), Verdict.WAIVED),
        *(row for said in told.shortfalls(run) for row in screen.prose("SHORTFALL", said, 4, "unknown")),
        *_hosts(screen, run),
        *_capped(screen, "note", [_with_names(said) for said in told.asides(run)], ASIDES_SHOWN),
        *_capped(screen, "remark", run.remarks, ASIDES_SHOWN * 2),
        *(_sayings(screen, "not appl.", told.not_applicable(run)) if screen.verbose else []),
    ]


def _sayings(screen: Screen, label: str, sayings: Iterable[Said], style: str = "label") -> Iterator[str]:
    for said in sayings:
        yield from screen.prose(label, _with_names(said), 3, style)


def _with_names(said: Said) -> str:
    names = [result.name for result in said.results]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}: {said.text}"


def _capped(screen: Screen, label: str, texts: Sequence[str], at_most: int) -> list[str]:
    shown = texts if screen.verbose or len(texts) <= at_most else texts[: at_most - 1]
    rows = [row for text in shown for row in screen.prose(label, text, 2)]
    if len(shown) < len(texts):
        rows += screen.row("", [f"… {len(texts) - len(shown)} more in the report"])
    return rows


def _hosts(screen: Screen, run: Run) -> list[str]:
    """Hosts with which something is wrong, unless an unknown result said so already."""
    reasons = [told.reason(r) for r in run.results if r.verdict is Verdict.UNKNOWN]
    rows: list[str] = []
    for host in told.troubled_hosts(run):
        error = host.error or "not reached"
        if not any(error in reason for reason in reasons):
            rows += screen.prose("HOST", f"{host.name}: {error}", 2, "unknown")
    return rows


def _summary(screen: Screen, run: Run) -> str:
    (word, planned), *rest = told.counts(run)
    styles = {"held": "held", "violated": "violated", "unknown": "unknown", "waived": "waived", "not judged": "unknown"}
    parts = [screen.paint(f"{n} {v}", styles[v]) if n and v in styles else f"{n} {v}" for v, n in rest]
    code = screen.paint(told.exit_words(run), "held" if run.exit_code == 0 else "violated")
    return f"{planned} {word}: {' · '.join(parts)}   in {told.took(run):.1f} s   {code}"


def _report(screen: Screen, run: Run) -> list[str]:
    return [f"{screen.paint('report', 'label')} {printable(run.directory)}/report.html"]
