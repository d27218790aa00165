"""Whole checks, judged on recorded answers of which one is damaged: the verdict is unknown, or what it was."""

from __future__ import annotations

import importlib
import inspect
import typing
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from damage import EVERYTHING
from recorded import Recording
from test_corruption import RECORDINGS, named, ways

from siteproof import facts, invariants
from siteproof.asks import Check, Output, Question, Recorded
from siteproof.errors import ToolFailed
from siteproof.facts import Case
from siteproof.inventory import inventory
from siteproof.judging import rounds, verdicts
from siteproof.results import Verdict

ROOT = Path(__file__).parents[2]
CHECKS = ROOT / "tests_infra"
SAMPLE = 15
MOST = 30
"""Ways per recording and check where all damage is tried: what the probe makes of each, test_corruption tries."""
FIRST_CHECKS = {
    "dns-split-answer", "pull-live-no-public", "mtu-node", "mss-effective", "swarm-proxy-subnet", "edge-no-dmz-config",
    "edge-no-dmz-outside",
}  # fmt: skip

HEALTHY: dict[str, Output] = {}
for one in sorted(RECORDINGS, key=lambda r: ("healthy" not in r.name, "lab" not in r.name, r.error is not None)):
    HEALTHY.setdefault(one.single.question.key, one.output)


@dataclass(frozen=True)
class Evidence:
    """Recorded answers by the question that they are of, and others in place of their own."""

    instead: Mapping[str, Recorded] = field(default_factory=dict)
    """By the key of the question."""

    def get(self, question: Question) -> Recorded | None:
        return self.instead.get(question.key) or HEALTHY.get(question.key)


def of_one_situation() -> dict[str, dict[str, Output]]:
    """What several tools answered in it: `ip-6.1.0-lab-mtu-1500` and `kernel-6.1-lab-mtu-1500`."""
    found: dict[str, dict[str, Output]] = {}
    for recording in RECORDINGS:
        found.setdefault(recording.name.split("-", 2)[-1], {}).setdefault(
            recording.single.question.key, recording.output
        )
    return found


@dataclass(frozen=True)
class Judged:
    """A check on one of its subjects, and the questions that it comes to."""

    id: str
    case: Case
    make: Callable[[], Check]
    asks: frozenset[str]

    def verdict(self, evidence: Evidence) -> Verdict:
        try:
            rounds.judge(self.make(), evidence, rounds.Trace())
        except Exception as error:  # noqa: BLE001 - as in a run
            return verdicts.outcome(error, [], CHECKS).verdict
        return Verdict.HELD


def _judged(site: facts.Site) -> Iterator[Judged]:
    for file in sorted(CHECKS.glob("test_*.py")):
        module = importlib.import_module(f"tests_infra.{file.stem}")
        for _, check in inspect.getmembers(module, inspect.iscoroutinefunction):
            if (declared := invariants.of(check)) is None or check.__module__ != module.__name__:
                continue
            kinds = {name: kind for name, kind in typing.get_type_hints(check).items() if name != "return"}
            for case in site.cases(declared.family, kinds):
                make = partial(check, **case.arguments)
                if not case.absent and (asked := _asked(make)) is not None:
                    yield Judged(declared.id, case, make, asked)


def _asked(make: Callable[[], Check]) -> frozenset[str] | None:
    """The questions of a check, if all of them are recorded."""
    trace = rounds.Trace()
    try:
        waits = rounds.drive(make(), Evidence(), trace, to_the_end=False)
    except Exception:  # noqa: BLE001 - it got to its end, whatever the verdict
        waits = None
    return None if waits is not None else frozenset(trace.asked)


@pytest.fixture(scope="module")
def checks() -> list[Judged]:
    read = inventory.load(ROOT / "inventories/lab", limit=None, rootpath=ROOT)
    return list(_judged(facts.read_site(read)))


def test_the_first_checks_are_judged_on_recordings(checks: list[Judged]) -> None:
    assert {check.id for check in checks} >= FIRST_CHECKS


def test_recordings_of_a_healthy_site_hold_and_of_a_broken_one_do_not(checks: list[Judged]) -> None:
    held = {check.id for check in checks if check.verdict(Evidence()) is Verdict.HELD}
    violated = {
        check.id
        for check in checks
        for answers in [*({r.single.question.key: r.output} for r in RECORDINGS), *of_one_situation().values()]
        if not check.asks.isdisjoint(answers) and check.verdict(Evidence(answers)) is Verdict.VIOLATED
    }
    assert held >= FIRST_CHECKS
    # A broken answer that stands alone is contradicted by its witness.
    assert violated >= FIRST_CHECKS - {"swarm-proxy-subnet"}


@pytest.mark.parametrize("recording", named(RECORDINGS))
def test_a_verdict_on_a_damaged_answer_is_unknown_or_unchanged(
    recording: Recording, checks: list[Judged], record_property: Callable[[str, object], None]
) -> None:
    key = recording.single.question.key
    asking = [check for check in checks if key in check.asks]
    counts = Counter({"tried": 0, "unknown": 0, "unchanged": 0, "misread": 0})
    misread = []
    tried = ways(recording)
    step = max(1, len(tried) // (MOST if EVERYTHING else SAMPLE))
    for check in asking[: None if EVERYTHING else 2]:
        whole = check.verdict(Evidence({key: recording.output}))
        # One of several witnesses: the others may do without it, and what is damaged is not read as their peer.
        without = check.verdict(Evidence({key: ToolFailed("it is broken")}))
        for what, output in tried[zlib.crc32(check.id.encode()) % step :: step]:
            verdict = check.verdict(Evidence({key: output}))
            kind = (
                "unknown" if verdict is Verdict.UNKNOWN else "unchanged" if verdict in (whole, without) else "misread"
            )
            counts.update(("tried", kind))
            if kind == "misread":
                misread.append(f"{check.id}[{check.case.id}]: {what}: {verdict}, not {whole}")
    record_property("corrupted verdicts", dict(counts))
    assert misread == []
