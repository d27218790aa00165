"""A host of its own for one test: a real sshd, real users and a real sudo, in namespaces; nothing of it is left.

It is an `Sshd` (see `local_sshd`) whose root file system is this machine's, under a layer that only it sees: whatever
is written there, also by root, ends with it. /tmp, /run, /home, /root and /dev/shm are empty ones of its own, as are
its process ids and its name. It shares the network, so sshd is on a port of 127.0.0.1.

    @pytest.fixture(scope="module")
    def host() -> Iterator[IsolatedHost]:
        with isolated_host() as host:   # skips with the reason where it is not to be had; fails there in the CI
            yield host

    host.add_user("prober", "correct horse")     # a home, a password, the group of its own name, no rights
    host.sudoers("prober ALL = (root) ALL")      # checked by visudo; a second call replaces it
    host.pam("sudo", "auth required …")          # replaces /etc/pam.d/sudo
    key = host.let_in("prober")                  # or with authorized_keys options: 'command="cat"'
    host.connection("cp1", key, user="prober", become_password="correct horse")
    host.run("id -u", user="prober").stdout      # a shell there as this user, without ssh; root's if none is named
    host.write("/usr/local/bin/tool", "#!/bin/sh\n…", mode=0o755, owner="prober")
    host.enter("prober")                         # the words that run what follows there, for a program of this machine
    host.read("/etc/shadow")
    host.name                                    # what it calls itself

The password of `add_user` is hashed there and stands in no argument of a process. Processes end with the host.
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from local_sshd import Sshd

from lab import tools
from lab.sshd import READY_S

NEEDS = ("unshare", "nsenter", "setpriv", "mount", "pivot_root", "useradd", "chpasswd", "sudo", "visudo")
"""Debian: util-linux, mount, passwd, sudo."""
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


def _layer() -> str:
    """What `lab with-tools` has mounted on this root lies under the layer too: an overlay takes no mounts with it."""
    over = {"/": "/", **tools.layers(Path("/proc/self/mountinfo").read_text())}
    mounts = ""
    for number, (at, below) in enumerate(over.items()):
        parts = f"lowerdir={below},upperdir=$1/upper{number},workdir=$1/work{number}"
        mounts += f'mkdir "$1/upper{number}" "$1/work{number}"\n'
        mounts += f'mount -t overlay -o "{parts}" siteproof "$1/root{at}"\n'
    return f"""set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 siteproof "$1"
mkdir "$1/root"
{mounts}cd "$1/root"
mount --rbind /dev dev
"""


LAYER = _layer()
"""A layer over this machine's root that only who is in it sees; `$1` is an empty directory."""
_BOX = (
    LAYER
    + """mount -t tmpfs -o mode=1777 siteproof dev/shm
mount -t proc proc proc
mount -t tmpfs -o mode=1777 siteproof tmp
mount -t tmpfs -o mode=755 siteproof run
mount -t tmpfs -o mode=755 siteproof home
mount -t tmpfs -o mode=700 siteproof root
mkdir run/sshd run/sudo
pivot_root . mnt
cd /
umount -l /mnt
hostname "$2"
usermod --password '*' root  # no password, and yet not locked
grep -qw "$2" /etc/hosts || echo "127.0.0.1 $2" >>/etc/hosts
rm -rf /etc/sudoers.d && mkdir -m 755 /etc/sudoers.d /etc/ssh/authorized
printf '%s\\n' 'Defaults !syslog, !mail_badpass' 'root ALL=(ALL:ALL) ALL' '@includedir /etc/sudoers.d' >/etc/sudoers
chmod 440 /etc/sudoers
: >"/etc/ssh/ready"
while ! [ -e /etc/ssh/sshd_config.test ]; do sleep 0.02; done
exec "$3" -D -e -f /etc/ssh/sshd_config.test
"""
)


