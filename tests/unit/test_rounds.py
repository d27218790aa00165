"""Checks are driven round by round, and what was not answered is never taken for an answer."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import pytest

from siteproof.asks import (
    Ask,
    Command,
    Output,
    Question,
    Recorded,
    Single,
    command,
    controlled,
    each,
    note,
    or_silence,
    total,
)
from siteproof.errors import (
    NoControl,
    ProbeError,
    ToolFailed,
    ToolMissing,
    TooManyRounds,
    Unanswered,
    Unparseable,
    Unreachable,
)
from siteproof.judging import rounds


def ask(host: str, script: str = "echo", answers: Collection[int] = (0,)) -> Ask[str]:
    question = Command(host, script, 5, "reads", script)
    return Single(question, lambda output: output.text, frozenset(answers))


class Hosts:
    """Answers every question by a function of it, and remembers the rounds."""

    def __init__(self, reply: Callable[[Command], Recorded]) -> None:
        self.reply = reply
        self.rounds: list[list[str]] = []
        self.recorded: dict[str, Recorded] = {}

    def get(self, question: Question) -> Recorded | None:
        return self.recorded.get(question.key)

    def ask(self, number: int, questions: Collection[Question]) -> None:
        self.rounds.append([f"{q.host} {q.probe}" for q in questions])
        for question in questions:
            assert isinstance(question, Command)
            self.recorded[question.key] = self.reply(question)


def says(text: str, status: int = 0, stderr: str = "") -> Output:
    return Output(status, text.encode(), stderr.encode(), 0.0, 0.0)


def judge(hosts: Hosts, check: Callable[[], Any]) -> rounds.Trace:
    rounds.gather([check], hosts, hosts.ask)
    trace = rounds.Trace()
    rounds.judge(check(), hosts, trace)
    return trace


def test_all_questions_of_a_round_are_asked_together() -> None:
    hosts = Hosts(lambda q: says(q.host))

    async def first() -> None:
        assert await ask("a") == "a"
        assert await ask("b", "later") == "b"

    async def second() -> None:
        assert await each({"a": ask("a"), "c": ask("c")}) == {"a": "a", "c": "c"}

    assert rounds.gather([first, second], hosts, hosts.ask) == [2, 1]
    assert hosts.rounds == [["a echo", "c echo"], ["b later"]]


def test_what_changes_a_host_is_asked_last_and_alone_there() -> None:
    hosts = Hosts(lambda q: says(q.host))

    def change(host: str, what: str) -> Ask[str]:
        return command(host, what, probe=what, parse=lambda output: output.text, tools=(), probe_class="changes")

    async def deploys() -> None:
        await change("a", "deploy")

    async def fills() -> None:
        await ask("b", "count")
        await change("a", "fill")

    async def pulls() -> None:
        await change("b", "pull")

    async def looks() -> None:
        for number in range(3):
            await ask("a", f"look {number}")

    rounds.gather([deploys, fills, pulls, looks], hosts, hosts.ask)
    assert hosts.rounds == [["b count", "a look 0"], ["a look 1"], ["a look 2"], ["a deploy", "b pull"], ["a fill"]]


def test_a_check_that_fails_early_asks_nothing_more() -> None:
    hosts = Hosts(lambda q: says("wrong"))

    async def check() -> None:
        assert await ask("a") == "right"
        await ask("b")

    rounds.gather([check], hosts, hosts.ask)
    assert hosts.rounds == [["a echo"]]


def test_a_fourth_round_is_refused() -> None:
    hosts = Hosts(lambda q: says(""))

    async def check() -> None:
        for number in range(4):
            await ask("a", f"echo {number}")

    with pytest.raises(TooManyRounds):
        judge(hosts, check)


def test_a_partial_answer_that_agrees_is_unknown() -> None:
    hosts = Hosts(lambda q: Unreachable("down is down") if q.host == "down" else says("1400"))

    async def check() -> None:
        seen = await each({h: ask(h) for h in ("up", "down")})
        assert seen == dict.fromkeys(seen, "1400")

    with pytest.raises(Unreachable):
        judge(hosts, check)


def test_a_partial_answer_that_disagrees_is_a_violation() -> None:
    hosts = Hosts(lambda q: Unreachable("down is down") if q.host == "down" else says("1500"))

    async def check() -> None:
        seen = await each({h: ask(h) for h in ("up", "down")})
        assert seen == dict.fromkeys(seen, "1400")

    with pytest.raises(AssertionError):
        judge(hosts, check)


def test_a_total_needs_all_its_parts() -> None:
    hosts = Hosts(lambda q: Unreachable("down is down") if q.host == "down" else says("1"))

    async def check() -> None:
        assert sum(map(int, (await total({h: ask(h) for h in ("up", "down")})).values())) > 5

    with pytest.raises(Unreachable):
        judge(hosts, check)


def test_a_check_that_asks_nothing_has_seen_nothing() -> None:
    async def check() -> None:
        assert await each({}) == {}

    with pytest.raises(TypeError, match="awaited nothing"):
        judge(Hosts(lambda q: says("")), check)


def test_forgetting_await_is_an_error_and_no_comparison() -> None:
    with pytest.raises(TypeError, match="await"):
        bool(ask("a"))
    with pytest.raises(TypeError, match="await"):
        assert ask("a") == "a"
    with pytest.raises(TypeError, match="await"):
        bool(each({"a": ask("a")}))


@pytest.mark.parametrize(
    ("recorded", "error"),
    [
        (says("help text", 1, "usage: tool"), ToolFailed),
        (says("", 126), ToolMissing),
        (says("", 127, "sh: 1: tool: not found"), ToolMissing),
        (says("", 127, "siteproof: not on this host: tool"), ToolMissing),
        (says("", 1, "sudo: tool: command not found"), ToolMissing),
        (says("", 255), ToolFailed),
        (Unreachable("no route"), Unreachable),
    ],
)
def test_a_status_that_is_no_answer_is_an_error(recorded: Recorded, error: type[ProbeError]) -> None:
    async def check() -> None:
        await ask("a")

    with pytest.raises(error):
        judge(Hosts(lambda q: recorded), check)


def test_a_bug_in_a_parser_is_no_finding() -> None:
    def broken(output: Output) -> str:
        raise KeyError("mtu")

    async def check() -> None:
        await Single(Command("a", "ip", 5, "reads", "ip"), broken)

    with pytest.raises(Unparseable, match="KeyError"):
        judge(Hosts(lambda q: says("{}")), check)


def absence(control_says: Recorded) -> Callable[[], Any]:
    async def check() -> None:
        seen = await controlled(
            ask("a", "name"), ask("a", "control"), silent=lambda t: not t, seen=bool, proves="the control is silent too"
        )
        assert not seen

    return check


def test_a_silence_counts_beside_its_control() -> None:
    judge(Hosts(lambda q: says("" if q.script == "name" else "pong")), absence(says("")))


@pytest.mark.parametrize("control", [says(""), Unreachable("no"), says("x", 1)])
def test_a_silence_without_its_control_is_none(control: Recorded) -> None:
    with pytest.raises(NoControl):
        judge(Hosts(lambda q: says("") if q.script == "name" else control), absence(control))


def test_an_answer_needs_no_control() -> None:
    async def check() -> None:
        assert await controlled(
            ask("a", "name"), ask("a", "control"), silent=lambda t: not t, seen=bool, proves=""
        ) == "10.0.20.203"  # fmt: skip

    judge(Hosts(lambda q: says("10.0.20.203") if q.script == "name" else Unreachable("no")), check)


def test_notes_stay_with_the_check_that_made_them() -> None:
    async def check() -> None:
        await ask("a")
        note("held, but slowly")

    assert judge(Hosts(lambda q: says("")), check).remarks.notes == ["held, but slowly"]


@pytest.mark.parametrize(
    ("server", "control", "answer"),
    [("yes", "yes", "yes"), ("yes", None, "yes"), (None, "yes", None)],
)
def test_that_nobody_answers_is_an_answer_beside_one_who_does(
    server: str | None, control: str | None, answer: str | None
) -> None:
    said = {"server": server, "control": control}
    hosts = Hosts(lambda q: says(text) if (text := said[q.host]) else Unanswered("refused"))
    seen: list[str | None] = []

    async def check() -> None:
        seen.append(await or_silence(ask("server"), control=ask("control"), proves="nor the other"))

    judge(hosts, check)
    assert seen[-1] == answer


def test_that_nobody_answers_at_all_is_no_answer() -> None:
    hosts = Hosts(lambda q: Unanswered("refused"))

    async def check() -> None:
        await or_silence(ask("server"), control=ask("control"), proves="nor does the other")

    with pytest.raises(NoControl, match="nor does the other"):
        judge(hosts, check)


def test_another_error_than_silence_stays_one() -> None:
    hosts = Hosts(lambda q: says("yes") if q.host == "control" else ToolFailed("broken"))

    async def check() -> None:
        await or_silence(ask("server"), control=ask("control"), proves="nor the other")

    with pytest.raises(ToolFailed, match="broken"):
        judge(hosts, check)


def test_an_answer_is_read_on_from_and_a_bug_in_that_is_unparseable() -> None:
    hosts = Hosts(lambda q: says("42"))
    seen: list[int] = []

    async def check() -> None:
        seen.append(await ask("a").then(int))

    async def broken() -> None:
        await ask("a").then(lambda text: text[99])

    judge(hosts, check)
    assert seen[-1] == 42
    with pytest.raises(Unparseable, match="IndexError"):
        judge(hosts, broken)
