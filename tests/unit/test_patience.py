"""A broken site is the usual case: what waits in vain keeps nobody long, and what was not asked is never an answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from ipaddress import IPv4Address
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from siteproof.asks import Ask, Command, Output, Question, Recorded, Single, Stream, both
from siteproof.errors import GivenUp, OverBudget, ProbeError, TimedOut, Unanswered
from siteproof.evidence.store import Attempt, Store
from siteproof.gather import LocalGatherer, spawn
from siteproof.gather.base import Progress as Event
from siteproof.gather.base import Report
from siteproof.judging import rounds
from siteproof.plugin import progress
from siteproof.probes.names.dig import udp_reply
from siteproof.transport import batch, patience
from siteproof.transport.connection import Connection
from siteproof.transport.patience import Patience

SLEEPS, ANSWERS = "sleep 0.4; echo late", "echo here"


def connections(*names: str) -> dict[str, Connection]:
    return {name: Connection.from_variables(name, {"ansible_connection": "local"}) for name in names}


def question(probe: str, script: str = ANSWERS, waits_for: str = "", **more: Any) -> Command:
    return Command("here", probe, 20, "reads", script=script, waits_for=waits_for, **more)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rules, in tenths of the time."""
    for module in (batch, patience):
        monkeypatch.setattr(module, "IN_VAIN_S", 0.3)
        monkeypatch.setattr(module, "GIVE_UP_S", 0.7)
    monkeypatch.setattr(patience, "_ENOUGH_S", 3)


def gathered(store: Store, *rounds: Collection[Question]) -> dict[str, Recorded]:
    gatherer = LocalGatherer(connections("here"), store, "n0nce")
    try:
        for questions in rounds:
            gatherer.ask(questions)
    finally:
        gatherer.close()
    found = {q.probe: store.get(q) for questions in rounds for q in questions}
    return {probe: answer for probe, answer in found.items() if answer is not None}


def texts(found: dict[str, Recorded]) -> dict[str, str]:
    return {p: answer.text.strip() if isinstance(answer, Output) else answer.kind for p, answer in found.items()}


@pytest.mark.usefixtures("hasty")
def test_what_waits_for_the_same_is_given_up_and_nothing_else_is(tmp_path: Path) -> None:
    waiting = [question(f"dead {n}", f"{SLEEPS} {n}", "a server") for n in range(4)]
    others = [question("other"), question("slow", f"{SLEEPS} x", "another"), question("unlike", "echo 3", "third")]
    needs = question("needs", "echo 4", needs=("a server",))
    found = gathered(Store(tmp_path), [*waiting, *others], [needs, question("later", "echo 5", "a server")])
    assert texts(found) == {
        "dead 0": "late 0",
        "dead 1": "late 1",
        "dead 2": "GivenUp",
        "dead 3": "GivenUp",
        "other": "here",
        "slow": "late x",
        "unlike": "3",
        "needs": "GivenUp",
        "later": "GivenUp",
    }
    said = found["dead 3"]
    assert isinstance(said, GivenUp)
    assert "dead 3 on here was not asked, since a server kept others waiting in vain: dead 0, dead 1 waited 1 s" in str(
        said
    )
    assert said.host == "here"


@pytest.mark.usefixtures("hasty")
def test_who_answers_between_is_asked_on(tmp_path: Path) -> None:
    scripts = [f"{SLEEPS} 0", "echo 1", f"{SLEEPS} 2", "echo 3", f"{SLEEPS} 4"]
    asked = [question(str(number), script, "a server") for number, script in enumerate(scripts)]
    found = texts(gathered(Store(tmp_path), asked))
    assert found == {"0": "late 0", "1": "1", "2": "late 2", "3": "3", "4": "late 4"}


def stream(number: int) -> Stream:
    return Stream("here", f"DNS {number}", 8, "sends", address="192.0.2.1", port=53)


def silence(seconds: float = 8.0) -> Attempt:
    return Attempt(0, seconds, Unanswered("no connection within 8 s"))


