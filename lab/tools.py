"""Run a command where the tools of the lab's base are, as far as this machine lacks them.

The project's own tests ask a real sshd and a real sudo, and installing a daemon is nothing that a project does to
somebody's machine. So the command runs in a mount namespace of its own, in which the base's files are below the
machine's: what the machine has wins, what it lacks is there. The machine sees nothing of it, and it ends with the
command and whatever the command has started.

`/usr` is the machine's over the base's, and cannot be written. `/etc` is a copy of the machine's, with what only the
base has, and with the user that sshd gives up its rights to.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lab import kernel, paths
from lab.build import HOME, BuildError, Built, build, built
from lab.build.machine import find_tool
from lab.build.processes import SBIN
from lab.errors import LabError

Progress = Callable[[str], None]

TOOLS = ("sshd", "ssh", "ssh-keygen", "sudo", "visudo", "nft", "ip", "openssl", "busybox", "cc")
"""What the tests ask besides what every Debian has. Each is in the base."""
NAME = "siteproof-tools"
"""The mounts' source, by which they are known."""
_SSHD_USER = "sshd"
_LINKER_SAYS = ("error while loading shared libraries", "not found (required by")


def missing() -> list[str]:
    return [tool for tool in TOOLS if not find_tool(tool)]


def enter(progress: Progress) -> None:
    """Have the missing tools for this process and those that it starts. Raises LabError where that cannot be."""
    lacking = missing()
    if not lacking:
        return
    what = ", ".join(lacking)
    if os.geteuid() != 0:
        raise LabError(f"this machine has no {what}, and bringing them takes root")
    try:
        parts = built(HOME) or build(HOME, progress)
    except BuildError as error:
        raise LabError(f"this machine has no {what}, and they cannot be brought: {error}") from error
    lacking = missing()  # the build may have installed some: the tools that the lab itself needs
    if not lacking:
        return
    try:
        _mount(parts)
        _try(lacking)
    except (OSError, subprocess.SubprocessError) as error:
        raise LabError(f"the lab's {', '.join(lacking)} cannot be brought here: {error}") from error
    progress(f"of the lab's base, for this command alone: {', '.join(lacking)}")


def run(command: Sequence[str], progress: Progress) -> int:
    """Become the command. Where the tools cannot be had it runs without: its tests say what they are skipped for."""
    try:
        enter(progress)
    except LabError as error:
        progress(f"{error}: what asks them is skipped, or fails if SITEPROOF_LAB_REQUIRED is set")
    try:
        os.execvpe(command[0], list(command), environment())
    except OSError as error:
        raise LabError(f"{command[0]} cannot be run: {error.strerror}") from error


def environment() -> dict[str, str]:
    """With the administrator's directories, where the tools are."""
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return {**os.environ, "PATH": os.pathsep.join([*path, *(d for d in SBIN.split(":") if d not in path)])}


def layers(mountinfo: str) -> dict[str, str]:
    """What lies below each directory that `enter` has mounted: `lowerdir` of an overlay, nothing where it made none.

    An overlay takes a directory without what is mounted in it, and the kernel stacks no more than two: who makes
    another over this root takes these instead.
    """
    scratch = [mount[4] for mount in map(str.split, mountinfo.splitlines()) if mount[4].endswith(f"/{NAME}")]
    if not scratch:
        return {}
    top = scratch[-1]
    return {"/usr": f"{top}/machine/usr:{top}/base/usr", "/etc": f"{top}/etc"}


def _mount(parts: Built) -> None:
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_SLAVE)
    scratch = paths.home() / NAME
    if set(str(scratch)) & set(":,\\ \t\n"):
        raise LabError(f"the lab's directory cannot be part of a mount's options: {paths.home()}")
    scratch.mkdir(exist_ok=True)
    inside = [Path(mount) for mount in _mounts_in("/usr")]
    kernel.mount(NAME, str(scratch), "tmpfs", kernel.MS_NODEV, "mode=755")
    for directory in ("machine/usr", "machine/etc", "base", "etc"):
        (scratch / directory).mkdir(parents=True)
    for directory in ("usr", "etc"):
        kernel.mount(f"/{directory}", str(scratch / "machine" / directory), "", kernel.MS_BIND | kernel.MS_REC)
    kernel.mount(str(parts.base), str(scratch / "base"), "", kernel.MS_BIND)
    _copy_etc(scratch)
    lower = layers(Path("/proc/self/mountinfo").read_text())["/usr"]
    kernel.mount(NAME, "/usr", "overlay", kernel.MS_RDONLY, f"lowerdir={lower}")
    # An overlay shows nothing of what is mounted in its layers; and where this project or its parts are, is written.
    written = [path for path in (paths.PROJECT, paths.home()) if path.is_relative_to("/usr")]
    for path in [*inside, *written]:
        kernel.mount(str(scratch / "machine" / path.relative_to("/")), str(path), "", kernel.MS_BIND)
    kernel.mount(str(scratch / "etc"), "/etc", "", kernel.MS_BIND)


def _mounts_in(directory: str) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [at for line in lines if (at := line.split()[4]).startswith(f"{directory}/")]


def _copy_etc(scratch: Path) -> None:
    """The machine's files come first, those that the base alone has behind them."""
    quoted = shlex.quote(str(scratch))
    for source in ("/etc", f"{quoted}/base/etc"):
        line = f"tar -C {source} -cf - --warning=no-file-ignored . | tar -C {quoted}/etc -xpf - --skip-old-files"
        subprocess.run(["sh", "-c", line], check=True, stdin=subprocess.DEVNULL)
    passwd = scratch / "etc/passwd"
    users = _users(passwd)
    if _SSHD_USER not in users:
        number = next(n for n in range(999, 99, -1) if n not in users.values())
        with passwd.open("a") as file:
            file.write(f"{_SSHD_USER}:x:{number}:65534::/run/sshd:/usr/sbin/nologin\n")


def _users(passwd: Path) -> Mapping[str, int]:
    lines = [line.split(":") for line in passwd.read_text(errors="replace").splitlines()]
    return {fields[0]: int(fields[2]) for fields in lines if len(fields) > 3 and fields[2].isdigit()}


def _try(tools: Sequence[str]) -> None:
    """The base is of the machine's release, but may be of another day: whether its programs find their libraries."""
    for tool in tools:
        path = shutil.which(tool, path=environment()["PATH"])
        if path is None:
            raise LabError(f"the lab's base has no {tool}")
        tried = subprocess.run(
            [path, "-V"], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=30
        )
        if any(said in tried.stderr for said in _LINKER_SAYS):
            raise LabError(f"the lab's {tool} does not run on this machine: {tried.stderr.strip()}")
