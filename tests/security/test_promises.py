"""SECURITY.md promises nothing that no test holds, and no test of security holds what nobody is promised."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]
HERE = Path(__file__).parent
OF_THE_TESTS = {"test_promises.py", "test_isolated_host.py", "test_dependencies.py"}
"""They are about the tests themselves, and about what is installed."""


def named() -> set[str]:
    page = (PROJECT / "SECURITY.md").read_text(encoding="utf-8")
    return set(re.findall(r"`((?:tests/\w+/)?test_\w+\.py)`", page))


def test_each_test_that_is_named_is_there() -> None:
    assert [name for name in named() if not (PROJECT / name if "/" in name else HERE / name).is_file()] == []


def test_each_test_of_security_is_named() -> None:
    assert {path.name for path in HERE.glob("test_*.py")} - OF_THE_TESTS - named() == set()


def test_each_row_names_a_test() -> None:
    page = (PROJECT / "SECURITY.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
    assert [row for row in rows if not named() & set(re.findall(r"`([\w/.]+)`", row))] == []
