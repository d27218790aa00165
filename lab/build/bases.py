"""The bases by name: which release of Debian, and what it has beyond the packages that all of them share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lab.build.errors import BuildError
from lab.build.wanted import OWN
from lab.errors import nearest

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


# What no host of a base runs is not in it: it would be built, kept and looked at for nothing.
_CONTAINERS = ("containerd", "runc", "docker.io", "docker-registry")
_SERVERS = ("unbound", "bind9", "bind9-utils")
_COMPILER = ("tcc", "libc6-dev")


@dataclass(frozen=True)
class Base:
    release: str = OWN
    pockets: tuple[str, ...] = ()
    """Which of the machine's archives are asked for this release. Of its own release all are."""
    more: tuple[str, ...] = ()
    less: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    """Files that other bases leave out."""
    off: tuple[str, ...] = ()
    """Units that only these packages bring, and that no host is to have started by itself."""
    finish: str = "set -eu"
    """A script that ends the making; $1 is the base's root."""

    @property
    def packages(self) -> tuple[str, ...]:
        return (*(package for package in PACKAGES if package not in self.less), *self.more)


BASES: Mapping[str, Base] = {
    OWN: Base(),
    # Its security archive has packages that need what only its main archive of that day had. resolved is a part of
    # systemd there. /bin, /sbin and /lib are directories of their own: its usr/bin is not all that there is.
    "bullseye": Base(
        "bullseye",
        pockets=("",),
        more=("dnsmasq",),
        less=("systemd-resolved", "libnss-resolve", *_CONTAINERS, *_SERVERS, *_COMPILER),
        finish="""
set -eu
for name in iptables ip6tables; do
    chroot "$1" update-alternatives --quiet --set "$name" "/usr/sbin/$name-legacy"
done
""",
    ),
    "trixie": Base(
        "trixie",
        pockets=("", "-updates", "-security"),
        more=(
            "podman",
            "nsd",
            "haproxy",
            "network-manager",
            "netplan.io",
            "dropbear-bin",
            "sudo-rs",
            "opendoas",
            "rust-coreutils",
            "gawk",
            "mawk",
            "fish",
            "tcsh",
            "zsh",
            "locales",
        ),
        less=("docker.io", "bind9", "bind9-utils", *_COMPILER),
        off=(
            "netavark-dhcp-proxy.service",
            "netavark-dhcp-proxy.socket",
            "netavark-firewalld-reload.service",
            "man-db.timer",
        ),
        kept=("/usr/share/locale/de/*", "/usr/share/fish/*", "/usr/share/zsh/*"),
        # gawk ranks higher where both are: a host that is to have it says so.
        finish="""
set -eu
echo 'de_DE.UTF-8 UTF-8' >"$1/etc/locale.gen"
chroot "$1" locale-gen
chroot "$1" update-alternatives --quiet --set awk /usr/bin/mawk
""",
    ),  # fmt: skip
    "sid": Base("sid", pockets=("",), more=("docker-cli",), less=("docker-registry", *_SERVERS, *_COMPILER)),
}


def named(name: str) -> Base:
    if name not in BASES:
        raise BuildError(f"no base {name}{nearest(name, [known for known in BASES if known])}")
    return BASES[name]
