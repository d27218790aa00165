"""What a machine has not got, `lab with-tools` brings: the tests that ask sshd, sudo, nft and a compiler pass there.

The machine is this one without them: its own `/usr` with holes in it, and its own `/etc` without what belongs to them,
in a mount namespace that ends with the test.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from lab_command import COMMAND, PROJECT, build, needs_root

from lab import tools

pytestmark = [pytest.mark.lab, needs_root]

ABSENT = (
    "sbin/sshd", "bin/ssh", "bin/ssh-keygen", "bin/sudo", "bin/sudoedit", "sbin/visudo", "lib/sudo", "libexec/sudo",
    "sbin/nft", "bin/busybox", "bin/cc", "bin/gcc", "bin/tcc",
)  # fmt: skip
"""Of /usr."""
FRESH = r"""set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 fresh "$1"
mkdir -p "$1/usr/bin" "$1/usr/sbin" "$1/usr/lib" "$1/usr/libexec" "$1/etc"
for each in $3; do mknod "$1/usr/$each" c 0 0; done
cp -a "$2/etc/." "$1/etc"
rm -rf "$1"/etc/sudo* "$1/etc/pam.d/sudo" "$1/etc/ssh" "$1"/etc/alternatives/cc*
sed -i /^sshd:/d "$1/etc/passwd"
mount -t overlay -o "ro,lowerdir=$1/usr:$2/usr" fresh /usr
mount --bind "$1/etc" /etc
shift 3
exec "$@"
"""
"""A character device of the numbers 0 and 0 is a hole in what lies below."""
SOME = (
    "tests/unit/test_gather_sshd.py",
    "tests/unit/test_sudoers.py::test_visudo_takes_it",
    "tests/security/test_isolated_host.py",
    "tests/security/test_become_password.py::test_sudo_asks_and_gets_it_once",
    "tests/security/test_observer.py::test_the_dials_of_containerd_are_seen",
)
"""For each tool those that ask it: sshd; visudo; a host of its own; sudo and PAM; nft and a compiler."""


def fresh(directory: Path, line: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """What a command line says on the machine without them. Skips where the kernel stacks no more layers."""
    inside = [mount[4] for mount in map(str.split, Path("/proc/self/mountinfo").read_text().splitlines())]
    own = next((f"{at}/machine" for at in reversed(inside) if at.endswith(f"/{tools.NAME}")), "")
    script = ["sh", "-c", FRESH, "fresh", str(directory), own, " ".join(ABSENT)]
    return subprocess.run(
        ["unshare", "--mount", *script, *line],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=600,
        env={name: value for name, value in os.environ.items() if name != "SITEPROOF_LAB_REQUIRED"} | environment,
    )


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    build()
    kind = subprocess.run(["stat", "-f", "-c", "%T", "/usr"], capture_output=True, text=True, check=True).stdout.strip()
    if kind == "overlayfs" and not tools.layers(Path("/proc/self/mountinfo").read_text()):
        pytest.skip("this machine's own /usr is an overlay, and the kernel stacks only two")
    return tmp_path


def test_the_tools_are_brought_and_the_machine_keeps_none(directory: Path) -> None:
    before = [path for path in ABSENT if Path("/usr", path).exists()], Path("/etc/passwd").read_bytes()
    asked = [sys.executable, "-c", "from lab import tools; print(*tools.missing())"]
    lacking = fresh(directory, asked).stdout.split()
    assert {"sshd", "ssh", "ssh-keygen", "sudo", "visudo", "nft", "busybox", "cc"} <= set(lacking)

    done = fresh(directory, [*COMMAND, "with-tools", "--", *asked])
    assert (done.stdout, done.returncode) == ("\n", 0), done.stderr
    assert f"for this command alone: {', '.join(lacking)}" in done.stderr
    assert before == ([path for path in ABSENT if Path("/usr", path).exists()], Path("/etc/passwd").read_bytes())
    assert list(directory.iterdir()) == []


def test_the_tests_that_ask_them_pass(directory: Path) -> None:
    pytest_line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=120", *SOME]
    done = fresh(directory, [*COMMAND, "with-tools", "--", *pytest_line], SITEPROOF_LAB_REQUIRED="1")
    said = done.stdout[-2000:] + done.stderr[-1000:]
    assert done.returncode == 0, said
    assert " passed" in said
    assert "skipped" not in said
    assert "failed" not in said


def test_without_them_the_tests_fail_where_they_must_and_else_are_skipped(directory: Path) -> None:
    line = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", SOME[0]]
    skipped = fresh(directory, line)
    assert skipped.returncode == 0, skipped.stdout[-2000:]
    assert "python -m lab with-tools" in skipped.stdout
    failed = fresh(directory, line, SITEPROOF_LAB_REQUIRED="1")
    assert failed.returncode == 1
    assert "python -m lab with-tools" in failed.stdout


def test_who_may_not_bring_them_is_told_and_the_command_runs(directory: Path) -> None:
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    done = fresh(directory, [*nobody, *COMMAND, "with-tools", "--", "id", "-u"])
    assert (done.stdout, done.returncode) == ("65534\n", 0), done.stderr
    assert "takes root" in done.stderr
