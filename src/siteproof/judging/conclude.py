"""From what happened to a check to its result: the verdict, what it rests on, and who answers for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from siteproof.asks import heaviest
from siteproof.facts import Site
from siteproof.facts.declared import declared_at
from siteproof.judging.excerpts import SHOWN_CHARACTERS, Excerpts
from siteproof.judging.judge import Judgement
from siteproof.judging.plan import Planned
from siteproof.judging.verdicts import outcome, violates
from siteproof.judging.waivers import waived
from siteproof.results import Result, Verdict


class Concluder:
    """Makes the results of judged checks, waivers applied."""

    def __init__(self, site: Site, checks: Path, excerpts: Excerpts) -> None:
        """`checks` is the directory of the checks: an AssertionError from below it is a violation."""
        self._site = site
        self._checks = checks
        self._excerpts = excerpts

    def conclude(self, planned: Planned, error: BaseException | None, judgement: Judgement) -> Result:
        """The result of one check on one subject. `error` is what the check raised, if anything. Raises nothing."""
        try:
            return self._concluded(planned, error, judgement)
        except Exception as failure:  # noqa: BLE001 - it must not take the results of others with it
            said = f"siteproof failed over what was seen: {type(failure).__name__}: {failure}"
            verdict = Verdict.VIOLATED if violates(error, self._checks) else Verdict.UNKNOWN
            return waived(_without_evidence(planned, verdict, said[:SHOWN_CHARACTERS]), self._site)

    def _concluded(self, planned: Planned, error: BaseException | None, judgement: Judgement) -> Result:
        found = outcome(error, judgement.compared, self._checks)
        trace = judgement.trace
        asked = trace.asked.values()
        tries = [self._excerpts.tries(question, trace) for question in asked]
        result = replace(
            _bare(planned, found.verdict, found.message),
            probe_class=heaviest(asked) if asked else planned.probe_class,
            expected=found.expected,
            seen=found.seen,
            declared_at=declared_at(judgement.cited, found.expectation),
            notes=tuple(trace.remarks.notes),
            attempts=max((count for count, _ in tries), default=1),
            blocked_by=found.blocked_by,
            duration_s=round(sum(seconds for _, seconds in tries), 3),
            evidence=tuple(self._excerpts.of(question, trace) for question in asked),
        )
        return waived(result.encodable(), self._site)


def unjudged(planned: Planned, why: str) -> Result:
    """The unknown result of a check that was not judged to its end."""
    return _without_evidence(planned, Verdict.UNKNOWN, why)


def not_applicable(planned: Planned) -> Result:
    """The result of a check that the inventory declares away."""
    return _without_evidence(planned, Verdict.NOT_APPLICABLE, planned.case.absent or "")


def _without_evidence(planned: Planned, verdict: Verdict, message: str) -> Result:
    return _bare(planned, verdict, message).encodable()


def _bare(planned: Planned, verdict: Verdict, message: str) -> Result:
    invariant, case = planned.invariant, planned.case
    return Result(
        id=invariant.id,
        check=invariant.sentence,
        subject=case.id,
        host=case.host,
        verdict=verdict,
        severity=invariant.severity,
        probe_class=planned.probe_class,
        nodeid=planned.nodeid,
        message=message,
        among=case.among,
        incident=invariant.incident,
        remedy=invariant.remedy,
    )
