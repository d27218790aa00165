"""junit.xml: `<failure>` is violated, `<error>` is unknown, `<skipped>` is waived or not applicable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain

from junitparser import Error, Failure, JUnitXml, Properties, Property, Skipped, TestCase, TestSuite

from siteproof.report import findings as told
from siteproof.results import Result, Run, Verdict
from siteproof.text.characters import printable

_END = "</testsuite></testsuites>"


def pieces(run: Run) -> Iterator[str]:
    """The file, case by case. What keeps the run from being green beside its results is a test case of its own."""
    about = list(_about_the_run(run))
    suite = TestSuite(printable(f"siteproof {run.inventory}"))
    suite.timestamp = told.moment(run.started).strftime("%Y-%m-%dT%H:%M:%S")
    suite.add_property("inventory", printable(run.inventory))
    suite.add_property("exit_code", str(int(run.exit_code)))
    document = JUnitXml("siteproof")
    kinds = Counter(type(outcome) for result in run.results if (outcome := _outcome(run, result)))
    for each in (suite, document):
        each.tests = len(run.results) + len(about)
        each.failures, each.errors, each.skipped = kinds[Failure], kinds[Error] + len(about), kinds[Skipped]
        each.time = round(told.took(run), 3)  # not the sum of its cases, which ran side by side
    document.append(suite)
    yield f'<?xml version="1.0" encoding="utf-8"?>\n{document.tostring().decode().removesuffix(_END)}'
    for case in chain((_case(run, result) for result in run.results), about):
        yield case.tostring().decode()
    yield f"{_END}\n"


def _case(run: Run, result: Result) -> TestCase:
    case = TestCase(printable(result.name), _classname(run, result.host, result.id), round(result.duration_s, 3))
    properties = Properties()
    said = {
        "severity": result.severity,
        "class": result.probe_class,
        "verdict": result.verdict.value,
        "host": result.host or "",
    }
    for name, value in said.items():
        properties.add_property(Property(name, printable(value)))
    case.append(properties)
    if outcome := _outcome(run, result):
        case.result = [outcome]
    if evidence := "\n\n".join(_evidence(result)):
        case.system_out = printable(evidence)
    return case


def _classname(run: Run, host: str | None, id: str) -> str:
    """A dot begins a new level where this is read, so there is none inside the parts."""
    parts = (told.site(run.inventory), host or "site", id)
    return ".".join(printable(part).replace(".", "_") for part in parts)


def _outcome(run: Run, result: Result) -> Failure | Error | Skipped | None:
    if result.verdict is Verdict.VIOLATED:
        return _with_text(Failure(printable(result.message or result.check), "violated"), result)
    if result.verdict is Verdict.UNKNOWN:
        return _with_text(Error(printable(f"unknown: {told.reason(result)}"), "unknown"), result)
    if result.verdict is Verdict.WAIVED:
        if run.gate:
            return _with_text(Failure(printable(f"waived, not accepted by a gate: {result.waiver}"), "waived"), result)
        return Skipped(printable(f"waived: {result.waiver}"), "waived")
    if result.verdict is Verdict.NOT_APPLICABLE:
        return Skipped(printable(f"not applicable: {result.message}"), "not applicable")
    return None


def _with_text(outcome: Failure | Error, result: Result) -> Failure | Error:
    said = {
        "check": result.check,
        "host": result.host,
        "expected": result.expected,
        "declared at": result.declared_at,
        "seen": result.seen,
        "because of": result.follows_from,
        "remedy": result.remedy,
        "incident": result.incident,
        "waiver": result.waiver,
        "note": "\n".join(told.notes(result)),
    }
    outcome.text = printable("\n".join(f"{label}: {text}" for label, text in said.items() if text))
    return outcome


def _evidence(result: Result) -> Iterator[str]:
    for ref in result.evidence:
        yield f"{ref.host}: {ref.probe}  ({ref.file}, {ref.key})\n{ref.shown}"


def _about_the_run(run: Run) -> Iterator[TestCase]:
    if run.exit_code in told.ENDED:
        yield _of_the_run(run, "run", Error(told.headline(run), "run"))
    if not run.coverage_complete:
        missing = told.shortfalls(run)
        yield _of_the_run(run, "coverage", Error(printable(missing[0]), "shortfall"), "\n".join(missing))


def _of_the_run(run: Run, name: str, outcome: Failure | Error, text: str = "") -> TestCase:
    case = TestCase(name, _classname(run, None, "run"), 0.0)
    outcome.text = printable(text)
    case.result = [outcome]
    return case
