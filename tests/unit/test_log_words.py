"""Whose words are looked for in a log: what nobody knows is not taken for silence."""

from __future__ import annotations

import subprocess

import pytest

from siteproof.errors import NoControl
from siteproof.probes.common.log_words import FORGET, Dialect, LogWords, Said, print_counts
from siteproof.probes.swarm.dockerd import EXHAUSTED, RACED

WORDS = LogWords(
    "toold", "it broke", (Dialect((1, 0), (2, 0), ("broke",), ""), Dialect((2, 0), (3, 0), ("fell apart", "broke"), ""))
)
COUNTED = [Said(1, ("it broke",)), Said(2, ("it fell apart", "it broke"))]


@pytest.mark.parametrize(("version", "said"), [("1.0.1", 1), ("1.99.0~ds1", 1), ("v2.0.0-beta", 2), ("2.7.9+dfsg1", 2)])
def test_the_words_of_that_version_count(version: str, said: int) -> None:
    found = WORDS.said(version, COUNTED)
    found.sure()
    assert found.lines == said


@pytest.mark.parametrize("version", ["0.9.3", "3.0.0", "library-import", ""])
def test_of_another_version_what_is_found_counts_and_nothing_is_ruled_out(version: str) -> None:
    found = WORDS.said(version, COUNTED)
    assert found.lines == 2
    with pytest.raises(NoControl, match=r"it broke; known are those of 1\.0 to before 3\.0"):
        found.sure()


def test_what_lies_between_two_known_ones_is_not_known() -> None:
    gap = LogWords("toold", "it broke", (WORDS.dialects[0], Dialect((4, 0), (5, 0), ("burst",), "")))
    assert gap.known == "1.0 to before 2.0 and 4.0 to before 5.0"


def awk(log: str) -> list[str]:
    names = WORDS.names("w")
    script = f"/begins/ {{ {FORGET} }}\n{WORDS.awk('w')}\nEND {{ {print_counts(*names)} }}"
    return subprocess.run(["awk", script], input=log, capture_output=True, text=True, check=True).stdout.splitlines()


def test_what_an_earlier_life_said_is_forgotten() -> None:
    assert awk("it broke\nit begins\nit fell apart\n") == ["w1 0", "w2 1", "all 1", "example-w2 it fell apart"]


def test_the_last_lines_are_kept_in_their_order() -> None:
    counted, _, _, *shown = awk("".join(f"broke {n}\n" for n in range(25)))
    assert counted == "w1 25"
    assert shown[:10] == [f"example-w1 broke {n}" for n in range(15, 25)]


@pytest.mark.parametrize("version", ["20.10.24+dfsg1", "23.0.18", "26.1.5", "28.0.4", "28.5.2", "29.7.2"])
@pytest.mark.parametrize("words", [EXHAUSTED, RACED])
def test_dockerds_words_are_known(words: LogWords, version: str) -> None:
    words.said(version, [Said(0, ()) for _ in words.dialects]).sure()
