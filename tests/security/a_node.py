"""A node for tests: its own root file system, processes, cgroups and network, and nothing of it is left.

Its first process only waits. Root there is this machine's root, so that what root would run there really runs.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from isolated_host import LAYER

from siteproof.asks import Ask, Command, Output, Single
from siteproof.gather.base import new_nonce
from siteproof.transport.batch import Frames, RunContext, script

NEEDS = ("unshare", "nsenter", "setpriv", "mount", "pivot_root", "nft", "ip", "find", "cc")
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
STRANGER = 65534
_READY_S = 20
_BOX = (
    LAYER
    + r"""mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for each in tmp run home; do mount -t tmpfs -o mode=755 siteproof $each; done
chmod 1777 tmp
pivot_root . mnt
cd /
umount -l /mnt
rm -rf /etc/containerd /usr/bin/containerd /usr/local/bin/containerd /etc/crictl.yaml
mkdir -p -m 755 /usr/local/bin /etc/containerd
ip link set lo up
ip address add 192.0.2.1/32 dev lo
: >/run/ready
exec sleep infinity
"""
)


class Node:
    """Use `a_node`."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="siteproof-node-"))
        self.cgroup = _cgroups() / f"siteproof-test-{os.getpid()}-{self.directory.name[-8:]}"
        self.cgroup.mkdir()
        inside = 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"'
        line = ["sh", "-c", inside, "sh", str(self.cgroup), "setpriv", "--pdeathsig", "KILL"]
        line += ["unshare", "--mount", "--pid", "--net", "--cgroup", "--ipc", "--fork", "--kill-child"]
        line += ["sh", "-c", _BOX, "box", str(self.directory)]
        self.log = self.directory.with_suffix(".log")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ENVIRONMENT)
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + _READY_S
        while self._process.poll() is None and time.monotonic() < end:
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            if children and Path(f"/proc/{children[0]}/root/run/ready").exists():
                self.pid = int(children[0])
                return
            time.sleep(0.01)
        raise RuntimeError(f"no node: {self.log.read_text(errors='replace')}")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(_READY_S)
        end = time.monotonic() + _READY_S
        while Path(f"/proc/{self.pid}").exists() and time.monotonic() < end:
            time.sleep(0.01)
        for directory in sorted(self.cgroup.rglob("*"), reverse=True):
            if directory.is_dir():
                directory.rmdir()
        self.cgroup.rmdir()
        shutil.rmtree(self.directory)
        self.log.unlink()

    def line(self, user: int = 0) -> list[str]:
        """What a command line begins with that runs there."""
        line = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--net", "--cgroup", "--ipc", "--root", "--wd"]
        return [*line, "setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else line

    def run(self, text: str, *, user: int = 0, check: bool = True) -> str:
        done = subprocess.run(
            [*self.line(user), "sh", "-euc", text], capture_output=True, text=True, timeout=60, env=ENVIRONMENT
        )
        assert not check or done.returncode == 0, f"{text}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, text: str, *, user: int = 0) -> subprocess.Popen[bytes]:
        """What goes on until the node ends, or is ended by its pid."""
        return subprocess.Popen(
            [*self.line(user), "sh", "-euc", text],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
        )

    def running(self, name: str) -> list[int]:
        """The processes of this name, as the node counts them."""
        found = self.run(f"grep -lsx {shlex.quote(name)} /proc/[1-9]*/comm || true").split()
        return [int(path.split("/")[2]) for path in found]

    def wait_for(self, name: str, count: int) -> None:
        end = time.monotonic() + _READY_S
        while len(self.running(name)) != count:
            assert time.monotonic() < end, f"{count} of {name}: {self.running(name)}"
            time.sleep(0.02)

    def write(self, path: str, text: str, *, mode: int = 0o644, owner: int = 0) -> None:
        self._put(path, text.encode(), owner, mode)

    def install(self, binary: Path, at: str, *, owner: int = 0) -> None:
        self._put(at, binary.read_bytes(), owner, 0o755)

    def _put(self, path: str, content: bytes, owner: int, mode: int) -> None:
        directory, quoted = shlex.quote(str(Path(path).parent)), shlex.quote(path)
        text = f"mkdir -p {directory}; cat >{quoted}; chown {owner}:{owner} {quoted}; chmod {mode:o} {quoted}"
        subprocess.run([*self.line(), "sh", "-euc", text], input=content, check=True, env=ENVIRONMENT)

    def exists(self, path: str) -> bool:
        return self.run(f"[ -e {shlex.quote(path)} ] && echo yes || true") != ""

    def add_sudoer(self) -> int:
        """A user who may become root without a password. Skips where sudo is missing."""
        if shutil.which("sudo", path=ENVIRONMENT["PATH"]) is None:
            pytest.skip("it takes sudo")
        self.write("/etc/sudoers", "Defaults !syslog\nprober ALL = (root) NOPASSWD: ALL\n", mode=0o440)
        self.run("hostname >/etc/hostname; useradd --uid 4711 --user-group prober; mkdir -p /run/sudo")
        return 4711

    def asked(self, question: Command, environment: str = "", *, user: int = 0) -> Output:
        """What the question's script answers, in the frame of a real batch."""
        nonce = new_nonce() * 2
        text = environment.encode() + script([question], nonce=nonce, run=RunContext(new_nonce()), sudo="sudo -n")
        line = [*self.line(user), "sh", "-s"]
        done = subprocess.run(line, input=text, capture_output=True, timeout=120, env=ENVIRONMENT)
        frames = Frames(nonce, 4 << 20)
        answers = [*frames.stdout(done.stdout), *frames.stderr(done.stderr)]
        assert answers, f"{done.stdout!r}{done.stderr!r}"
        return Output(answers[0].status, answers[0].stdout or b"", answers[0].stderr or b"", 0.0, 0.0)


def question(ask: Ask[Any]) -> Command:
    """The one that an ask has."""
    assert isinstance(ask, Single)
    assert isinstance(ask.question, Command)
    return ask.question


def compiled(source: str, at: Path) -> Path:
    """A program of C, for a node of this machine: it has the libraries of this machine."""
    skip_unless_there_can_be_one()
    at.with_suffix(".c").write_text(source)
    subprocess.run(["cc", "-o", at, at.with_suffix(".c")], check=True)
    return at


def _cgroups() -> Path:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(where)
    raise RuntimeError("no cgroup2 is mounted")


def missing() -> str:
    """Why there can be none here, or nothing."""
    if os.geteuid() != 0:
        return "a node takes root"
    absent = [tool for tool in NEEDS if shutil.which(tool, path=ENVIRONMENT["PATH"]) is None]
    if absent:
        return f"a node takes {', '.join(absent)}"
    try:
        directory = _cgroups() / f"siteproof-test-{os.getpid()}"
        directory.mkdir()
        directory.rmdir()
    except (OSError, RuntimeError) as error:
        return f"cgroups are not to be had: {error}"
    line = ["unshare", "--mount", "--pid", "--net", "--cgroup", "--ipc", "--fork", "true"]
    tried = subprocess.run(line, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    return f"namespaces are not to be had: {tried.stderr.strip()}" if tried.returncode else ""


def skip_unless_there_can_be_one() -> None:
    """With the reason; fails if SITEPROOF_LAB_REQUIRED."""
    if why := missing():
        if os.environ.get("SITEPROOF_LAB_REQUIRED"):
            pytest.fail(why)
        pytest.skip(why)


@contextmanager
def a_node() -> Iterator[Node]:
    skip_unless_there_can_be_one()
    node = Node()
    try:
        yield node
    finally:
        node.stop()
