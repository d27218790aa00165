"""Makes a base: the root filesystem that a lab host is an overlay of."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from lab.build import bases, cache
from lab.build.apt_sources import Source, debian_sources, of_release
from lab.build.errors import BuildError
from lab.build.machine import Machine
from lab.build.processes import Commands
from lab.build.wanted import OWN

LEFT_OUT = (
    "/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/lintian/*",
    "/usr/share/bash-completion/*", "/usr/share/zsh/*", "/usr/share/fish/*", "/usr/share/groff/*",
)  # fmt: skip
# What Debian would start on every host. The topology says which host runs which of them; ssh stays on.
SWITCHED_OFF = (
    "unbound.service", "named.service", "containerd.service", "docker.service", "docker.socket",
    "docker-registry.service", "nftables.service", "systemd-resolved.service", "apt-daily.timer",
    "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
    "systemd-pstore.service", "remote-fs.target", "dnsmasq.service", "nsd.service", "haproxy.service",
    "NetworkManager.service", "NetworkManager-dispatcher.service", "NetworkManager-wait-online.service",
    "systemd-networkd.service", "systemd-networkd.socket", "systemd-networkd-wait-online.service",
    "wpa_supplicant.service", "podman.service", "podman.socket", "podman-auto-update.service",
    "podman-auto-update.timer", "podman-restart.service", "podman-clean-transient.service",
)  # fmt: skip
# Every host gets its own identity, names and keys; the base has none, trusts nobody, and keeps no trace of where its
# packages came from.
FINISH = """
set -eu
root=$1
shift
# Which day's archive this is, for who has to know what "sid" meant.
sed -n 's/^Date: //p' "$root"/var/lib/apt/lists/*Release | head -n 1 >"$root/etc/siteproof-base"
chroot "$root" useradd --uid 1500 --user-group --create-home --shell /bin/bash --password '*' siteproof
printf '%s\\n' 'siteproof ALL=(ALL:ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/siteproof"
chmod 0440 "$root/etc/sudoers.d/siteproof"
for unit in "$@"; do
    # Releases differ in what comes along: what is not there need not be switched off. Before Debian 12, /lib is a
    # directory of its own; since then it is a link to usr/lib.
    [ ! -e "$root/lib/systemd/system/$unit" ] || chroot "$root" systemctl --quiet disable "$unit"
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


def part(name: str) -> str:
    return f"base {name}" if name else "base"


def place(name: str, machine: Machine) -> Path:
    return cache.place(f"base-{name}" if name else "base", inputs(name, machine))


def inputs(name: str, machine: Machine) -> dict[str, object]:
    """Not the day: a base that is there is used. What sid is moves on when its directory is removed."""
    base = bases.named(name)
    return {
        "release": base.release or machine.codename,
        "pockets": base.pockets,
        "architecture": machine.architecture,
        "packages": base.packages,
        "left out": LEFT_OUT,
        "kept": base.kept,
        "switched off": (*SWITCHED_OFF, *base.off),
        "finish": (FINISH, base.finish),
    }


def sources_of(name: str, machine: Machine) -> list[Source]:
    base = bases.named(name)
    own = debian_sources(machine.codename, machine.architecture)
    found = own if name == OWN else of_release(own, base.release, base.pockets)
    if not found:
        raise BuildError(f"no package source in /etc/apt is Debian's {machine.codename} with the component main")
    return found


def make(commands: Commands, name: str, machine: Machine, target: Path) -> None:
    base = bases.named(name)
    release = base.release or machine.codename
    sources = sources_of(name, machine)
    commands.begin(part(name))
    work = cache.unfinished(target)
    cache.remove(work)
    # A mirror's or a proxy's address may carry a password, so these go through files that only root can read.
    work.mkdir(mode=0o700)
    listed, options, finish, own_finish = (work / n for n in ("sources.list", "apt.conf", "finish.sh", "own-finish.sh"))
    listed.write_text("".join(f"{source.line()}\n" for source in sources))
    options.write_text(reaching(subprocess.run(["apt-config", "dump"], capture_output=True, text=True).stdout))
    finish.write_text(FINISH)
    own_finish.write_text(base.finish)
    root = work / "root"
    commands.run(
        part(name),
        [
            "mmdebstrap", "--mode=root", "--variant=minbase", f"--architectures={machine.architecture}",
            f"--include={','.join(base.packages)}", f"--aptopt={options}", "--aptopt=Acquire::Languages \"none\"",
            # The base appears under its name only when it is whole, so nothing is gained by syncing every file.
            "--dpkgopt=force-unsafe-io",
            *(f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT),
            *(f"--dpkgopt=path-include={path}" for path in base.kept),
            # The end reads the archive's date there, and then removes them.
            "--skip=cleanup/apt/lists",
            release, root, listed,
        ],
        env={"TMPDIR": str(work)},
    )  # fmt: skip
    commands.run(part(name), ["sh", own_finish, root])
    commands.run(part(name), ["sh", finish, root, *SWITCHED_OFF, *base.off])
    cache.publish(root, target)
    cache.remove(work)


def reaching(dump: str) -> str:
    """The part of `apt-config dump` that says how to reach the mirrors."""
    return "".join(f"{line}\n" for line in dump.splitlines() if _REACHING.match(line) and not line.endswith(' "";'))
