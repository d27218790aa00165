"""What this machine is, and the tools of its own that making and running a lab needs."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.build.errors import BuildError
from lab.build.processes import SBIN, Commands

_DEBIAN_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# Tool to package. None of these packages starts anything when it is installed.
HOST_TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "nft": "nftables",
    "ip": "iproute2",
    "openssl": "openssl",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
}


@dataclass(frozen=True)
class Machine:
    distribution: str
    codename: str
    architecture: str


def this_machine(os_release: Path = Path("/etc/os-release")) -> Machine:
    try:
        fields = dict(line.split("=", 1) for line in os_release.read_text().splitlines() if "=" in line)
    except OSError:
        fields = {}
    named = platform.machine()
    return Machine(
        fields.get("ID", "unknown").strip('"'),
        fields.get("VERSION_CODENAME", "").strip('"'),
        _DEBIAN_ARCHITECTURES.get(named, named),
    )


def require_debian(machine: Machine) -> None:
    if machine.distribution != "debian" or not machine.codename:
        raise BuildError(f"the lab is made of Debian packages and needs Debian; this machine is {machine.distribution}")
    if machine.architecture not in _DEBIAN_ARCHITECTURES.values():
        raise BuildError(f"the lab is made for amd64 and arm64; this machine is {machine.architecture}")


def find_tool(name: str) -> str | None:
    """Where a tool is, also for a caller whose PATH lacks the administrator's directories."""
    return shutil.which(name) or shutil.which(name, path=SBIN)


def missing_packages() -> list[str]:
    return sorted({package for tool, package in HOST_TOOLS.items() if not find_tool(tool)})


def pythons() -> list[str]:
    """The interpreters worth asking for pip: the one that runs this, then Debian's."""
    return list(dict.fromkeys([sys.executable, "/usr/bin/python3"]))


def install(commands: Commands, packages: list[str], progress: Callable[[str], None]) -> None:
    """Install Debian packages on this machine, after saying which."""
    part = "host tools"
    commands.begin(part)
    progress(f"build: installing on this machine: {' '.join(packages)}")
    environment = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
    # The lock's wait is for another package manager at work; it is released in seconds or minutes.
    apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]
    wanted = [*apt, "install", "-y", "--no-install-recommends", "--no-upgrade", *packages]
    try:
        commands.run(part, wanted, env=environment, sealed=False)
    except BuildError:
        # The machine's package lists may be absent or old. Whether they could be renewed shows in the second try:
        # one unreachable source of somebody else's must not matter.
        try:
            commands.run(part, [*apt, "update"], env=environment, sealed=False)
        except BuildError as error:
            progress(f"build: {error}")
        commands.run(part, wanted, env=environment, sealed=False)


def require_root(missing: list[str]) -> None:
    if os.geteuid() != 0:
        also = f" (and these packages: {' '.join(missing)})" if missing else ""
        raise BuildError(f"the lab is not built yet, and building it needs root{also}")
