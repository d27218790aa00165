"""Boot one host: make its namespaces and its root, wait until its links are in place, become its first process.

Runs as the machine's root up to the host's root file system being mounted, and from there on as root of the lab's
user namespace, which is nobody on the machine: a host cannot write the machine's sysctls, devices or kernel log.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from lab import disks, kernel

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PLAIN = kernel.MS_NOSUID | kernel.MS_NOEXEC | kernel.MS_NODEV


def main() -> None:
    spec: dict[str, Any] = json.loads(sys.stdin.readline())
    link = socket.socket(fileno=int(spec["link"]))
    Path(spec["cgroup"], "cgroup.procs").write_text("0")
    os.setsid()
    kernel.setns(spec["pid_namespace"], kernel.CLONE_NEWPID)
    if os.fork():
        os._exit(0)
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_SLAVE)
    (operator if spec["mode"] == "operator" else contained)(spec, link)


def operator(spec: dict[str, Any], link: socket.socket) -> None:
    """The operator keeps the machine's files and user; only its network, name and resolver are its own."""
    for source, target in spec["binds"].items():
        kernel.mount(source, target, "", kernel.MS_BIND)
    kernel.unshare(kernel.CLONE_NEWNET | kernel.CLONE_NEWUTS)
    os.chdir("/")
    socket.sethostname(spec["name"])
    set_sysctls(spec["sysctl"])
    wait_for_links(link)
    while True:
        signal.pause()


def contained(spec: dict[str, Any], link: socket.socket) -> None:
    user_namespace = spec["user_namespace"]
    directory = Path(spec["directory"])
    os.chdir(directory)
    if not (directory / disks.IMAGE).exists():
        disks.make(spec["mke2fs"], directory)
    disks.mount(directory)
    trees = {target: shifted(source, user_namespace, read_only=True) for target, source in spec["binds"].items()}
    trees |= {target: shifted(source, user_namespace) for target, source in spec["disks"].items()}
    attach(shifted(spec["base"], user_namespace, read_only=True), "base")
    attach(shifted(f"{disks.MOUNTED}/layer", user_namespace), "layer")
    # Root of the user namespace may not pass through the machine's directories: from here on all paths are relative.
    kernel.setns(user_namespace, kernel.CLONE_NEWUSER)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    kernel.unshare(
        kernel.CLONE_NEWNS
        | kernel.CLONE_NEWNET
        | kernel.CLONE_NEWUTS
        | kernel.CLONE_NEWIPC
        | kernel.CLONE_NEWCGROUP
        | kernel.CLONE_NEWPID
    )
    if os.fork():
        os._exit(0)
    socket.sethostname(spec["name"])
    # Mounted by the user namespace's root: the machine's has no number in the shifted layers and could not write there.
    kernel.mount("overlay", "root", "overlay", 0, "lowerdir=base,upperdir=layer/upper,workdir=layer/work,userxattr")
    for target, tree in trees.items():
        attach(tree, "root" + target)
    in_memory("root/run", "size=256m,mode=755")
    Path("root/run/host").mkdir()
    Path("root/run/host/notify").touch()
    kernel.mount("notify", "root/run/host/notify", "", kernel.MS_BIND)
    os.chdir("root")
    enter_root(read_only_sys=spec["read_only_sys"])
    set_sysctls(spec["sysctl"])
    wait_for_links(link)
    if spec["mode"] == "bare":
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # kept across exec: the kernel reaps for it
        os.execv("/bin/sleep", ["sleep", "infinity"])
    environment = {"container": "siteproof-lab", "PATH": PATH, "NOTIFY_SOCKET": "/run/host/notify", "TERM": "dumb"}
    os.execve("/lib/systemd/systemd", ["systemd", "--show-status=false"], environment)


def in_memory(target: str, options: str) -> None:
    """Bounded as the disk is: without a size it is half of the machine's memory."""
    kernel.mount("tmpfs", target, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, options)


def shifted(source: str, user_namespace: int, read_only: bool = False) -> int:
    """A detached copy of the mount at `source` with its owners shifted into the user namespace."""
    tree = kernel.open_tree(source)
    attributes = kernel.MOUNT_ATTR_IDMAP | (kernel.MOUNT_ATTR_RDONLY if read_only else 0)
    kernel.mount_setattr(tree, attributes, user_namespace)
    return tree


def attach(tree: int, target: str) -> None:
    kernel.move_mount(tree, target)
    os.close(tree)


def enter_root(*, read_only_sys: bool) -> None:
    """Make the working directory the root, with the kernel's own file systems in it and nothing of the machine."""
    kernel.mount("proc", "proc", "proc", PLAIN)
    kernel.mount("sysfs", "sys", "sysfs", PLAIN | (kernel.MS_RDONLY if read_only_sys else 0))
    kernel.mount("cgroup2", "sys/fs/cgroup", "cgroup2", PLAIN)
    kernel.mount("tmpfs", "dev", "tmpfs", kernel.MS_NOSUID, "size=1m,mode=755")
    for device in DEVICES:
        Path("dev", device).touch()
        kernel.mount(f"/dev/{device}", f"dev/{device}", "", kernel.MS_BIND)
    for name in ("pts", "shm"):
        Path("dev", name).mkdir()
    kernel.mount("devpts", "dev/pts", "devpts", PLAIN & ~kernel.MS_NODEV, "newinstance,ptmxmode=0666,mode=620,gid=5")
    in_memory("dev/shm", "size=64m,mode=1777")
    in_memory("tmp", "size=512m,mode=1777")
    for name, target in (
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ):
        Path("dev", name).symlink_to(target)
    kernel.pivot_root(".", ".")
    kernel.umount(".", kernel.MNT_DETACH)
    os.chdir("/")
    # As on a real machine: what is mounted later is also seen by services with a mount namespace of their own.
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_SHARED)


def set_sysctls(values: dict[str, str]) -> None:
    for key, value in values.items():
        knob = Path("/proc/sys", *key.split("."))
        if knob.exists() or not key.startswith("net.ipv6."):
            knob.write_text(value)


def wait_for_links(link: socket.socket) -> None:
    """Say who we are (the kernel adds our pid) and go on when told; if the command died, so do we."""
    link.send(b"host")
    if link.recv(16) != b"go":
        os._exit(1)
    link.close()


if __name__ == "__main__":
    main()
