"""The last line of `.ci/run` counts what ran, and what broke off is never counted as passed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TALLY = Path(__file__).parents[2] / ".ci/tally.py"
PASSED, FAILED, SKIPPED = "<testcase/>", "<testcase><failure/></testcase>", "<testcase><skipped/></testcase>"
ERROR = "<testcase><error/></testcase>"


def last_line(folder: Path) -> tuple[str, int]:
    run = subprocess.run([sys.executable, TALLY, folder], capture_output=True, text=True, check=False)
    assert run.stderr == ""
    return run.stdout.splitlines()[-1], run.returncode


def write(folder: Path, environments: dict[str, bool], **files: str) -> None:
    # What tox knows and did not run has no result.
    found: dict[str, Any] = {name: {"result": {"success": ok}} for name, ok in environments.items()}
    (folder / "tox.json").write_text(json.dumps({"testenvs": found | {"bench": {}, ".pkg": {}}}))
    for stem, cases in files.items():
        (folder / f"{stem}.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")


def faults(folder: Path, *ok: bool) -> None:
    (folder / "proof.json").write_text(json.dumps({"faults": [{"id": "a", "ok": each} for each in ok]}))


def test_tests_faults_and_environments_are_counted_once(tmp_path: Path) -> None:
    write(
        tmp_path,
        dict.fromkeys(("lint", "unit", "prove"), True),
        **{"unit": PASSED * 3 + SKIPPED, "unit-part-b": PASSED},
    )
    faults(tmp_path, True, True)
    assert last_line(tmp_path) == ("7 passed, 0 failed", 0)


def test_what_failed_is_counted(tmp_path: Path) -> None:
    write(tmp_path, {"lint": False, "unit": False, "prove": False}, unit=PASSED + FAILED + ERROR)
    faults(tmp_path, True, False)
    assert last_line(tmp_path) == ("2 passed, 4 failed", 1)


def test_an_environment_that_failed_with_no_test_that_did_is_a_failure(tmp_path: Path) -> None:
    write(tmp_path, {"unit": False}, unit=PASSED)
    assert last_line(tmp_path) == ("1 passed, 1 failed", 1)


@pytest.mark.parametrize("said", [None, "", "{", "[]", "{}"])
def test_a_tox_that_broke_off_is_a_failure_beside_what_was_counted(said: str | None, tmp_path: Path) -> None:
    write(tmp_path, {}, unit=PASSED)
    (tmp_path / "tox.json").unlink()
    if said is not None:
        (tmp_path / "tox.json").write_text(said)
    assert last_line(tmp_path) == ("1 passed, 1 failed", 1)


def test_a_damaged_count_is_a_failure(tmp_path: Path) -> None:
    write(tmp_path, {"unit": True})
    (tmp_path / "unit.xml").write_text("<testsuite><testcase/>")
    assert last_line(tmp_path) == ("0 passed, 1 failed", 1)


def test_nothing_ran(tmp_path: Path) -> None:
    write(tmp_path, {})
    assert last_line(tmp_path) == ("0 passed, 0 failed", 1)
