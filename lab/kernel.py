"""The few system calls the lab needs and Python 3.11 does not offer."""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MNT_DETACH = 2

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 4
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_IDMAP = 0x00100000

# These three have the same number on every architecture; pivot_root is older than that agreement.
SYS_OPEN_TREE = 428
SYS_MOVE_MOUNT = 429
SYS_MOUNT_SETATTR = 442
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    _check(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    call = (source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), data.encode() or None)
    _check(_libc.mount(*call), f"mount {kind or source} on {target}")


def umount(target: str, flags: int = 0) -> None:
    _check(_libc.umount2(target.encode(), flags), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    number = SYS_PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise OSError(0, f"pivot_root is not known on {platform.machine()}")
    _check(_libc.syscall(number, new.encode(), old.encode()), "pivot_root")


def open_tree(path: str, flags: int = 0) -> int:
    """A detached copy of the mount at `path`, to be attached with `move_mount`."""
    flags |= OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC
    return _check(_libc.syscall(SYS_OPEN_TREE, AT_FDCWD, path.encode(), flags), f"open_tree {path}")


def move_mount(tree: int, target: str) -> None:
    call = (SYS_MOVE_MOUNT, tree, b"", AT_FDCWD, target.encode(), MOVE_MOUNT_F_EMPTY_PATH)
    _check(_libc.syscall(*call), f"move_mount to {target}")


def mount_setattr(tree: int, attributes: int = 0, user_namespace: int = -1, *, propagation: int = 0) -> None:
    """Set attributes of a detached mount; with MOUNT_ATTR_IDMAP, shift owners into `user_namespace`."""
    which = max(user_namespace, 0)
    attr = struct.pack("QQQQ", attributes, 0, propagation, which)
    buffer = ctypes.create_string_buffer(attr, len(attr))
    call = (SYS_MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH | AT_RECURSIVE, buffer, ctypes.c_size_t(len(attr)))
    _check(_libc.syscall(*call), "mount_setattr")


def receive_with_pid(sock: socket.socket, limit: int = 4096) -> tuple[bytes, int]:
    """One message and its sender's pid as this process sees it, whatever pid namespace the sender lives in."""
    data, ancillary, _, _ = sock.recvmsg(limit, socket.CMSG_SPACE(12))
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            return data, struct.unpack("iII", payload[:12])[0]
    return data, 0


def process_start(pid: int) -> int | None:
    """When the process started, in clock ticks after boot; None if there is none or only its corpse."""
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as text:  # noqa: PTH123
        return text.read().strip()
