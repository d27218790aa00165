"""The run as reports tell it, put together once all of it is judged."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from siteproof.evidence.bundle import Replay
from siteproof.judging import waivers
from siteproof.judging.missing_hosts import overlooked
from siteproof.judging.suite import Suite
from siteproof.probes.common import versions
from siteproof.results import ExitCode, HostResult, Result, Run, Verdict, iso


def put_together(suite: Suite, *, pytest_exit: int, judged: datetime) -> Run:
    """A replay ended when its bundles did, and is judged now."""
    plan, ledger, store = suite.plan, suite.ledger, suite.store
    results = _follow(sorted(ledger.results.values(), key=lambda r: r.nodeid), plan.follows)
    return Run(
        started=iso(suite.started),
        finished=iso(store.finished if isinstance(store, Replay) else judged),
        judged=iso(judged),
        replayed=tuple(os.path.relpath(d, suite.directory) for d in suite.replayed),
        inventory=suite.site.inventory.source,
        directory=str(suite.directory),
        planned=len(plan.planned),
        results=tuple(results),
        hosts=tuple(_hosts(suite)),
        shortfalls=tuple(_shortfalls(suite)),
        remarks=(*ledger.failures, *ledger.remarks, *waivers.unused(suite.site, results)),
        gate=suite.selection.gate,
        follows=plan.follows,
        pytest_exit=ExitCode.FAILED_INSIDE if ledger.failures else pytest_exit,
    )


def _follow(results: Iterable[Result], follows: Mapping[str, tuple[str, ...]]) -> list[Result]:
    """Each violated result with the root that it follows from, if that is violated too."""
    found = list(results)
    violated = [r for r in found if r.verdict is Verdict.VIOLATED]
    looked_at = {(r.id, r.host) for r in found}

    def root(result: Result) -> Result | None:
        for id in follows.get(result.id, ()):
            anywhere = (id, result.host) not in looked_at
            for other in violated:
                if result.among and other.host is not None and other.host not in result.among:
                    continue
                if other.id == id and (anywhere or other.host == result.host):
                    return other
        return None

    roots = {r.name: root(r) for r in violated}
    return [replace(r, follows_from=above.name) if (above := roots.get(r.name)) else r for r in found]


def _shortfalls(suite: Suite) -> list[str]:
    plan, ledger = suite.plan, suite.ledger
    said = [
        f"{family}: neither declared (siteproof_{family}) nor listed with a reason in siteproof_absent"
        for family in suite.site.undeclared
    ]
    said += suite.lost
    if plan.whole:
        cases = (plan.planned[nodeid].case for nodeid in ledger.deadly if nodeid in plan.planned)
        given_up = {case.host for case in cases if case.host}
        said += overlooked(suite.site, suite.store.host_records().keys() | given_up)
    if unasked := sorted(suite.selection.unasked):
        said.append(f"in none of the bundles: {', '.join(unasked)}")
    said += ledger.shortfalls
    if missing := [p.name for n, p in plan.planned.items() if n not in ledger.results]:
        why = f"{ledger.stopped}: not judged" if ledger.stopped else "planned and not judged"
        said.append(f"{why}: {', '.join(sorted(missing))}")
    return said


def _hosts(suite: Suite) -> list[HostResult]:
    tools = suite.ledger.tools
    return [
        HostResult(
            name=record.name,
            reached=record.reached,
            error=None if record.error is None else str(record.error),
            identity=dict(record.identity),
            seconds=round(record.seconds, 3),
            tools=tuple(sorted(tools.get(record.name, ()))),
            versions=versions.read(suite.store, record.name, tools.get(record.name, ())),
            login_user=record.login_user,
        )
        for _, record in sorted(suite.store.host_records().items())
    ]
