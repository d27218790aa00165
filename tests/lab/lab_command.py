"""Call the lab's command line as an operator does, on a lab of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "lab"]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the lab takes root")


def lab(name: str, *words: str, timeout: float = 120, project: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    """`python -m lab WORD --name NAME …`"""
    line = [*COMMAND, words[0], "--name", name, *words[1:]]
    return subprocess.run(line, cwd=project, capture_output=True, text=True, timeout=timeout, check=False)


def lab_ok(name: str, *words: str, timeout: float = 120) -> str:
    done = lab(name, *words, timeout=timeout)
    assert done.returncode == 0, f"lab {' '.join(words)}: {done.stderr}"
    return done.stdout


def start(name: str, *words: str) -> subprocess.Popen[bytes]:
    line = [*COMMAND, words[0], "--name", name, *words[1:]]
    return subprocess.Popen(line, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def build() -> None:
    """Have the parts that every lab stands on."""
    done = subprocess.run([*COMMAND, "build"], cwd=PROJECT, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr


@contextmanager
def own_lab(word: str) -> Iterator[str]:
    """A name nobody else has, of a lab that is gone afterwards. Building what it stands on is not part of the test."""
    build()
    name = f"{word}-{os.getpid()}"
    try:
        yield name
    finally:
        lab_ok(name, "down")
