"""Violated is one thing only."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from siteproof.asks import uniform
from siteproof.errors import NoControl, Unreachable
from siteproof.judging.verdicts import Comparison, Outcome, outcome, shown
from siteproof.results import ExitCode, Result, Run, Verdict

HERE = Path(__file__).parent


def raised(function: Any) -> BaseException:
    with pytest.raises(BaseException) as info:  # noqa: PT011
        function()
    return info.value


def a_finding() -> None:
    mtu = int("1500")
    assert mtu == 1400


def an_assertion_in_a_library() -> None:
    from unittest.mock import Mock

    Mock().assert_called()


def a_bug() -> None:
    json.loads("no json")


def found(error: BaseException | None, *compared: Comparison) -> Outcome:
    return outcome(error, compared, HERE)


def test_an_assertion_in_the_check_is_a_violation() -> None:
    seen = found(raised(a_finding), Comparison("==", {"eth0": 1500, "lo": 1}, {"eth0": 1400, "lo": 1}))
    assert (seen.verdict, seen.seen, seen.expected) == (Verdict.VIOLATED, "eth0: 1500", "eth0: 1400")


@pytest.mark.parametrize("broken", [an_assertion_in_a_library, a_bug])
def test_anything_else_says_nothing_of_the_site(broken: Any) -> None:
    seen = found(raised(broken))
    assert seen.verdict is Verdict.UNKNOWN
    assert "says nothing of the site" in seen.message


def test_a_probe_error_is_unknown_and_one_of_the_host_blocks() -> None:
    assert found(NoControl("silence")) == Outcome(Verdict.UNKNOWN, "silence")
    assert found(Unreachable("worker1 is down")).blocked_by == "worker1 is down"


def test_values_are_shown_as_an_operator_writes_them() -> None:
    assert shown(frozenset({IPv4Address("10.0.20.203"), IPv4Address("10.0.20.1")})) == "10.0.20.1, 10.0.20.203"
    assert shown({"getent": frozenset()}) == "getent: nothing"
    assert shown([(True, ())]) == "True, nothing"


def run(*verdicts: Verdict, planned: int | None = None, gate: bool = False, pytest_exit: int = 0) -> Run:
    results = tuple(
        Result("id", "", str(n), None, verdict, "high", "reads", f"t::{n}") for n, verdict in enumerate(verdicts)
    )
    return Run(
        "", "", "", "", len(results) if planned is None else planned, results, (), gate=gate, pytest_exit=pytest_exit
    )


@pytest.mark.parametrize(
    ("given", "exit_code"),
    [
        (run(Verdict.HELD, Verdict.WAIVED, Verdict.NOT_APPLICABLE), ExitCode.HELD),
        (run(Verdict.HELD, Verdict.UNKNOWN), ExitCode.UNKNOWN),
        (run(Verdict.VIOLATED, Verdict.UNKNOWN), ExitCode.VIOLATED),
        (run(Verdict.HELD, planned=2), ExitCode.SHORTFALL),
        (run(Verdict.UNKNOWN, planned=2), ExitCode.UNKNOWN),
        (run(Verdict.WAIVED, gate=True), ExitCode.VIOLATED),
        (run(Verdict.HELD, pytest_exit=2), 2),
        (run(pytest_exit=5), 5),
        (run(Verdict.HELD, pytest_exit=1), ExitCode.FAILED_INSIDE),
    ],
)
def test_exit_codes_have_one_precedence(given: Run, exit_code: int) -> None:
    assert given.exit_code == exit_code


def test_of_uniform_answers_the_outlier_is_shown_by_name() -> None:
    answers = {"cp1": 1400, "worker1": 1500}
    assert uniform(answers, 1400) == {"cp1": 1400, "worker1": 1400}
    finding = found(raised(a_finding), Comparison("==", answers, uniform(answers, 1400)))
    assert (finding.seen, finding.expected) == ("worker1: 1500", "worker1: 1400")


def test_a_result_survives_its_json() -> None:
    result = Result("id", "s", "a", "h", Verdict.HELD, "high", "reads", "n", notes=("x",))
    assert Result.from_json(json.loads(json.dumps(result.to_json()))) == result
