"""The benchmark compares like with like, and runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.designs import CHECKS, COMMANDS, Setting

ROOT = Path(__file__).parents[2]
PROJECTS = ROOT / "benchmarks/siteproof_project/tests_infra", ROOT / "benchmarks/testinfra_project"


def commands(source: str) -> list[str]:
    """What is asked of a host, from the text of its checks."""
    single = re.findall(r'(?:said\(node, |host\.check_output\()"([^"]+)"\)', source)
    paths = re.findall(r'owner_and_mode\(\w+, "([^"]+)"\)', source)
    return [*single, *(f"stat -c {what} {path}" for path in paths for what in ("%U", "%a"))]


def test_both_projects_ask_the_same() -> None:
    ours, theirs = ((project / "test_hosts.py").read_text() for project in PROJECTS)
    assert commands(ours) == commands(theirs)
    assert len(set(commands(ours))) == COMMANDS
    assert re.findall(r"def (test_\w+)", ours) == re.findall(r"def (test_\w+)", theirs)
    assert len(re.findall(r"def test_", ours)) == CHECKS


@pytest.mark.parametrize("text", ["-n0", "-n8", "-n2 by host"])
def test_a_setting_is_read_as_it_is_written(text: str) -> None:
    assert str(Setting.read(text)) == text


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="makes network namespaces")
def test_it_runs() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"^vs_best_testinfra: \d", ran.stdout, re.M)
