"""The last line of `.ci/run` counts what ran, and what broke off is never counted as passed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TALLY = Path(__file__).parents[2] / ".ci/tally.py"


def last_line(folder: Path) -> tuple[str, int]:
    run = subprocess.run([sys.executable, TALLY, folder], capture_output=True, text=True, check=False)
    assert run.stderr == ""
    return run.stdout.splitlines()[-1], run.returncode


def cases(*names: str, outcome: str = "") -> str:
    return "".join(f'<testcase classname="tests.a" name="{name}">{outcome}</testcase>' for name in names)


FAILED, ERROR, SKIPPED = "<failure/>", "<error/>", "<skipped/>"


def write(folder: Path, environments: dict[str, bool], proof: bool | None = None, **files: str) -> None:
    """`proof` is how the second run ended; if it is None there was nothing to do in it."""
    # What tox knows and did not run has no result.
    found: dict[str, Any] = {name: {"result": {"success": ok}} for name, ok in environments.items()}
    (folder / "tox.json").write_text(json.dumps({"testenvs": found | {"bench": {}, ".pkg": {}}}))
    second = {} if proof is None else {"proof": {"result": {"success": proof}}}
    (folder / "tox-proof.json").write_text(json.dumps({"testenvs": second}))
    for stem, cases in files.items():
        (folder / f"{stem}.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")


def faults(folder: Path, file: str, **ok: bool) -> None:
    found = [{"id": name, "ok": each} for name, each in ok.items()]
    (folder / file).write_text(json.dumps({"faults": found}))


def test_tests_faults_and_environments_are_counted(tmp_path: Path) -> None:
    files = {"unit": cases("a", "b", "c") + cases("d", outcome=SKIPPED), "proof-part-lab": cases("e")}
    write(tmp_path, dict.fromkeys(("lint", "unit", "sample"), True), proof=True, **files)
    faults(tmp_path, "sample.json", x=True)
    faults(tmp_path, "proof.json", y=True)
    assert last_line(tmp_path) == ("7 passed, 0 failed", 0)


def test_what_was_tried_twice_is_counted_once_and_passed_only_if_it_never_failed(tmp_path: Path) -> None:
    files = {"unit": cases("a", "b"), "proof-part-damage": cases("a") + cases("b", outcome=FAILED)}
    write(tmp_path, dict.fromkeys(("unit", "sample"), True), proof=False, **files)
    faults(tmp_path, "sample.json", x=True, y=False)
    faults(tmp_path, "proof.json", x=True, y=True)
    assert last_line(tmp_path) == ("2 passed, 2 failed", 1)


def test_what_failed_is_counted(tmp_path: Path) -> None:
    unit = cases("a") + cases("b", outcome=FAILED) + cases("c", outcome=ERROR)
    write(tmp_path, {"lint": False, "unit": False, "sample": False}, unit=unit)
    faults(tmp_path, "sample.json", x=True, y=False)
    assert last_line(tmp_path) == ("2 passed, 4 failed", 1)


def test_a_test_whose_teardown_fails_has_failed(tmp_path: Path) -> None:
    write(tmp_path, {"unit": False}, unit=cases("a") + cases("a", outcome=ERROR))
    assert last_line(tmp_path) == ("0 passed, 1 failed", 1)


@pytest.mark.parametrize("proof", [True, False])
def test_an_environment_that_failed_with_no_test_that_did_is_a_failure(proof: bool, tmp_path: Path) -> None:
    write(tmp_path, {"unit": proof}, proof=not proof, unit=cases("a"), **{"proof-part-lab": cases("b")})
    assert last_line(tmp_path) == ("2 passed, 1 failed", 1)


@pytest.mark.parametrize("run", ["tox.json", "tox-proof.json"])
@pytest.mark.parametrize("said", [None, "", "{", "[]", "{}"])
def test_a_tox_that_broke_off_is_a_failure_beside_what_was_counted(said: str | None, run: str, tmp_path: Path) -> None:
    write(tmp_path, {}, unit=cases("a"))
    (tmp_path / run).unlink()
    if said is not None:
        (tmp_path / run).write_text(said)
    assert last_line(tmp_path) == ("1 passed, 1 failed", 1)


def test_two_that_broke_off_are_two_failures(tmp_path: Path) -> None:
    write(tmp_path, {}, unit=cases("a"))
    for run in ("tox.json", "tox-proof.json"):
        (tmp_path / run).write_text("")
    assert last_line(tmp_path) == ("1 passed, 2 failed", 1)


def test_a_damaged_count_is_a_failure(tmp_path: Path) -> None:
    write(tmp_path, {"unit": True})
    (tmp_path / "unit.xml").write_text("<testsuite><testcase/>")
    assert last_line(tmp_path) == ("0 passed, 1 failed", 1)


def test_nothing_ran(tmp_path: Path) -> None:
    write(tmp_path, {})
    assert last_line(tmp_path) == ("0 passed, 0 failed", 1)
