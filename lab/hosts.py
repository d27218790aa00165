"""Start the holder and the hosts, and know their processes."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab import cgroups, disks, files, kernel
from lab.build import Built
from lab.build.machine import find_tool
from lab.errors import LabError
from lab.holder import IDS, first_id
from lab.paths import PROJECT
from lab.topology import Topology
from lab.topology_host import Host

# Long enough for a slow disk; a boot that has not reported by then has failed.
REPORT_SECONDS = 20


@dataclass(frozen=True)
class Plan:
    """What a lab is made of and where."""

    name: str
    site: Topology
    parts: Built
    run: Path
    cgroup: Path

    def base_of(self, host: Host) -> Path:
        # The operator stands on none: it is the machine.
        return self.parts.bases[host.base] if host.mode != "operator" else Path("/")

    def log(self, host: str) -> Path:
        return self.run / "hosts" / host / "console"


@dataclass
class Holder:
    link: socket.socket
    pid: int
    keeper: int


@dataclass
class Starting:
    """A host whose first process waits for its links."""

    host: Host
    link: socket.socket
    notify: socket.socket
    pid: int = 0

    def let_go(self) -> None:
        self.link.send(b"go")
        self.link.close()


def python_line(module: str, *arguments: str) -> list[str]:
    start = f"import sys; sys.path.insert(0, {str(PROJECT)!r}); from lab.{module} import main; main()"
    return [sys.executable, "-I", "-S", "-c", start, *arguments]


def _channel() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    ours.settimeout(REPORT_SECONDS)
    return ours, theirs


def _report(link: socket.socket, what: str, log: Path) -> tuple[bytes, int]:
    try:
        data, pid = kernel.receive_with_pid(link)
    except TimeoutError:
        raise LabError(f"{what} did not start within {REPORT_SECONDS} s: {last_words(log)}") from None
    if not data:
        raise LabError(f"{what} did not start: {last_words(log)}")
    return data, pid


def last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "it said nothing"


def start_holder(plan: Plan) -> Holder:
    ours, theirs = _channel()
    log = plan.run / "holder.log"
    spec = {"lab": plan.name, "link": theirs.fileno(), "cgroup": str(cgroups.create(plan.cgroup / "holder", owner=0))}
    with log.open("wb") as out:
        process = subprocess.Popen(
            python_line("holder", json.dumps(spec)),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            pass_fds=[theirs.fileno()],
        )
    theirs.close()
    pids = {}
    for _ in range(2):
        data, pid = _report(ours, "the holder", log)
        pids[data.decode()] = pid
    process.wait()
    for kind in ("uid", "gid"):
        Path(f"/proc/{pids['keeper']}/{kind}_map").write_text(f"0 {first_id(plan.name)} {IDS}\n")
    return Holder(ours, pids["holder"], pids["keeper"])


def start_host(plan: Plan, host: Host, holder: int, keeper: int) -> Starting:
    """Make the host's directory if it is not there yet (after a restart it is), and start its first process."""
    directory = plan.run / "hosts" / host.name
    if not directory.exists():
        _make_directory(directory, plan, host)
    notify_path = directory / "notify"
    notify_path.unlink(missing_ok=True)
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    _bind_in(notify, directory, "notify")
    ours, theirs = _channel()
    with _namespace(holder, "pid") as pid_ns, _namespace(keeper, "user") as user_ns:
        spec = {
            "name": host.name,
            "mode": host.mode,
            "directory": str(directory),
            "base": str(plan.base_of(host)),
            "cgroup": str(cgroups.create(plan.cgroup / host.name, first_id(plan.name))),
            "binds": _operator_binds(directory, host) if host.mode == "operator" else _sources(host, plan.parts),
            "mke2fs": find_tool("mke2fs"),
            "disks": {path: f"{disks.MOUNTED}/{_disk(path)}" for path in host.disks},
            "sysctl": dict(host.sysctl),
            "read_only_sys": host.read_only_sys,
            "link": theirs.fileno(),
            "pid_namespace": pid_ns,
            "user_namespace": user_ns,
        }
        with plan.log(host.name).open("ab") as out:
            process = subprocess.Popen(
                python_line("boot", "siteproof-lab", plan.name, host.name),
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                pass_fds=[theirs.fileno(), pid_ns, user_ns],
            )
    theirs.close()
    assert process.stdin is not None  # noqa: S101
    with process.stdin as stdin:
        stdin.write(json.dumps(spec).encode() + b"\n")
    return Starting(host, ours, notify)


def wait_for_pid(plan: Plan, starting: Starting) -> int:
    _, starting.pid = _report(starting.link, f"host {starting.host.name}", plan.log(starting.host.name))
    return starting.pid


def _make_directory(directory: Path, plan: Plan, host: Host) -> None:
    for part in ("root", "base", "layer"):
        (directory / part).mkdir(parents=True)
    content = directory / disks.CONTENT
    for part in ("layer/upper", "layer/work", *map(_disk, host.disks)):
        (content / part).mkdir(parents=True)
    if host.mode != "operator":
        upper = content / "layer/upper"
        files.write_host(upper, host, plan.site, plan.parts.assets, plan.base_of(host), plan.name)


def _disk(path: str) -> str:
    """Where on the host's disk a directory is that must not be on an overlay, since its owner mounts overlays on it."""
    return f"disks/{path.strip('/').replace('/', '-')}"


def _sources(host: Host, built: Built) -> dict[str, str]:
    found = {}
    for path, source in host.binds.items():
        kind, _, name = source.partition("/")
        found[path] = str(built.assets / name if kind == "assets" else built.bin[name])
        if not Path(found[path]).exists():
            raise LabError(f"the build has no {source}, which {host.name} needs at {path}")
    return found


def _operator_binds(directory: Path, host: Host) -> dict[str, str]:
    """The machine's resolver configuration, replaced in the operator's view only."""
    (directory / "resolv.conf").write_text(f"nameserver {host.resolver}\n")
    binds = {str(directory / "resolv.conf"): "/etc/resolv.conf"}
    if not Path("/etc/resolv.conf").exists():
        raise LabError("the machine has no /etc/resolv.conf for the operator's to be put over")
    switch = Path("/etc/nsswitch.conf")
    if switch.exists():
        # The machine's own helpers (resolve, mdns, nscd) would ask from the machine's network.
        lines = ["hosts: files dns" if line.startswith("hosts:") else line for line in switch.read_text().splitlines()]
        (directory / "nsswitch.conf").write_text("\n".join(lines) + "\n")
        binds[str(directory / "nsswitch.conf")] = str(switch)
    if Path("/run/nscd").is_dir():
        (directory / "nscd").mkdir(exist_ok=True)
        binds[str(directory / "nscd")] = "/run/nscd"
    return binds


def _bind_in(sock: socket.socket, directory: Path, name: str) -> None:
    """Bind by a short path: the name of a UNIX socket has 107 bytes at most, a lab's home may be longer."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        sock.bind(f"/proc/self/fd/{fd}/{name}")
    finally:
        os.close(fd)
    (directory / name).chmod(0o666)


@contextlib.contextmanager
def _namespace(pid: int, kind: str) -> Iterator[int]:
    fd = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
