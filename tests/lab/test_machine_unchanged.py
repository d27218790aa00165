"""A lab leaves the machine as it was, whichever of its processes is killed, and when."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
from lab_command import lab, lab_ok, needs_root, own_lab, start

from lab import disks, paths
from lab import state as states
from lab.kernel import process_start

pytestmark = [pytest.mark.lab, needs_root]

# Knobs that count or measure, and change on a machine that is left alone.
COUNTERS = (
    "fs/aio-nr", "fs/dentry-state", "fs/file-nr", "fs/inode-nr", "fs/inode-state", "fs/quota", "fs/binfmt_misc",
    "kernel/cad_pid", "kernel/hung_task_detect_count", "kernel/keys", "kernel/ns_last_pid",
    "kernel/perf_event_max_sample_rate", "kernel/pty/nr", "kernel/random", "kernel/sched_domain", "kernel/tainted",
    "net/netfilter/nf_conntrack_count", "vm/stat_refresh",
)  # fmt: skip
OTHERS = "siteproof-lab-"


@dataclass(frozen=True)
class Machine:
    """What of the machine a lab could change, in its own namespaces."""

    links: Any
    routes: Any
    rules: Any
    sysctls: dict[str, str]
    mounts: list[str]
    cgroups: list[str]
    processes: list[str]
    runs: list[str]
    loops: list[str]


def snapshot(name: str) -> Machine:
    return Machine(
        links=_links(),
        routes=_ip("route", "show", "table", "all"),
        rules=_rules(),
        sysctls=dict(_sysctls()),
        mounts=sorted(" ".join(line.split()[3:5]) for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        cgroups=sorted(_cgroups(name)),
        processes=sorted(_processes(name)),
        runs=[str(p) for p in (paths.run_dir(name), paths.cgroup(name)) if p.exists()],
        loops=sorted([*_others_loops(), *_loops(name).values()]),
    )


def _ip(*words: str) -> Any:
    out = subprocess.run(["ip", "-json", *words], capture_output=True, text=True, check=True).stdout
    return json.loads(out or "[]")


def _links() -> list[tuple[Any, ...]]:
    kept = ("ifname", "mtu", "operstate", "link_type", "address")
    return [
        (*(link.get(key) for key in kept), [f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"]])
        for link in _ip("address", "show")
    ]


def _rules() -> dict[str, str]:
    commands = {"nft": ["nft", "list", "ruleset"], "iptables": ["iptables-save"], "ip6tables": ["ip6tables-save"]}
    found = {}
    for name, command in commands.items():
        if shutil.which(command[0]):
            text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
            found[name] = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return found


def _sysctls() -> Iterator[tuple[str, str]]:
    root = Path("/proc/sys")
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if name.startswith(COUNTERS) or not path.is_file():
            continue
        try:
            yield name, path.read_text(errors="replace")
        except OSError:
            continue  # written only, or not answered in this kernel


def _cgroups(name: str) -> Iterator[str]:
    """The first level of every hierarchy, and whatever carries the lab's name below it."""
    root = Path("/sys/fs/cgroup")
    tops = [root, *(p for p in root.iterdir() if p.is_dir())]
    for top in tops:
        for path in top.iterdir():
            if path.is_dir() and not path.name.startswith(OTHERS):
                yield str(path)
    for directory, _, _ in os.walk(root):
        if name in directory:
            yield directory


def _processes(name: str) -> Iterator[str]:
    """Processes that belong to the lab by their control group or command line, but not the commands of this test."""
    for entry in Path("/proc").iterdir():
        # A corpse is the machine's first process's to bury.
        if not entry.name.isdigit() or int(entry.name) == os.getpid() or process_start(int(entry.name)) is None:
            continue
        try:
            line = (entry / "cmdline").read_text().replace("\0", " ")
            groups = (entry / "cgroup").read_text()
        except OSError:
            continue
        if name in groups or name in line:
            yield f"{entry.name} {line or groups}"


def _loops(name: str) -> dict[str, str]:
    """The loop devices that have a file of this lab's, and the file."""
    found = {}
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            file = path.read_text().strip()
            if file.startswith(f"{paths.run_dir(name)}/"):
                found[path.parent.parent.name] = file
    return found


def _is_in_use(loop: str) -> bool:
    return Path("/sys/block", loop, "loop/backing_file").exists()


def _others_loops() -> list[str]:
    """Those of the machine. Of the labs' own numbers, other labs take some and give some back."""
    names = [path.name for path in Path("/sys/block").glob("loop*")]
    return [name for name in names if int(name.removeprefix("loop")) not in disks.NUMBERS]


def _namespaces(pid: int) -> set[str]:
    found = set()
    for kind in ("net", "mnt", "pid", "user", "uts", "ipc", "cgroup"):
        with contextlib.suppress(OSError):
            found.add(str(Path(f"/proc/{pid}/ns/{kind}").readlink()))
    return found


def assert_same(before: Machine, after: Machine) -> None:
    for field in fields(Machine):
        was, now = getattr(before, field.name), getattr(after, field.name)
        if field.name == "sysctls":
            # A kernel module that is loaded on demand brings knobs of its own; those that were there keep their values.
            now = {key: now.get(key) for key in was}
        assert now == was, f"{field.name}: {_difference(was, now)}"


def _difference(was: Any, now: Any) -> str:
    """Short enough to be read in the summary of a run that somebody else did."""
    if isinstance(was, dict):
        return "; ".join(f"{key}: {was.get(key)!r} is now {now.get(key)!r}" for key in was if was[key] != now.get(key))
    return f"gone {[x for x in was if x not in now]}, new {[x for x in now if x not in was]}"


