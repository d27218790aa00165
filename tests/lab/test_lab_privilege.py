"""The sudoers fragment is enough for the whole suite, and for nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_command import COMMAND, PROJECT, lab_ok, needs_root, own_lab

pytestmark = [pytest.mark.lab, needs_root]

HOSTS = ("worker1", "lan1", "outside")
"""Those whose login user is not root."""
IN_A_ROOT_SHELL = "--deselect=tests_infra/test_registries.py"
"""What it asks of containerd on worker1 cannot be said exactly: see docs/privilege.md."""
INSTALL = "cat >/etc/sudoers.d/siteproof && chmod 0440 /etc/sudoers.d/siteproof && visudo -c"


@pytest.fixture(scope="module")
def name() -> Iterator[str]:
    with own_lab("privilege") as name:
        lab_ok(name, "up")
        yield name


def suite(name: str, *options: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "pytest", "-q", "--hosts=inventories/lab", *options]
    environment = {**os.environ, "SITEPROOF_LAB": name}
    return subprocess.run(line, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_the_suite_runs_with_the_fragment_and_no_other_privilege(name: str, tmp_path: Path) -> None:
    file = tmp_path / "sudoers"
    assert "may do anything" in suite(name, f"--sudoers={file}").stderr
    assert suite(name, f"--sudoers={file}", IN_A_ROOT_SHELL).returncode == 0
    for host in HOSTS:
        line = [*COMMAND, "exec", "--name", name, host, "--", "sh", "-c", INSTALL]
        subprocess.run(line, cwd=PROJECT, input=file.read_bytes(), check=True, capture_output=True)
    done = suite(name, f"--reports={tmp_path / 'reports'}", IN_A_ROOT_SHELL)
    assert done.returncode == 0, done.stdout
    for command in ("sudo -n id", "sudo -n sh -c true", "sudo -n nft list ruleset", "sudo -n timeout 9 id -u"):
        for host in HOSTS:
            refused = f"! su -s /bin/sh siteproof -c '{command}' 2>/dev/null"
            lab_ok(name, "exec", host, "--", "sh", "-c", refused)
    allowed = "su -s /bin/sh siteproof -c 'sudo -n nft list tables inet'"
    assert "siteproof" not in lab_ok(name, "exec", "worker1", "--", "sh", "-c", allowed)
