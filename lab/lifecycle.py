"""Bring a lab up, take it down, restart one of its hosts. Each may be killed at any moment and called again."""

from __future__ import annotations

import os
import secrets
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from lab import cgroups, disks, hosts, kernel, network, paths, ready, ssh, state, topology
from lab.build import BuildError, build, built
from lab.enter import command_on
from lab.errors import LabError, UsageError, nearest
from lab.state import Process, State

Progress = Callable[[str], None]
BOOT_SECONDS = 60


def require_root() -> None:
    if os.geteuid():
        raise LabError("the lab makes network namespaces and mounts, which takes root: try sudo")


def up(name: str, progress: Progress, site_name: str = topology.FIRST) -> State:
    """A lab whose data path works: the one that runs, or a new one. Raises UsageError if it runs as another site."""
    require_root()
    site = topology.load(site_name)
    try:
        parts = built(site.wanted) or build(site.wanted, progress)
    except BuildError as error:
        raise LabError(str(error)) from error
    with state.locked(name):
        running = state.running(name)
        if running:
            if running.site != site_name:
                raise UsageError(f"the lab {name} is the site {running.site}: --name gives another lab")
            return running
        _remove(name)
        try:
            return _make(hosts.Plan(name, site, parts, paths.run_dir(name), paths.cgroup(name)), progress)
        except BaseException as error:
            _remove(name)
            if isinstance(error, OSError | subprocess.SubprocessError):
                raise LabError(f"the lab could not be brought up: {error}") from error
            raise


def down(name: str) -> bool:
    """Remove the lab and everything it made; False if there was nothing."""
    require_root()
    with state.locked(name):
        existed = paths.run_dir(name).exists() or paths.cgroup(name).exists()
        _remove(name)
        return existed


def restart(name: str, host: str, progress: Progress) -> None:
    """Switch a host off and on again: its disk stays, everything else is new."""
    require_root()
    with state.locked(name):
        current = must_run(name)
        site = topology.load(current.site)
        if host not in site.hosts:
            raise UsageError(f"no host {host}{nearest(host, list(site.hosts))}")
        current = start_again(current, [host], progress)
        if not current.broken:
            ready.wait_for_data_path(current, site, progress)


def start_again(current: State, names: Sequence[str], progress: Progress, *, empty: bool = False) -> State:
    """Switch hosts of a running lab off and on again, at the same time; `empty`: with a disk as in a new lab."""
    site = topology.load(current.site)
    parts = built(site.wanted)
    if parts is None or {base: str(place) for base, place in parts.bases.items()} != current.bases:
        raise LabError("the lab runs on an older build: down and up again")
    plan = hosts.Plan(current.name, site, parts, paths.run_dir(current.name), paths.cgroup(current.name))
    for name in names:
        process = current.hosts[name]
        if process.alive:
            os.kill(process.pid, 9)
    for name in names:
        _wait_gone(current.hosts[name], name)
        cgroups.remove(plan.cgroup / name)
        network.disconnect(current.holder.pid, site.hosts[name])
        if empty:
            shutil.rmtree(plan.run / "hosts" / name)
    starting = [hosts.start_host(plan, site.hosts[name], current.holder.pid, current.keeper.pid) for name in names]
    _let_boot(plan, starting, current.holder.pid)
    for one in starting:
        current = current.with_host(one.host.name, Process.of(one.pid))
    state.write(current)
    _wait_for_systemd(plan, current, [one for one in starting if one.host.mode == "systemd"], progress)
    return current


def must_run(name: str) -> State:
    running = state.running(name)
    if running is None:
        raise LabError(f"the lab {name} is not up: python -m lab up --name {name}")
    return running