def holder_of(name: str) -> int:
    state = states.read(name)
    assert state is not None
    return state.holder.pid


def settle(name: str, seconds: float = 10) -> list[str]:
    """Wait until no process of the lab is left, and return those that are."""
    end = time.monotonic() + seconds
    while left := list(_processes(name)):
        if time.monotonic() > end:
            break
        time.sleep(0.05)
    return left


@pytest.fixture(scope="module")
def name() -> Iterator[str]:
    with own_lab("unchanged") as name:
        yield name


def test_up_and_down_leave_the_machine_as_it_was(name: str) -> None:
    before = snapshot(name)
    lab_ok(name, "up")
    during = snapshot(name)
    for field in ("links", "routes", "rules", "mounts"):
        assert getattr(during, field) == getattr(before, field), field
    state = states.running(name)
    assert state is not None
    pids = [process.pid for process in state.hosts.values()]
    made = set().union(*(_namespaces(pid) for pid in pids)) - _namespaces(os.getpid())
    assert len([namespace for namespace in made if namespace.startswith("net:")]) == len(pids)
    loops = _loops(name)
    assert len(loops) == len(pids) - 1, "every host but the operator has a disk"

    lab_ok(name, "down")
    # A number that is there again is another lab's by now.
    assert not [loop for loop in loops if Path("/sys/block", loop).exists() and not _is_in_use(loop)]
    assert_same(before, snapshot(name))
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and process_start(int(entry.name)) is not None:
            assert not _namespaces(int(entry.name)) & made, entry


def test_killing_the_holder_ends_every_process_and_down_removes_the_rest(name: str) -> None:
    before = snapshot(name)
    lab_ok(name, "up")
    os.kill(holder_of(name), signal.SIGKILL)
    assert settle(name) == []
    assert states.running(name) is None
    lab_ok(name, "down")
    assert_same(before, snapshot(name))


@pytest.mark.parametrize("seconds", [0.05, 0.2, 0.4, 0.7, 1.2, 2.0, 3.0])
def test_killing_up_at_any_moment_ends_every_process_and_down_removes_the_rest(name: str, seconds: float) -> None:
    before = snapshot(name)
    command = start(name, "up")
    time.sleep(seconds)
    command.kill()
    command.wait()
    assert settle(name) == []
    lab_ok(name, "down")
    assert_same(before, snapshot(name))


def test_up_works_on_what_a_killed_up_and_a_killed_down_left(name: str) -> None:
    for word, seconds in (("up", 1.5), ("up", 0.5)):
        command = start(name, word)
        time.sleep(seconds)
        command.kill()
        command.wait()
    lab_ok(name, "up")
    command = start(name, "down")
    time.sleep(0.35)
    command.kill()
    command.wait()
    lab_ok(name, "up")
    lab_ok(name, "down")


def test_a_host_cannot_write_what_is_the_machines(name: str) -> None:
    lab_ok(name, "up")
    attempts = (
        "echo changed > /proc/sys/kernel/core_pattern",
        "echo c > /proc/sysrq-trigger",
        "echo changed > /dev/kmsg && test -c /dev/kmsg",
        "mknod /tmp/disk b 254 0",
        "hwclock --systohc",
        "date --set @0",
        "test -e /dev/mem -o -e /dev/vda -o -e /dev/sda",
    )
    script = "; ".join(f"({attempt}) >/dev/null 2>&1 && echo '{attempt}'" for attempt in attempts)
    for host in ("cp1", "isp1"):
        assert lab_ok(name, "exec", host, "--", "sh", "-c", f"{script}; echo tried") == "tried\n", host
    lab_ok(name, "down")


def test_a_host_fills_its_own_disk_and_neither_the_machines_nor_its_neighbours(name: str) -> None:
    lab_ok(name, "up")
    lab_ok(name, "exec", "lan1", "--", "sh", "-c", "echo still here >/root/kept")
    for host, directory in (("lan1", "/root"), ("cp1", "/var/lib/containerd")):
        dd = lab(name, "exec", host, "--", "dd", "if=/dev/zero", f"of={directory}/big", "bs=1M")
        assert dd.returncode != 0
        assert "No space left on device" in dd.stderr, host
        said = lab_ok(name, "exec", host, "--", "stat", "-c", "%s", f"{directory}/big")
        assert disks.SIZE * 0.8 < int(said) < disks.SIZE, host
        lab_ok(name, "exec", "dns", "--", "sh", "-c", "echo written >/root/written && sync")
    run = paths.run_dir(name)
    taken = {path: path.lstat().st_blocks * 512 for path in run.rglob("*") if path.is_file()}
    for path, bytes_taken in taken.items():
        assert bytes_taken <= (disks.SIZE if path.name == disks.IMAGE else 1 << 20), path
    assert sum(taken.values()) < 3 * disks.SIZE

    # Switched off and on again: what was on it is on it.
    lab_ok(name, "exec", "lan1", "--", "rm", "/root/big")
    lab_ok(name, "restart", "lan1")
    assert lab_ok(name, "exec", "lan1", "--", "cat", "/root/kept") == "still here\n"
    for directory, bound in (("/tmp", 1 << 29), ("/dev/shm", 1 << 26), ("/run", 1 << 28)):  # noqa: S108
        said = lab_ok(name, "exec", "lan1", "--", "stat", "-f", "-c", "%b %S", directory)
        blocks, size = map(int, said.split())
        assert blocks * size <= bound, directory
    lab_ok(name, "down")
    assert _loops(name) == {}
