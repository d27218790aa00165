"""Break a running lab by its faults, and heal it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from lab import lifecycle, shims, state
from lab.enter import command_on
from lab.errors import LabError
from lab.faults import Fault
from lab.state import State
from lab.steps import EVERY_HOST, Step
from lab.topology import Topology

SETTLE_SECONDS = 15
STEP_SECONDS = 120

# The tools asked on each host, as the report of a healthy run lists them.
Tools = Mapping[str, list[str]]


def tools_of(report: Path) -> Tools:
    try:
        hosts = json.loads(report.read_text())["hosts"]
        tools = {host["name"]: list(host["tools"]) for host in hosts}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabError(f"the tools to break stand in a healthy run's report; {report} has none ({error})") from None
    if not any(tools.values()):
        raise LabError(f"{report} lists no tools: break the lab after a healthy run")
    return tools


def break_faults(name: str, faults: Iterable[Fault], topology: Topology, report: Path) -> State:
    with state.locked(name):
        current = lifecycle.must_run(name)
        for fault in faults:
            tools = tools_of(report) if fault.needs_tools else {}
            # Written down first: a break that is killed half-way is still known to heal and to status.
            current = _remember(current, {*current.broken, fault.id})
            for step in fault.steps.breaks:
                current = _take(current, step, topology, tools)
            _settle(current, fault, fault.steps.broken, "broken")
    return current


def heal_faults(name: str, faults: Iterable[Fault], topology: Topology) -> State:
    """Heal each; one that cannot be healed stays written down as broken and does not keep the others from it."""
    troubles: list[str] = []
    with state.locked(name):
        current = lifecycle.must_run(name)
        for fault in faults:
            before = len(troubles)
            for step in fault.steps.heals:
                try:
                    current = _take(current, step, topology, {})
                except LabError as error:
                    troubles.append(f"{fault.id}: {error}")
            try:
                _settle(current, fault, fault.steps.healed, "healed")
            except LabError as error:
                troubles.append(f"{fault.id}: {error}")
            if len(troubles) == before:
                current = _remember(current, {*current.broken} - {fault.id})
    if troubles:
        raise LabError("; ".join(troubles))
    return current


def _remember(current: State, broken: set[str]) -> State:
    changed = replace(current, broken=tuple(sorted(broken)))
    state.write(changed)
    return changed


def _take(current: State, step: Step, topology: Topology, tools: Tools) -> State:
    if step.anew:
        return lifecycle.start_again(current, step.hosts, lambda _: None, empty=True)
    hosts = [h.name for h in topology.systemd_hosts] if EVERY_HOST in step.hosts else list(step.hosts)
    for host in hosts:
        if step.run:
            _run(current, host, step.run)
        for path in step.restore:
            text = topology.template(topology.hosts[host].files[path]).read_text()
            _run(current, host, f"cat > {path}", topology.fill(text, host, path))
        if step.shim and host in tools:
            shims.replace(current, host, tools[host], step.shim)
        if step.unshim:
            shims.bring_back(current, host)
    return current


def _run(current: State, host: str, script: str, stdin: str | None = None) -> None:
    # When a command is killed, its script on the host runs on: the next one there waits until it is over.
    line = ["flock", "/run/siteproof-lab.lock", "sh", "-euc", script]
    done = command_on(current, host, line, timeout=STEP_SECONDS, stdin=stdin)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["it said nothing"]
        first = script.strip().splitlines()[0]
        raise LabError(f"on {host}, a step failed with {done.returncode}: {said[-1]} ({first})")


def _settle(current: State, fault: Fault, polls: Iterable[Step], word: str) -> None:
    end = time.monotonic() + SETTLE_SECONDS
    for script, host in [(poll.run, host) for poll in polls for host in poll.hosts]:
        while command_on(current, host, ["sh", "-c", script]).returncode:
            if time.monotonic() > end:
                raise LabError(f"{fault.id} is not {word} within {SETTLE_SECONDS} s: on {host}, {script}")
            time.sleep(0.1)
