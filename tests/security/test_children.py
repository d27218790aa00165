"""Nothing that a run starts on the operator's machine outlives it, and nobody waits without being told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from heeding import heeds_signals

from siteproof.errors import BadInput
from siteproof.inventory import inventory
from siteproof.inventory.inventory import load
from siteproof.machine.child import Child

SPREADS = """#!/bin/sh
echo $$ >>{directory}/pids
(trap '' TERM HUP INT; echo x >>{directory}/started; sleep 600 & echo $! >>{directory}/pids; wait) &
echo $! >>{directory}/pids
trap '' TERM HUP INT
sleep 600
"""
"""It waits, and so do its children; none goes for being asked to."""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(true: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    assert true()


def script(directory: Path) -> Path:
    path = directory / "password.sh"
    path.write_text(SPREADS.format(directory=directory))
    path.chmod(0o755)
    return path


def spread(directory: Path) -> list[int]:
    wait_until(lambda: (directory / "pids").exists() and len((directory / "pids").read_text().splitlines()) == 3)
    return [int(line) for line in (directory / "pids").read_text().splitlines()]


@pytest.fixture
def waiting(tmp_path: Path) -> subprocess.Popen[str]:
    """A run whose vault password script has spread and hangs."""
    (tmp_path / "inv.yml").write_text("all: {hosts: {a: }}\n")
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["siteproof.plugin"]\n')
    (tmp_path / "temporary").mkdir()
    line = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--hosts=inv.yml"]
    return subprocess.Popen(
        [*line, f"--vault-password-file={script(tmp_path)}", f"--rootdir={tmp_path}"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTEST_ADDOPTS": "", "TMPDIR": str(tmp_path / "temporary")},
        preexec_fn=heeds_signals,
    )


@pytest.mark.parametrize(
    "ends_by", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL], ids=lambda s: s.name
)
def test_a_vault_script_that_hangs_ends_with_the_run(
    waiting: subprocess.Popen[str], tmp_path: Path, ends_by: signal.Signals
) -> None:
    pids = spread(tmp_path)
    waiting.send_signal(ends_by)
    waiting.communicate(timeout=20)
    assert waiting.returncode == (-signal.SIGKILL if ends_by is signal.SIGKILL else 2)
    wait_until(lambda: not any(map(alive, pids)))
    wait_until(lambda: not list((tmp_path / "temporary").iterdir()))


def test_waiting_is_said_and_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inv.yml").write_text("all: {hosts: {a: }}\n")
    monkeypatch.setattr(inventory, "SAID_AFTER_S", 2.0)
    monkeypatch.setattr(inventory, "PATIENCE_S", 4)
    heard: list[str] = []
    file = str(script(tmp_path))
    with pytest.raises(BadInput) as refused:
        load("inv.yml", limit=None, rootpath=tmp_path, vault_password_file=file, waits=heard.append)
    assert heard == [f"still reading the inventory: the vault password of {file}, for which at most 4 s are waited"]
    assert str(refused.value) == (
        f"reading the inventory took longer than 4 s and was ended; it was at the vault password of {file}"
    )
    pids = spread(tmp_path)
    wait_until(lambda: not any(map(alive, pids)))


def test_what_a_vault_script_leaves_behind_goes_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "inv.yml").write_text("all: {hosts: {a: }}\n")
    password = tmp_path / "password.sh"
    password.write_text(f"#!/bin/sh\nsleep 600 >/dev/null 2>&1 &\necho $! >{tmp_path}/pid\necho secret\n")
    password.chmod(0o755)
    assert load("inv.yml", limit=None, rootpath=tmp_path, vault_password_file=str(password)).hosts.keys() == {"a"}
    wait_until(lambda: not alive(int((tmp_path / "pid").read_text())))


def test_a_child_gives_its_streams_and_ends_twice(tmp_path: Path) -> None:
    with Child(["sh", "-c", "cat; echo out; echo error >&2"]) as child:
        assert child.communicate(20) == (b"out\n", b"error\n")
        child.end()
    with pytest.raises(FileNotFoundError):
        Child(["true"], cwd=tmp_path / "nowhere")
