"""What `python -m lab run` takes for itself, and what it hands on to pytest."""

from __future__ import annotations

import pytest

from lab.cli import _split


@pytest.mark.parametrize(
    ("said", "own", "of_pytest"),
    [
        ("run", "run", ""),
        ("run -- --changes", "run", "--changes"),
        ("run --changes", "run", "--changes"),
        ("run --site other", "run --site other", ""),
        ("run -k mtu --site=other -n 2", "run --site=other", "-k mtu -n 2"),
        ("run --name l --site other -- --site x", "run --name l --site other", "--site x"),
        ("run --help", "run --help", ""),
    ],
)
def test_what_is_not_the_labs_is_pytests(said: str, own: str, of_pytest: str) -> None:
    assert _split(said.split()) == (own.split(), of_pytest.split())
