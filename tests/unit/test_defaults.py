"""What the checks of a file have in common is said once, and nothing of it goes missing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from siteproof.invariants import Defaults, Invariant, invariant, of

common = Defaults(family="dns", severity="high", incident="an incident", remedy="a remedy", gate=True)


@common("plain")
async def check_plain() -> None:
    """It has what its file says."""


@common("own", family="link", severity="low", incident="another", remedy="its own", gate=False, also=("a",))
async def check_own() -> None:
    """It has its own."""


def entry(check: object) -> Invariant:
    found = of(check)
    assert found is not None
    return found


def test_a_check_has_what_its_file_says() -> None:
    assert entry(check_plain) == Invariant(
        "plain", "It has what its file says.", "dns", "high", "an incident", "a remedy", True, (), ()
    )


def test_its_own_goes_before() -> None:
    assert entry(check_own) == Invariant(
        "own", "It has its own.", "link", "low", "another", "its own", False, ("a",), ()
    )


@pytest.mark.parametrize("missing", ["family", "severity", "incident", "remedy"])
def test_what_is_nowhere_is_refused_by_name(missing: str) -> None:
    with pytest.raises(TypeError, match=f"^mtu: it has no {missing}, neither of its own nor by the Defaults"):
        replace(common, **{missing: None})("mtu")(check_plain)  # type: ignore[arg-type]


def test_empty_is_something() -> None:
    @invariant("said", family="link", severity="low", incident="", remedy="")
    async def check_said() -> None: ...

    assert entry(check_said).incident == ""
    assert not entry(check_said).gate


def test_the_remedy_stands_behind_the_sentence() -> None:
    @common("prose")
    async def check_prose() -> None:
        """It has a sentence
        that goes on.

        Set it right.
        Then look again.

        And tell somebody.
        """

    @common("both", remedy="its own")
    async def check_both() -> None:
        """It has a sentence.

        And prose.
        """

    assert entry(check_prose).sentence == "It has a sentence"
    assert entry(check_prose).remedy == "Set it right. Then look again. And tell somebody."
    assert entry(check_both).remedy == "its own"
