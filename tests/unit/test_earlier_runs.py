"""Looking back: answers of earlier runs, found in bundles that were made up."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import date
from pathlib import Path

import pytest

from siteproof.asks import Ask, Earlier, Output, Question, Recorded, both, command, past
from siteproof.errors import NotRecorded, ProbeError, TimedOut, Unparseable
from siteproof.evidence import earlier
from siteproof.evidence.store import Attempt, Store
from siteproof.facts import History


def number(output: Output) -> int:
    return int(output.text)


COUNT: Ask[int] = command("swarm1", "count", probe="count", parse=number, tools=())
OTHER: Ask[int] = command("swarm2", "count", probe="count", parse=number, tools=())
KEPT = History(since=date(2026, 11, 1))


class Runs:
    """A reports directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now = Store(directory / "20261120T030000.000Z-99" / "evidence")

    def had(self, run: str, ask: Ask[int], answer: str | ProbeError) -> None:
        store = Store(self.directory / run / "evidence")
        output = answer if isinstance(answer, ProbeError) else Output(0, answer.encode(), b"", 0.0, 0.1)
        store.add(ask.questions[0], Attempt(0.0, 0.1, output))

    def recorded(self, question: Question) -> Recorded:
        assert isinstance(question, Earlier)
        self.now.add(question, earlier.answer(question, self.now))
        return self.now.get(question) or NotRecorded("it was not written down")


def test_what_is_secret_today_is_not_packed_and_decides_nothing(runs: Runs) -> None:
    """It was none when it was answered; packed, nobody would find it."""
    runs.now = Store(runs.now.directory, secrets=["4711"])
    runs.had("20261118T030000.000Z-1", COUNT, "4711")
    runs.had("20261119T030000.000Z-2", COUNT, "5")
    (question,) = past(COUNT, KEPT).questions
    recorded = runs.recorded(question)
    assert isinstance(recorded, Output)
    packed = [json.loads(line)["stdout"] for line in recorded.text.splitlines()]
    assert [gzip.decompress(base64.b64decode(each)) for each in packed] == ["«redacted»".encode(), b"5"]
    assert [found.answer for found in past(COUNT, KEPT).read(runs.recorded)] == [5]


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def test_the_last_run_of_each_day_is_looked_back_on_and_not_this_one(runs: Runs) -> None:
    for run, count in (
        ("20261118T030000.000Z-1", "4"),
        ("20261119T030000.000Z-2", "5"),
        ("20261119T150000.000Z-3", "6"),
        ("20261120T030000.000Z-99", "7"),
    ):
        runs.had(run, COUNT, count)
    seen = past(COUNT, KEPT).read(runs.recorded)
    assert [(past.run[:8], past.answer) for past in seen] == [("20261118", 4), ("20261119", 6)]


def test_runs_before_the_declared_day_do_not_count(runs: Runs) -> None:
    runs.had("20261031T030000.000Z-1", COUNT, "4")
    assert past(COUNT, KEPT).read(runs.recorded) == ()


@pytest.mark.parametrize("answer", [TimedOut("nothing came"), "Usage: count"])
def test_a_run_without_an_answer_is_a_gap(runs: Runs, answer: str | ProbeError) -> None:
    runs.had("20261118T030000.000Z-1", COUNT, answer)
    runs.had("20261119T030000.000Z-2", COUNT, "5")
    assert [found.answer for found in past(COUNT, KEPT).read(runs.recorded)] == [5]


def test_a_run_counts_with_all_parts_or_not_at_all(runs: Runs) -> None:
    runs.had("20261118T030000.000Z-1", COUNT, "4")
    runs.had("20261119T030000.000Z-2", COUNT, "5")
    runs.had("20261119T030000.000Z-2", OTHER, "1")
    assert [found.answer for found in past(both(COUNT, OTHER), KEPT).read(runs.recorded)] == [(5, 1)]


def test_runs_may_be_kept_elsewhere(runs: Runs, tmp_path: Path) -> None:
    elsewhere = Runs(tmp_path / "nightly")
    elsewhere.had("20261118T030000.000Z-1", COUNT, "4")
    kept = History.model_validate({"since": date(2026, 11, 1), "path": str(tmp_path / "nightly")})
    assert [found.answer for found in past(COUNT, kept).read(runs.recorded)] == [4]


def test_other_directories_are_no_runs(runs: Runs, tmp_path: Path) -> None:
    runs.had("kept-for-the-postmortem", COUNT, "4")
    assert past(COUNT, KEPT).read(runs.recorded) == ()


@pytest.mark.parametrize("text", ["Usage: history\n", '{"run": "x"}\n', "[]\n"])
def test_what_is_not_written_by_us_is_no_answer(text: str) -> None:
    with pytest.raises(Unparseable):
        past(COUNT, KEPT).read(lambda question: Output(0, text.encode(), b"", 0.0, 0.0))


@pytest.mark.parametrize(("since", "begins"), [(date(2026, 11, 14), True), (date(2026, 11, 13), False)])
def test_a_week_must_pass(since: date, begins: bool) -> None:
    assert History(since=since).begins(date(2026, 11, 20)) is begins
