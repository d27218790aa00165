"""The benchmark compares like with like, and runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import workload
from benchmarks.designs import Setting

ROOT = Path(__file__).parents[2]


def test_both_projects_ask_the_same() -> None:
    ours, theirs = workload.SITEPROOF / "tests_infra/test_hosts.py", workload.TESTINFRA / "test_hosts.py"
    assert workload.commands(ours) == workload.commands(theirs)
    assert len(set(workload.commands(ours))) == workload.COMMANDS
    tests = [re.findall(r"def (test_\w+)", path.read_text()) for path in (ours, theirs)]
    assert tests[0] == tests[1]
    assert len(set(tests[0])) == workload.CHECKS


@pytest.mark.parametrize("text", ["-n0", "-n8", "-n2 by host"])
def test_a_setting_is_read_as_it_is_written(text: str) -> None:
    assert str(Setting.read(text)) == text


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="makes network namespaces")
def test_it_runs() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"^vs_best_testinfra: \d", ran.stdout, re.M)