def _make(plan: hosts.Plan, progress: Progress) -> State:
    os.umask(0o022)
    plan.run.mkdir(parents=True, mode=0o700)
    cgroups.create(plan.cgroup)
    holder = hosts.start_holder(plan)
    current = State(
        name=plan.name,
        nonce=secrets.token_hex(8),
        boot_id=kernel.boot_id(),
        phase="making",
        holder=Process.of(holder.pid),
        keeper=Process.of(holder.keeper),
        site=plan.site.site,
        bases={base: str(place) for base, place in plan.parts.bases.items()},
        described=topology.fingerprint(plan.site.site),
    )
    state.write(current)
    progress(f"starting {len(plan.site.hosts)} hosts")
    starting = [hosts.start_host(plan, host, holder.pid, holder.keeper) for host in plan.site.hosts.values()]
    network.make_segments(holder.pid, plan.site)
    _let_boot(plan, starting, holder.pid)
    current = replace(current, hosts={s.host.name: Process.of(s.pid) for s in starting})
    state.write(current)
    ssh.write(plan.run / "ssh", plan.site, plan.parts.assets)
    _wait_for_systemd(plan, current, [s for s in starting if s.host.mode == "systemd"], progress)
    ready.wait_for_data_path(current, plan.site, progress)
    for host in plan.site.systemd_hosts:
        _require_running(current, host.name)  # again: a service may have given up since
    holder.link.send(b"ready")
    current = replace(current, phase=state.READY)
    state.write(current)
    return current


def _let_boot(plan: hosts.Plan, starting: list[hosts.Starting], holder: int) -> None:
    """Connect the waiting hosts, then release them: their services find their interfaces in place."""
    pids = {s.host.name: hosts.wait_for_pid(plan, s) for s in starting}
    network.connect(holder, plan.site, pids)
    for one in starting:
        one.let_go()


def _wait_for_systemd(plan: hosts.Plan, current: State, starting: list[hosts.Starting], progress: Progress) -> None:
    """Every systemd says READY=1 to its notify socket when its boot is over, well or not."""
    waiting = {s.notify.fileno(): s for s in starting}
    poll = select.poll()
    for fd in waiting:
        poll.register(fd, select.POLLIN)
    end = time.monotonic() + BOOT_SECONDS
    while waiting:
        events = poll.poll(200)
        for fd, _ in events:
            one = waiting[fd]
            if b"READY=1" in one.notify.recv(65536).split(b"\n"):
                poll.unregister(fd)
                del waiting[fd]
                one.notify.close()
                _require_running(current, one.host.name)
        for one in waiting.values():
            if kernel.process_start(one.pid) is None:
                words = hosts.last_words(plan.log(one.host.name))
                raise LabError(f"{one.host.name} died while it booted: {words}")
        if time.monotonic() > end:
            names = ", ".join(s.host.name for s in waiting.values())
            raise LabError(f"not booted within {BOOT_SECONDS} s: {names} ({_jobs(current, waiting.values())})")
    progress("every host is running")


def _require_running(current: State, host: str) -> None:
    answer = command_on(current, host, ["systemctl", "is-system-running"])
    if answer.stdout.strip() == "running":
        return
    failed = command_on(current, host, ["systemctl", "list-units", "--failed", "--plain", "--no-legend"])
    units = [line.split()[0] for line in failed.stdout.splitlines() if line.strip()]
    journal = command_on(current, host, ["journalctl", "-b", "-o", "cat", "-n", "3", "-u", units[0]]) if units else None
    words = " / ".join(journal.stdout.strip().splitlines()) if journal else ""
    raise LabError(f"{host} is {answer.stdout.strip() or 'silent'}: {', '.join(units) or 'no failed unit'} ({words})")


def _jobs(current: State, waiting: Iterable[hosts.Starting]) -> str:
    host = next(iter(waiting)).host.name
    listed = command_on(current, host, ["systemctl", "list-jobs", "--plain", "--no-legend"], timeout=5)
    jobs = [" ".join(line.split()[1:4]) for line in listed.stdout.splitlines()[:4]]
    return f"{host} waits for {', '.join(jobs)}" if jobs else f"{host} does not answer"


def _wait_gone(process: Process, host: str) -> None:
    end = time.monotonic() + 10
    while process.alive:
        if time.monotonic() > end:
            raise LabError(f"{host} does not die")
        time.sleep(0.01)


def _remove(name: str) -> None:
    """Order matters for a crash in between: first what can run, then what says that it ran, then its files."""
    run = paths.run_dir(name)
    last = state.read(name)
    cgroups.remove(paths.cgroup(name))
    if last and last.boot_id == kernel.boot_id():
        _wait_gone(last.holder, "the holder")  # out of its control group already, it may still wait for its children
    disks.clear(run)
    (run / "state.json").unlink(missing_ok=True)
    if run.exists():
        shutil.rmtree(run)
