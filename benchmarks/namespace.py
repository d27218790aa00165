"""Namespaces of the benchmark's own: nothing of it is seen by the machine, and all of it ends with the process."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

INSIDE = "--inside"
HOME = Path("/run/siteproof-bench")
"""Where everything is written: on a tmpfs that only the benchmark sees."""
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1


def run_inside(arguments: Sequence[str]) -> int:
    """Run this program again in network, mount and pid namespaces of its own, and give back its exit status.

    It ends with this process however that ends: the pipe that is its stdin closes then.
    """
    if os.geteuid() != 0:
        raise SystemExit("the benchmark makes network namespaces, which takes root")
    line = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    process = subprocess.Popen(
        [*line, sys.executable, "-m", "benchmarks", INSIDE, *arguments], stdin=subprocess.PIPE, start_new_session=True
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    try:
        return process.wait()
    finally:
        process.kill()
        process.wait()


def settle() -> None:
    """First thing inside: loopback up, a place to write, and an end when the outside ends."""
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run"], check=True)
    Path("/run/sshd").mkdir(mode=0o755)
    HOME.mkdir(mode=0o755)
    # All hosts are this machine: with its id each would be taken for the others. And what an operator has in a .bashrc,
    # which bash reads for each command over ssh, would be measured with whoever opens a shell per command.
    for path in (Path("/etc/machine-id"), Path.home() / ".bashrc"):
        _empty(path)


def _empty(path: Path) -> None:
    if path.exists():
        nothing = HOME / "nothing"
        nothing.touch()
        subprocess.run(["mount", "--bind", str(nothing), str(path)], check=True)


def _end_with_stdin() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)  # the first process of a pid namespace takes all others with it
