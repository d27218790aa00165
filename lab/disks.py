"""A host's disk: one file of bounded size with a file system in it, which the host's own mount namespace has.

A process on a host fills this file and not the machine's disk. The file is sparse: it takes of the machine what was
written to it. The kernel lets go of the loop device when the host's last process is gone, whatever ended it; what is
left of it then is a number without a file, which `clear` takes back.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from lab import kernel
from lab.errors import LabError

SIZE = 2 << 30
"""Of everything that a host keeps: its root's upper layer and what the topology calls its disks."""
IMAGE, CONTENT, MOUNTED = "disk.img", "content", "disk"
"""In a host's directory: the disk, what it is to hold at first, and where it is mounted in the host's namespace."""

# Numbers of our own, far above those that the kernel gives to who asks for any: the ones that nobody uses are ours.
NUMBERS = range(4096, 32768)
_LOOP_MAJOR = 7
_CTL_ADD, _CTL_REMOVE, _CONFIGURE = 0x4C80, 0x4C81, 0x4C0A
_AUTOCLEAR = 4
# struct loop_config: the file, the size of blocks, and a struct loop_info64 of which only the flags matter here.
_CONFIG = struct.Struct("=II 5Q IIII 64x 64x 32x 2Q 8Q")
# No journal and no barriers: such a disk outlives its host, but not the machine.
_MAKE = ("-q", "-F", "-t", "ext4", "-m", "0", "-O", "^has_journal", "-E", "nodiscard,lazy_itable_init=1")
_OPTIONS = "noinit_itable,nobarrier"
SECONDS = 10


def make(mke2fs: str, directory: Path) -> None:
    """The disk of a host that starts for the first time, with its first content; it appears when it is whole."""
    partial = directory / f"{IMAGE}.partial"
    words = [mke2fs, *_MAKE, "-d", str(directory / CONTENT), str(partial), f"{SIZE >> 10}k"]
    if os.spawnv(os.P_WAIT, mke2fs, words):
        raise OSError(errno.EIO, f"{mke2fs} could not make {partial}")
    partial.rename(directory / IMAGE)


def mount(directory: Path) -> None:
    """In a mount namespace of one's own: the disk at its place in `directory`."""
    image = directory / IMAGE
    _wait_until_free(str(image))
    at = directory / MOUNTED
    at.mkdir(exist_ok=True)
    # The node is made here: not every machine's /dev gets those of new devices, nor does every file system have nodes.
    kernel.mount("tmpfs", str(at), "tmpfs", kernel.MS_NOSUID | kernel.MS_NOEXEC, "size=64k,mode=700")
    node = at / "loop"
    device = _new_device(node)
    file = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    try:
        flags = [0, 0, 0, _AUTOCLEAR]
        fcntl.ioctl(device, _CONFIGURE, _CONFIG.pack(file, 0, *[0] * 5, *flags, *[0] * 2, *[0] * 8))
        kernel.mount(str(node), str(at), "ext4", 0, _OPTIONS)
    finally:
        os.close(file)
        os.close(device)


def clear(run: Path) -> None:
    """After the end of the hosts whose directories are in `run`: wait for their disks, and give the numbers back."""
    _wait_until_free(f"{run}/")
    with_numbers = [number for number, file in _ours() if file is None]
    if not with_numbers:
        return
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for number in with_numbers:
            try:
                fcntl.ioctl(control, _CTL_REMOVE, number)
            except OSError as error:
                # Another lab is just taking it, or has given it back.
                if error.errno not in (errno.EBUSY, errno.ENODEV):
                    raise
    finally:
        os.close(control)


def _new_device(node: Path) -> int:
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        while True:
            number = NUMBERS[int.from_bytes(os.urandom(4)) % len(NUMBERS)]
            try:
                fcntl.ioctl(control, _CTL_ADD, number)
            except FileExistsError:
                continue
            node.unlink(missing_ok=True)
            os.mknod(node, stat.S_IFBLK | 0o600, os.makedev(_LOOP_MAJOR, number))
            try:
                return os.open(node, os.O_RDWR | os.O_CLOEXEC)
            except OSError as error:
                # Another lab that ends has just cleared it away: nobody had opened it yet.
                if error.errno not in (errno.ENXIO, errno.ENODEV):
                    raise
    finally:
        os.close(control)


def _ours() -> Iterator[tuple[int, str | None]]:
    """The loop devices with numbers of ours, and the file of each that has one."""
    for name in os.listdir("/sys/block"):  # noqa: PTH208
        if name.startswith("loop") and int(name[4:]) in NUMBERS:
            try:
                yield int(name[4:]), Path(f"/sys/block/{name}/loop/backing_file").read_text().rstrip("\n")
            except OSError:
                yield int(name[4:]), None


def _wait_until_free(beginning: str) -> None:
    """A file system that is mounted twice is destroyed. The kernel writes back and lets go after the last process."""
    end = time.monotonic() + SECONDS
    while busy := [file for _, file in _ours() if file is not None and file.startswith(beginning)]:
        if time.monotonic() > end:
            raise LabError(f"a disk of the lab is still in use: {busy[0]}")
        time.sleep(0.01)