class IsolatedHost(Sshd):
    """Use `isolated_host`."""

    def __init__(self, **settings: str) -> None:
        super().__init__(PrintMotd="no", **settings)
        self.name = "isolated"
        self._pid = 0

    def start(self) -> IsolatedHost:
        host_key = self._host_key()
        box = self.directory / "box"
        box.mkdir()
        line = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork"]
        line += ["--kill-child", "sh", "-c", _BOX, "box", str(box), self.name, self._program]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment())
        self._wait_for_the_box()
        self.write("/etc/ssh/host_key.test", host_key.read_text(), mode=0o600)
        configured = self._configuration("/etc/ssh/host_key.test", "/etc/ssh/authorized/%u")
        self.write("/etc/ssh/sshd_config.test", configured)
        self._wait_until_it_listens()
        return self

    def stop(self) -> None:
        """Whatever runs there is killed with its first process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(READY_S)
            end = time.monotonic() + READY_S
            while self._pid and Path(f"/proc/{self._pid}").exists() and time.monotonic() < end:
                time.sleep(0.01)
        shutil.rmtree(self.directory)

    def enter(self, user: str = "root") -> list[str]:
        """The words that run what follows there as this user."""
        line = ["nsenter", f"--target={self._pid}", "--mount", "--pid", "--uts", "--ipc", "--root", "--wd"]
        return [*line, "setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user != "root" else line

    def run(
        self, script: str, *, user: str = "root", given: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """A script of sh there. `given` is its stdin."""
        done = subprocess.run(
            [*self.enter(user), "sh", "-c", script],
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            env=_environment(),
        )
        assert not check or done.returncode == 0, f"{script}: {done.stdout}{done.stderr}"
        return done

    def write(self, path: str, text: str, *, mode: int = 0o644, owner: str = "root") -> None:
        """The file is there whole or not at all."""
        quoted, part = shlex.quote(path), shlex.quote(f"{path}.part")
        self.run(
            f"mkdir -p {shlex.quote(os.path.dirname(path))} && cat >{part} && chown {owner}: {part} && "  # noqa: PTH120
            f"chmod {mode:o} {part} && mv {part} {quoted}",
            given=text,
        )

    def read(self, path: str) -> str:
        return self.run(f"cat {shlex.quote(path)}").stdout

    def add_user(self, name: str, password: str | None = None, *, shell: str = "/bin/sh") -> None:
        self.run(f"useradd --create-home --user-group --shell {shlex.quote(shell)} {name} && chmod 755 /home/{name}")
        self.run(
            "chpasswd --crypt-method SHA512 --sha-rounds 1000", given=f"{name}:{password or secrets.token_hex()}\n"
        )

    def sudoers(self, text: str, name: str = "siteproof") -> None:
        self.write(f"/etc/sudoers.d/{name}", text.rstrip("\n") + "\n", mode=0o440)
        self.run("visudo -cq")

    def pam(self, service: str, text: str) -> None:
        self.write(f"/etc/pam.d/{service}", text.rstrip("\n") + "\n")

    def let_in(self, name: str, options: str = "") -> Path:
        """A new key with which the user `name` may log in, with the given authorized_keys options."""
        self._keys = getattr(self, "_keys", 0) + 1
        key = self.new_key(f"{name}_{self._keys}")
        line = f"{options} {key.with_suffix('.pub').read_text()}".lstrip()
        self.run(f"cat >>/etc/ssh/authorized/{name}", given=line)
        return key

    def _wait_for_the_box(self) -> None:
        process = self._process
        end = time.monotonic() + READY_S
        while process is not None and process.poll() is None and time.monotonic() < end:
            # setpriv has become unshare, whose one child is the first process there.
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            if children and (Path("/proc") / children[0] / "root/etc/ssh/ready").exists():
                self._pid = int(children[0])
                return
            time.sleep(0.01)
        raise RuntimeError(f"no host of its own: {self.log.read_text(errors='replace')}")


def _environment() -> dict[str, str]:
    return {"PATH": f"{os.environ.get('PATH', '/usr/bin:/bin')}:{SBIN}", "LC_ALL": "C.UTF-8"}


def missing() -> str:
    """Why there can be none here, or nothing."""
    if os.geteuid() != 0:
        return "a host of its own takes root"
    path = _environment()["PATH"]
    absent = [tool for tool in NEEDS if shutil.which(tool, path=path) is None]
    if absent:
        return f"a host of its own takes {', '.join(absent)}"
    line = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "true"]
    tried = subprocess.run(line, capture_output=True, text=True, check=False, env=_environment())
    return f"namespaces are not to be had: {tried.stderr.strip()}" if tried.returncode else ""


@contextmanager
def isolated_host(**settings: str) -> Iterator[IsolatedHost]:
    """`settings` are sshd's. Where there can be none: skipped with the reason, failed if SITEPROOF_LAB_REQUIRED."""
    if why := missing():
        if os.environ.get("SITEPROOF_LAB_REQUIRED"):
            pytest.fail(why)
        pytest.skip(why)
    host = IsolatedHost(**settings)
    try:
        yield host.start()
    finally:
        host.stop()
