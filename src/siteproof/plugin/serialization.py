"""What goes from a worker to the controller: reports as plain data, warnings as their text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from siteproof.plugin.ending import failed
from siteproof.plugin.runtest import translate
from siteproof.results import Result, Verdict
from siteproof.text import crossing


def carried(report: Any, data: dict[str, Any]) -> dict[str, Any]:
    """What pytest made of a report, fit to cross. One that cannot cross is unknown, and no other is lost."""
    result = data.get("siteproof")
    try:
        plain: dict[str, Any] = crossing.plain(
            data | {"siteproof": result.to_json()} if isinstance(result, Result) else data
        )
        crossing.refuse_uncarried(plain)
    except Exception as error:  # noqa: BLE001 - whatever somebody put beside a result
        return _uncrossed(report, error)
    return plain


def as_text(warning: Any) -> None:
    """A warning crosses as its text; what cannot cross would end the worker."""
    said = warning.message
    if isinstance(said, Warning) and not str(said).isascii() and str(said) != crossing.encodable(str(said)):
        warning.message = UserWarning(crossing.encodable(str(said)))


def _uncrossed(report: Any, error: Exception) -> dict[str, Any]:
    """The same report without what cannot cross."""
    said = failed("what was found could not be handed from one process to another", error)
    if isinstance(report, pytest.CollectReport):
        collected = pytest.CollectReport(report.nodeid, report.outcome, said, [])
        return {**collected._to_json(), "$report_type": "CollectReport"}
    bare = pytest.TestReport(report.nodeid, report.location, {}, report.outcome, None, report.when)
    if isinstance(result := getattr(report, "siteproof", None), Result):
        why = result.message or said
        verdict = result.verdict if result.verdict is not Verdict.HELD else Verdict.UNKNOWN
        lost = replace(result, verdict=verdict, message=why, expected=None, seen=None, notes=(said,), evidence=())
        translate(bare, lost.encodable())
        bare.siteproof = lost.encodable().to_json()  # type: ignore[attr-defined]
    elif report.outcome == "failed":
        bare.longrepr = crossing.encodable(said)
    data: dict[str, Any] = crossing.plain(bare._to_json())
    return data | {"$report_type": "TestReport"}
