"""A question is asked again only where its probe says so, and every attempt is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import gathered
from local_sshd import Sshd
from operators_project import CHECKS, Project

from siteproof.asks import Command, Output
from siteproof.errors import TimedOut, Truncated
from siteproof.evidence.store import Store

pytest_plugins = "pytester"

SLOW_TWICE = "echo >>{count}; [ $(wc -l <{count}) -gt 2 ] || sleep 20; echo third"
KILLED_ONCE = (
    "echo >>{count}; [ $(wc -l <{count}) -gt 1 ] || "
    "! read -r _ _ _ shell _ </proc/$PPID/stat || ! kill -9 $shell || sleep 9; echo second"
)
FLAPS = "echo >>{count}; n=$(wc -l <{count}); echo $n; [ $n -gt 1 ] || exit 28"
TELLS = "echo >>{count}; echo once; exit 3"


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    server = Sshd().start()
    yield server
    server.stop()


def ask(sshd: Sshd, tmp_path: Path, script: str, **fields: Any) -> list[Any]:
    """The answers of all attempts; a sibling is asked beside them and answered once."""
    connection = sshd.connection("host", sshd.let_in(tmp_path.name))
    question = Command("host", "count", 1, "reads", script.format(count=tmp_path / "count"), **fields)
    sibling = Command("host", "sibling", 1, "reads", f"echo >>{tmp_path / 'sibling'}; echo fine")
    store = Store(tmp_path / "evidence")
    _, beside = gathered(connection, [question, sibling], store)
    assert isinstance(beside, Output)
    assert (tmp_path / "sibling").read_text() == "\n"
    found = store.evidence(question)
    assert found is not None
    assert str(store.get(question)) == str(found.last)
    assert len((tmp_path / "count").read_text()) == len(found.attempts)
    return [attempt.answer for attempt in found.attempts]


@pytest.mark.parametrize(
    ("script", "fields", "attempts"),
    [
        (SLOW_TWICE, {}, [TimedOut]),
        (SLOW_TWICE, {"retries": 1}, [TimedOut, TimedOut]),
        (SLOW_TWICE, {"retries": 5}, [TimedOut, TimedOut, Output]),
        (KILLED_ONCE, {"retries": 2, "slow": True}, [Truncated, Output]),
        (FLAPS, {"retries": 2}, [Output]),
        (FLAPS, {"retries": 2, "retry_on": (28,)}, [Output, Output]),
        (TELLS, {"retries": 2, "retry_on": (28,)}, [Output]),
    ],
)
def test_only_what_may_pass_is_asked_again(
    sshd: Sshd, tmp_path: Path, script: str, fields: dict[str, Any], attempts: list[type]
) -> None:
    assert [type(answer) for answer in ask(sshd, tmp_path, script, **fields)] == attempts


def test_what_is_no_answer_stays_none_however_often(sshd: Sshd, tmp_path: Path) -> None:
    answers = ask(sshd, tmp_path, TELLS, retries=3)
    assert [answer.status for answer in answers] == [3]


def test_the_report_says_on_which_try(project: Project) -> None:
    count = project.directory / "count"
    script = f"echo >>{count}; [ $(wc -l <{count}) -gt 2 ] || exit 28; cat {{directory}}/mtu"
    source = CHECKS.replace(
        '"cat {directory}/$LOGNAME/mtu 2>/dev/null || cat {directory}/mtu"', f'"{script}", retries=5, retry_on=(28,)'
    )
    del project.hosts["two"]
    project.checks(source)
    ran = project.run()
    assert ran.ret == 0, ran.stdout.str()
    ran.stdout.fnmatch_lines(["*held on the third try*"])
    result = next(r for r in project.report["results"] if r["id"] == "mtu")
    assert result["attempts"] == 3
    for name in ("report.html", "report.md"):
        assert "on the third try" in (project.runs[-1] / name).read_text()
