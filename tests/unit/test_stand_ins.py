"""What later rounds would ask, found by driving checks on with stand-ins for their answers."""

from __future__ import annotations

import pytest

from siteproof.asks import Ask, Check, Command, Output, both, command, each
from siteproof.judging.stand_ins import Answer, foreseen


def ask(script: str) -> Ask[str]:
    return command("h", script, probe=script.split()[0], parse=lambda output: output.text, tools=())


def asked(check: Check) -> tuple[list[str], bool]:
    found = foreseen(lambda: check)
    assert all(isinstance(question, Command) for question in found.later)
    return [question.script for question in found.later if isinstance(question, Command)], found.complete


async def one_round() -> None:
    assert await ask("first") == "x"


async def two_rounds() -> None:
    seen = await ask("first")
    assert await ask(f"second {seen}") == "y"


async def by_attributes() -> None:
    a, b = await both(ask("first"), ask("beside"))
    await each({item.name: ask(f"second {item.name} {b}") for item in a})  # type: ignore[attr-defined]


async def a_branch() -> None:
    seen = await ask("first")
    if seen.is_set:  # type: ignore[attr-defined]
        await ask("second")
    else:
        await ask("never")


async def a_number() -> None:
    seen = await ask("first")
    assert 0 < 3 * seen - int(seen) <= 100  # type: ignore[operator]
    await ask(f"second {seen}")


async def not_good_enough() -> None:
    await ask(f"second {await ask('first')}")
    raise LookupError("a stand-in is none")


async def four_rounds() -> None:
    for number in ("first", "second", "third", "fourth"):
        await ask(number)


async def the_same_again() -> None:
    await ask("first")
    await ask("first")


@pytest.mark.parametrize(
    ("check", "scripts"),
    [
        (one_round, []),
        (two_rounds, ["second ‹first›"]),
        (by_attributes, ["second ‹first› ‹beside›"]),
        (a_branch, ["second"]),
        (a_number, ["second ‹first›"]),
        (four_rounds, ["second", "third"]),
        (the_same_again, []),
    ],
)
def test_the_questions_of_later_rounds(check: type[Check], scripts: list[str]) -> None:
    found, complete = asked(check())
    assert (found, complete) == (scripts, True)


def test_what_cannot_be_driven_on_is_said() -> None:
    assert asked(not_good_enough()) == (["second ‹first›"], False)


def test_a_stand_in_is_whatever_is_made_of_it() -> None:
    answer = Answer("‹probe›")
    made = [answer.any.thing, answer["key"], answer(1, a=2), answer + 1, 1 + answer, 2 * answer, answer % 3, *answer]
    assert {str(each) for each in made} == {"‹probe›"}
    assert all(isinstance(each, Answer) for each in made)
    assert all([answer == 1, answer < 1, answer > 1, answer <= 1, answer >= 1, "x" in answer, bool(answer)])
    assert not answer != 1  # noqa: SIM202
    assert (len(answer), int(answer), len({answer, answer})) == (1, 1, 1)
    with pytest.raises(AttributeError):
        answer.__deepcopy__  # noqa: B018


def test_nobody_is_asked() -> None:
    def never(output: Output) -> str:
        raise AssertionError("parsed")

    async def check() -> None:
        await command("h", "true", probe="p", parse=never, tools=())

    assert asked(check()) == ([], True)
