"""`lab with-tools`: what it takes for missing, and what its command is given; tests/lab has it bring them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab import tools
from lab.errors import LabError

PROJECT = Path(__file__).parents[2]
SCRATCH = "/root/.cache/siteproof-lab/siteproof-tools"
MOUNTS = f"""22 1 8:1 / / rw,relatime - ext4 /dev/vda rw
40 22 0:40 / {SCRATCH} rw,nodev - tmpfs siteproof-tools rw
41 22 0:41 / /usr ro - overlay siteproof-tools ro,lowerdir={SCRATCH}/machine/usr:{SCRATCH}/base/usr
"""


def test_a_machine_with_all_of_them_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "find_tool", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(tools, "built", lambda: pytest.fail("nothing is to be built"))
    before = Path("/proc/self/ns/mnt").readlink()
    tools.enter(lambda _: pytest.fail("nothing is to be said"))
    assert Path("/proc/self/ns/mnt").readlink() == before


def test_who_is_not_root_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "find_tool", lambda name: None if name in ("sshd", "sudo") else name)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match="this machine has no sshd, sudo, and bringing them takes root"):
        tools.enter(lambda _: None)


def test_what_lies_below_is_read_from_the_mounts() -> None:
    assert tools.layers("22 1 8:1 / / rw,relatime - ext4 /dev/vda rw\n") == {}
    found = tools.layers(MOUNTS)
    assert found == {"/usr": f"{SCRATCH}/machine/usr:{SCRATCH}/base/usr", "/etc": f"{SCRATCH}/etc"}
    # One within the other: the inner one's are above.
    assert tools.layers(MOUNTS + MOUNTS.replace("/root/", "/srv/"))["/etc"] == f"{SCRATCH}/etc".replace(
        "/root/", "/srv/"
    )


def test_the_command_is_run_as_it_is_with_the_administrators_directories() -> None:
    line = [sys.executable, "-m", "lab", "with-tools", "--", "sh", "-c", 'echo "$PATH"; exit 7', "--name"]
    environment = {**os.environ, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(line, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert (done.stdout, done.returncode) == ("/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin\n", 7)


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [(["--"], 4, "there is no command"), (["--", "no-such-command"], 3, "no-such-command cannot be run")],
)
def test_a_command_that_is_none_is_one_sentence(words: list[str], status: int, says: str) -> None:
    line = [sys.executable, "-m", "lab", "with-tools", *words]
    done = subprocess.run(line, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status
    assert says in done.stderr.splitlines()[-1]
