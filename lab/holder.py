"""The holder: first process of the lab's pid namespace, owner of the bridges' network. Its death is the lab's.

Until it is told that the lab is ready it dies with the command that started it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import zlib
from pathlib import Path

from lab import kernel

# Users of the lab's hosts are users of the machine from here on, whom the machine does not know.
LOWEST_ID = 0x65540000
IDS = 65536
RANGES = 1000


def first_id(lab: str) -> int:
    """Who root of this lab's hosts is on the machine. Labs differ, since the kernel limits what one user may have
    (128 inotify instances, of which a lab takes about 40)."""
    return LOWEST_ID + zlib.crc32(lab.encode()) % RANGES * IDS


def main() -> None:
    spec = json.loads(sys.argv[1])
    link = socket.socket(fileno=int(spec["link"]))
    Path(spec["cgroup"], "cgroup.procs").write_text("0")
    os.setsid()
    os.chdir("/")
    kernel.unshare(kernel.CLONE_NEWPID | kernel.CLONE_NEWNET)
    if os.fork():
        os._exit(0)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if not os.fork():
        keep_user_namespace(link, first_id(spec["lab"]))
    for which in ("all", "default"):
        knob = Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6")
        if knob.exists():
            knob.write_text("1")
    link.send(b"holder")
    if link.recv(16) != b"ready":
        os._exit(1)
    link.close()
    while True:
        os.wait()


def keep_user_namespace(link: socket.socket, owner: int) -> None:
    """Stay in a user namespace of its own, in which every host then runs; the command writes its maps."""
    os.seteuid(owner)  # whose limits then count for everything in it
    kernel.unshare(kernel.CLONE_NEWUSER)
    link.send(b"keeper")
    link.close()
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