ANSWER = Attempt.of(Output(0, b"", b"", 0, 0.1))


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([silence()], None),
        ([silence(), silence()], Unanswered),
        # It does answer some: that it is silent to these says nothing of others.
        ([ANSWER, silence(), silence()], GivenUp),
        ([silence(), ANSWER, silence()], None),
        ([silence(0.01)] * 9, None),
        # One that took so long tells enough of what is waited for, and too little of the server.
        ([Attempt(0, 14, TimedOut("not finished"))], GivenUp),
    ],
)
def test_a_server_is_silent_to_all_only_if_it_never_answered(
    seen: list[Attempt], expected: type[ProbeError] | None
) -> None:
    kept = Patience("here")
    for number, attempt in enumerate(seen):
        kept.saw(stream(number), attempt)
    over = kept.over(stream(99))
    assert (None if over is None else type(over)) == expected


DIG = "\n== siteproof said by dig\n{}\n\n== siteproof status\n{}\n\n== siteproof end\n"
NOBODY = ";; connection timed out; no servers could be reached"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(DIG.format(NOBODY, 9), Unanswered, id="silence"),
        pytest.param(DIG.format(NOBODY, 0), GivenUp, id="its words in an answer"),
        pytest.param(DIG.format(";; ->>HEADER<<-", 9), GivenUp, id="another failure"),
        pytest.param("", GivenUp, id="nothing"),
    ],
)
def test_a_tool_that_says_that_nothing_came_back_shows_a_server_to_be_silent(
    text: str, expected: type[ProbeError]
) -> None:
    """dig before 9.17 waits for what refuses it at once; a dead server is not asked each name to the end for that."""
    kept = Patience("here")
    asks = [udp_reply("here", name, at=IPv4Address("192.0.2.1")).questions[0] for name in ("a.example", "b.example")]
    for ask in asks:
        kept.saw(ask, Attempt.of(Output(0, text.encode(), b"", 0, 4.1)))
    assert type(kept.over(asks[0])) is expected


@pytest.mark.parametrize(
    ("seconds", "status", "given_up"), [(19.0, 0, False), (12.0, 75, False), (16.0, 75, True), (19.0, 1, False)]
)
def test_what_is_slow_as_a_matter_of_course_waits_in_vain_when_it_comes_to_nothing(
    seconds: float, status: int, given_up: bool
) -> None:
    kept = Patience("here")
    pull = question("pull", waits_for="a registry", slow=True, vain_on=(75,))
    kept.saw(pull, Attempt.of(Output(status, b"", b"", 0, seconds)))
    assert (kept.over(question("next", waits_for="a registry", slow=True)) is not None) == given_up


