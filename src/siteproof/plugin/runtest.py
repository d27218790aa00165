"""Running one check: it is judged, and what happened becomes a verdict and pytest's word for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from siteproof.errors import ProbeError
from siteproof.facts import Case
from siteproof.judging.conclude import not_applicable
from siteproof.judging.suite import Suite
from siteproof.plugin.ending import failed
from siteproof.plugin.stash import JUDGED, PLANNED
from siteproof.results import Result, Verdict
from siteproof.text import crossing


def judge(item: pytest.Function, suite: Suite) -> None:
    """Raises what the check raises, and ProbeError for a check that nobody runs again."""
    if (why := suite.ledger.deadly.get(item.nodeid)) is not None:
        raise ProbeError(why)
    error, judgement = suite.judge.run(item.obj(**item.stash[PLANNED].case.arguments))
    item.stash[JUDGED] = judgement
    if error is not None:
        raise error


def conclude(found: pytest.TestReport, item: pytest.Item, call: pytest.CallInfo[Any], suite: Suite) -> None:
    """The one place where what happened becomes a verdict, in pytest's report of it."""
    planned = item.stash[PLANNED]
    error = call.excinfo.value if call.excinfo else None
    if call.when == "setup" and found.skipped and planned.case.absent is not None:
        found.siteproof = not_applicable(planned)  # type: ignore[attr-defined]
    elif found.skipped and not planned.invariant.family and isinstance(error, pytest.skip.Exception):
        reason = Case(planned.case.id, planned.case.host, {}, str(error))
        found.siteproof = not_applicable(replace(planned, case=reason))  # type: ignore[attr-defined]
    elif call.when == "call" or error is not None:
        judgement = item.stash.get(JUDGED, None) or suite.judge.heard()
        suite.ledger.asked(judgement.trace.asked.values())
        translate(found, suite.concluder.conclude(planned, error, judgement))
    if call.when == "teardown" and JUDGED in item.stash:
        del item.stash[JUDGED]
    found.sections = [(crossing.encodable(name), crossing.encodable(text)) for name, text in found.sections]


def without_a_report(item: pytest.Item, call: pytest.CallInfo[Any], failure: Exception) -> pytest.TestReport:
    """A report of what pytest could not report."""
    said = failed("pytest or a plugin of it failed over this result", failure)
    when = call.when if call.when != "collect" else "call"
    return pytest.TestReport(item.nodeid, item.location, {}, "failed", crossing.encodable(said), when)


def translate(found: pytest.TestReport, result: Result) -> None:
    """pytest's words for a verdict: passed, failed, error (a failure that is not in the call), xfailed."""
    found.siteproof = result  # type: ignore[attr-defined]
    found.__dict__.pop("wasxfail", None)
    found.longrepr = None if result.verdict is Verdict.HELD else f"{result.verdict}: {result.message}"
    if result.verdict is Verdict.HELD:
        found.outcome = "passed"
    elif result.verdict is Verdict.WAIVED:
        found.outcome = "skipped"
        found.wasxfail = result.waiver or ""
    else:
        found.outcome = "failed"
        if result.verdict is Verdict.UNKNOWN and found.when == "call":
            found.when = "setup"
