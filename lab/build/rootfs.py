"""The root filesystem that every lab host is an overlay of: Debian, the machine's own release."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from lab.build import cache
from lab.build.apt_sources import debian_sources
from lab.build.errors import BuildError
from lab.build.machine import Machine
from lab.build.processes import Commands

PART = "base rootfs"
PACKAGES = (
    # the system
    "systemd", "systemd-sysv", "systemd-resolved", "libnss-resolve", "dbus", "openssh-server", "sudo", "kmod", "procps",
    "ca-certificates", "openssl", "python3", "busybox-static", "git",
    # the network and looking at it
    "iproute2", "nftables", "iptables", "conntrack", "ethtool", "iputils-ping", "iputils-tracepath", "tcpdump", "curl",
    "nmap", "bind9-dnsutils",
    # the daemons
    "unbound", "bind9", "bind9-utils", "containerd", "runc", "docker.io", "docker-registry",
    # a C compiler of 1 MB, for the project's own tests (`lab with-tools`)
    "tcc", "libc6-dev",
)  # fmt: skip
LEFT_OUT = (
    "/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/lintian/*",
    "/usr/share/bash-completion/*", "/usr/share/zsh/*", "/usr/share/fish/*", "/usr/share/groff/*",
)  # fmt: skip
# What Debian would start on every host. The topology says which host runs which of them; ssh stays on.
SWITCHED_OFF = (
    "unbound.service", "named.service", "containerd.service", "docker.service", "docker.socket",
    "docker-registry.service", "nftables.service", "systemd-resolved.service", "apt-daily.timer",
    "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
    "systemd-pstore.service", "remote-fs.target",
)  # fmt: skip
# Every host gets its own identity, names and keys; the base has none, trusts nobody, and keeps no trace of where its
# packages came from.
FINISH = """
set -eu
root=$1
shift
chroot "$root" useradd --uid 1500 --user-group --create-home --shell /bin/bash --password '*' siteproof
printf '%s\\n' 'siteproof ALL=(ALL:ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/siteproof"
chmod 0440 "$root/etc/sudoers.d/siteproof"
for unit in "$@"; do
    # Releases differ in what comes along: what is not there need not be switched off.
    [ ! -e "$root/usr/lib/systemd/system/$unit" ] || chroot "$root" systemctl --quiet disable "$unit"
done
cd "$root"
rm -f etc/machine-id var/lib/dbus/machine-id etc/hostname etc/resolv.conf etc/ssh/ssh_host_*
rm -f etc/ssl/certs/* etc/apt/sources.list etc/apt/sources.list.d/*
rm -f etc/apt/apt.conf.d/99mmdebstrap etc/dpkg/dpkg.cfg.d/99mmdebstrap
rm -rf var/lib/apt/lists/* var/cache/apt/*.bin var/cache/apt/archives/*.deb var/cache/debconf/*-old
rm -rf var/log/* run/* tmp/*
"""
# How apt on this machine reaches its mirrors; which files it fetches and what it does afterwards stay out.
_REACHING = re.compile(
    r"^Acquire::(https?|ftp)::|^Acquire::(Check-Valid-Until|Check-Date|Max-ValidTime|Retries|ForceIPv[46]) "
)


def inputs(machine: Machine) -> dict[str, object]:
    return {
        "release": machine.codename,
        "architecture": machine.architecture,
        "packages": PACKAGES,
        "left out": LEFT_OUT,
        "switched off": SWITCHED_OFF,
        "finish": FINISH,
    }


def make(commands: Commands, machine: Machine, target: Path) -> None:
    sources = debian_sources(machine.codename, machine.architecture)
    if not sources:
        raise BuildError(f"no package source in /etc/apt is Debian's {machine.codename} with the component main")
    commands.begin(PART)
    work = cache.unfinished(target)
    cache.remove(work)
    # A mirror's or a proxy's address may carry a password, so these go through files that only root can read.
    work.mkdir(mode=0o700)
    listed, options, finish = work / "sources.list", work / "apt.conf", work / "finish.sh"
    listed.write_text("".join(f"{source.line()}\n" for source in sources))
    options.write_text(reaching(subprocess.run(["apt-config", "dump"], capture_output=True, text=True).stdout))
    finish.write_text(FINISH)
    root = work / "root"
    commands.run(
        PART,
        [
            "mmdebstrap", "--mode=root", "--variant=minbase", f"--architectures={machine.architecture}",
            f"--include={','.join(PACKAGES)}", f"--aptopt={options}", "--aptopt=Acquire::Languages \"none\"",
            # The base appears under its name only when it is whole, so nothing is gained by syncing every file.
            "--dpkgopt=force-unsafe-io",
            *(f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT),
            machine.codename, root, listed,
        ],
        env={"TMPDIR": str(work)},
    )  # fmt: skip
    commands.run(PART, ["sh", finish, root, *SWITCHED_OFF])
    cache.publish(root, target)
    cache.remove(work)


def reaching(dump: str) -> str:
    """The part of `apt-config dump` that says how to reach the mirrors."""
    return "".join(f"{line}\n" for line in dump.splitlines() if _REACHING.match(line) and not line.endswith(' "";'))
