"""Consent hangs on the class of each question, and is refused where questions are asked."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import get_args

import pytest
from operators_project import CHECKS, WORKERS, Project

from siteproof.asks import CLASSES, Command, Consent, ProbeClass, heaviest
from siteproof.errors import NotAllowed, Unreachable
from siteproof.evidence.store import Store
from siteproof.gather import LocalGatherer
from siteproof.gather.protocol import Spec
from siteproof.transport.connection import Connection

pytest_plugins = "pytester"

UNFORESEEN = """
@invariant("lent-later", family="link", severity="low", incident="", remedy="")
async def test_node_lends_something_where_nobody_foresees_it(node: Node, link: Link) -> None:
    seen = await mtu(node.host)
    if type(seen) is int:  # no stand-in is
        await lent(node.host)
"""


def question(probe_class: ProbeClass) -> Command:
    return Command("cp1", probe_class, 5, probe_class, "echo")


@pytest.mark.parametrize(
    ("consent", "allowed"),
    [
        (Consent(), {"reads", "sends", "borrows"}),
        (Consent(changes=True), {"reads", "sends", "borrows", "changes"}),
        (Consent(read_only=True), {"reads", "sends"}),
        (Consent(read_only=True, changes=True), {"reads", "sends"}),
    ],
)
def test_only_what_is_allowed_is_asked(consent: Consent, allowed: set[str], tmp_path: Path) -> None:
    """Nobody listens there, so that whatever is asked is unreachable."""
    store = Store(tmp_path / "evidence")
    at = Connection.from_variables("cp1", {"ansible_host": "127.0.0.1", "ansible_port": 1}, {}, set())
    questions = [Command("cp1", name, 5, name, f"echo {name}") for name in CLASSES]
    with closing(LocalGatherer({"cp1": at}, store, "abcdef012345", consent=consent)) as gatherer:
        gatherer.ask(questions)
    kinds = {q.probe_class: type(store.get(q)) for q in questions}
    assert kinds == {name: Unreachable if name in allowed else NotAllowed for name in CLASSES}


def test_a_process_of_its_own_is_told() -> None:
    spec = Spec({}, Path("evidence"), "abcdef012345", consent=Consent(read_only=True))
    assert Spec.from_json(spec.to_json()).consent == Consent(read_only=True)


def test_a_check_is_of_the_class_of_its_heaviest_question() -> None:
    assert get_args(ProbeClass) == CLASSES
    assert heaviest([]) == "reads"
    assert heaviest([question("borrows"), question("reads"), question("sends")]) == "borrows"


def test_what_a_check_borrows_is_seen_without_its_saying_so(project: Project) -> None:
    assert project.run("-k", "lends").ret == 0
    classes = {r["id"]: r["class"] for r in project.report["results"]}
    assert classes["mtu-borrowed"] == "borrows"
    ran = project.run("--read-only")
    ran.stdout.fnmatch_lines(["*left out: --read-only: mtu-borrowed?one?*"])
    assert ran.ret == 0


@WORKERS
def test_what_nobody_foresaw_is_refused_where_it_is_asked(project: Project, workers: tuple[str, ...]) -> None:
    project.checks(CHECKS + UNFORESEEN)
    lent = project.directory / "lent"
    lent.unlink(missing_ok=True)
    ran = project.run("--read-only", *workers)
    assert ran.ret == 6
    result = next(r for r in project.report["results"] if r["id"] == "lent-later")
    assert result["verdict"] == "unknown"
    assert "was not asked: --read-only" in result["message"]
    assert not lent.exists()
    assert project.run(*workers).ret == 0
    assert lent.exists()