@pytest.mark.usefixtures("hasty")
def test_slow_questions_for_one_thing_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those of another round, which are asked meanwhile: the first may show that the second is in vain."""
    store, begun = Store(tmp_path), time.monotonic()
    gatherer = LocalGatherer(connections("here"), store, "n0nce")
    monkeypatch.setattr(patience, "SLOW_IN_VAIN_S", 2)
    slow: dict[str, Any] = {"slow": True, "vain_on": (75,)}
    pull = Command("here", "pull", 9, "reads", script="sleep 3.2; exit 75", waits_for="a registry", **slow)
    again = Command("here", "again", 9, "reads", script="sleep 3.1", waits_for="a registry", **slow)
    other = Command("here", "other", 9, "reads", script="echo other", waits_for="another registry", **slow)
    try:
        with ThreadPoolExecutor() as pool:
            first = pool.submit(gatherer.ask, [pull])
            time.sleep(1)
            gatherer.ask([again, other])
            first.result()
    finally:
        gatherer.close()
    assert isinstance(store.get(again), GivenUp)
    assert isinstance(store.get(other), Output)
    assert time.monotonic() - begun < 7


@pytest.mark.parametrize("process", ["own", "another"])
def test_a_budget_ends_what_nobody_answers(tmp_path: Path, process: str) -> None:
    store = Store(tmp_path)
    open_: Any = (
        LocalGatherer(connections("here", "there"), store, "n0nce", budget_s=2)
        if process == "own"
        else spawn(connections("here", "there"), store, run_nonce="n0nce", budget_s=2)
    )
    quick, hangs = question("quick"), question("hangs", "exec sleep 19")
    begun = time.monotonic()
    try:
        open_.ask([quick, hangs])
        assert time.monotonic() - begun < 12
        late = question("asked late", "echo late")
        open_.ask([late])
        with pytest.raises(OverBudget):
            open_.run("there", "true", 5)
    finally:
        open_.close()
    found = {q.probe: store.get(q) for q in (quick, hangs, late)}
    assert isinstance(found["quick"], Output)
    for probe in ("hangs", "asked late"):
        assert str(found[probe]) == "here had not answered when the 2 s were over that a run may ask (--budget)"
        assert isinstance(found[probe], OverBudget)
    assert store.host_records()["here"].error is None


def single(host: str, script: str, *, slow: bool = False) -> Ask[str]:
    return Single(Command(host, script, 5, "reads", script, slow=slow), lambda output: output.text)


def test_nobody_waits_for_another_s_slow_question() -> None:
    order: list[str] = []
    evidence: dict[str, Recorded] = {}
    pulled, second_asked = threading.Event(), threading.Event()

    async def quick() -> None:
        await single("a", "first")
        await single("a", "second")

    async def slow() -> None:
        await both(single("a", "pull", slow=True), single("a", "beside"))
        await single("a", "after the pull")

    class Kept:
        def get(self, question: Question) -> Recorded | None:
            return evidence.get(question.key)

    def answer(questions: Collection[Question]) -> None:
        for asked in questions:
            order.append(asked.probe)
            evidence[asked.key] = Output(0, b"", b"", 0, 0)
            if asked.probe == "second":
                second_asked.set()

    def pull(questions: Collection[Question]) -> None:
        assert second_asked.wait(10), "the second round waited for the pull"
        answer(questions)
        pulled.set()

    with ThreadPoolExecutor() as pool:

        def aside(questions: Collection[Question]) -> Future[None]:
            return pool.submit(pull, questions)

        checks: list[Any] = [quick, slow]
        asked = rounds.gather(checks, Kept(), lambda _, questions: answer(questions), aside)
    assert order == ["first", "beside", "second", "pull", "after the pull"]
    assert asked == [2, 1, 1]
    assert pulled.is_set()


def test_a_change_waits_for_what_is_asked_meanwhile() -> None:
    order: list[str] = []
    evidence: dict[str, Recorded] = {}

    async def slow() -> None:
        await single("a", "pull", slow=True)

    async def change() -> None:
        await Single(Command("b", "change", 5, "changes", "change"), lambda output: output.text)

    class Kept:
        def get(self, question: Question) -> Recorded | None:
            return evidence.get(question.key)

    def answer(questions: Collection[Question], pause: float = 0.0) -> None:
        time.sleep(pause)
        for asked in questions:
            order.append(asked.probe)
            evidence[asked.key] = Output(0, b"", b"", 0, 0)

    with ThreadPoolExecutor() as pool:
        checks: list[Any] = [slow, change]
        rounds.gather(checks, Kept(), lambda _, q: answer(q), lambda q: pool.submit(answer, q, 0.2))
    assert order == ["pull", "change"]


def test_who_is_waited_for_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_NAMED_AFTER_S", 0.2)
    lines: list[str] = []
    reporter = SimpleNamespace(_tw=SimpleNamespace(hasmarkup=False, fullwidth=80), write_line=lines.append)
    config: Any = SimpleNamespace(
        pluginmanager=SimpleNamespace(get_plugin=lambda _: reporter), option=SimpleNamespace(verbose=0)
    )
    asked = [Command(host, "p", 5, "reads", "true") for host in ("cp1", "worker1")]

    def ask(questions: Collection[Question], report: Report) -> None:
        report(Event("cp1", "done", 1, 1))
        report(Event("worker1", "asking", 3, 28))
        time.sleep(0.5)

    with progress.Progress(config) as shown:
        shown.round(1, asked, ask)
    assert lines[0].startswith("round 1: 1/2 hosts have answered, 0 s, waiting for worker1 (3 of 28)")
    assert lines[-1].startswith("round 1: 2 questions on 2 hosts in 0.")
