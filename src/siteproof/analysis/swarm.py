"""What of a swarm is in motion, in the way, or left behind."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from siteproof.analysis.shell import executed
from siteproof.errors import NoControl, Unparseable
from siteproof.facts.swarm import Overlay
from siteproof.probes.path.ip import Route
from siteproof.probes.swarm.model import RUNNING, STATES, Network, NodeView, SwarmState
from siteproof.probes.swarm.overlay_ping import Pings


def overlapping(overlay: Overlay, found: Mapping[str, tuple[Iterable[Network], Iterable[Route]]]) -> dict[str, str]:
    """What else has addresses of an overlay: Docker networks and routes, by host."""
    shared: dict[str, str] = {}
    for host, (networks, routes) in found.items():
        for network in networks:
            # A bridge may have the overlay's name: it is another network all the same.
            own = network.name == overlay.name and network.of_swarm and network.driver == "overlay"
            if not own and any(overlay.subnet.overlaps(s) for s in network.subnets):
                # The swarm's networks are the same on every node that knows them.
                where = "swarm" if network.of_swarm else host
                shared[f"{where}: network {network.name}"] = ", ".join(map(str, network.subnets))
        for route in routes:
            if overlay.subnet.overlaps(route.target):
                shared[f"{host}: route over {route.device}"] = str(route.target)
    return shared


def short(swarm: SwarmState) -> dict[str, str]:
    """Services that run fewer tasks than they are meant to; jobs that have one that does not get to run.

    Raises Unparseable where there is none, and something could not be read.
    """
    found = {s.name: f"{s.running} of {s.wanted - s.ended} tasks run" for s in swarm.services if s.missing}
    for service in swarm.services:
        waiting = [t.state for t in swarm.tasks if t.service == service.id and service.job and t.wanted]
        waiting = [state for state in waiting if STATES.index(state) < RUNNING]
        if waiting:
            found[service.name] = f"{len(waiting)} tasks of the job wait: {', '.join(sorted(set(waiting)))}"
    if not found:
        swarm.sure("services", "tasks")
    return found


def moving(swarm: SwarmState) -> dict[str, str]:
    """Services that change at this moment, and how; a job at work is one.

    Raises Unparseable where there is none, and something could not be read.
    """
    found = {s.name: s.update for s in swarm.services if s.update not in ("", "completed", "rollback_completed")}
    found |= {s.name: f"{s.running} of {s.wanted - s.ended} tasks run" for s in swarm.services if s.missing}
    for task in swarm.tasks:
        transitional = STATES.index(task.state) < RUNNING and task.desired not in ("shutdown", "remove")
        draining = task.state == "running" and STATES.index(task.desired) > RUNNING
        if transitional or draining:
            found.setdefault(swarm.service_name(task), f"a task is {task.state} and shall be {task.desired}")
    if not found:
        swarm.sure("services", "tasks")
    return found


def dangling(swarm: SwarmState, views: Iterable[NodeView], after_s: float) -> dict[str, str]:
    """Overlays of stacks that have no service any more, on which nothing is.

    Raises Unparseable where what could not be read may be one, or on one.
    """
    stacks = {service.stack for service in swarm.services}
    occupied = {network for task in swarm.tasks if task.holds_addresses for network, _ in task.addresses}
    occupied |= {v.network for v in views if any(not e.name.endswith("-endpoint") for e in v.endpoints)}
    left = [
        network
        for network in stack_overlays(swarm)
        if network.stack not in stacks and network.id not in occupied and swarm.at - network.created > after_s
    ]
    for network in left:
        swarm.sure("services", "tasks", of=network.id)
        swarm.sure("services", of=network.stack)
    if not left:
        swarm.sure("networks")
    return {network.name: f"of the removed stack {network.stack}" for network in left}


def stack_overlays(swarm: SwarmState) -> list[Network]:
    return [n for n in swarm.networks if n.of_swarm and n.stack]


def unreached(pings: Mapping[str, Pings], among: Collection[IPv4Address]) -> dict[str, str]:
    """Which address of `among` does not answer to whom. Raises NoControl if nobody could send."""
    if not any(seen.source for seen in pings.values()):
        raise NoControl("no node has a container on the overlay, so nobody could send on it")
    return {
        f"{host} to {target}": "no answer"
        for host, seen in pings.items()
        for target, answered in seen.answered.items()
        if not answered and target in among
    }


_SHOWN = re.compile(r"\s*(?:echo|printf|logger)\s")
LONGEST_LINE = 8192
"""Characters of a line that creates a network, with those that it continues on."""


@dataclass(frozen=True)
class Creation:
    """A line that creates a network."""

    number: int
    subnet: IPv4Network | None
    hides_errors: bool


def creations(lines: Sequence[str], network: str) -> list[Creation]:
    """The lines of a script, or of a file that holds one, that create `network`; commented ones do not.

    Of a shell script only those that are executed. Raises Unparseable for a script that is not understood.
    """
    found = []
    run = {c.line for c in executed(lines) if c.does("network create")} if _is_script(lines) else None
    whole = list(_logical(lines))
    for (number, line), (after, _) in zip(whole, [*whole, (len(lines) + 1, "")][1:], strict=True):
        if not re.search(r"\bnetwork\s+create\b", line) or _SHOWN.match(line):
            continue
        if run is not None and run.isdisjoint(range(number, after)):
            continue
        words = _words(line[line.index("create") :])
        if network not in words:
            continue
        value = next((v for o, v in zip(words, words[1:], strict=False) if o == "--subnet"), None)
        value = next((w.partition("=")[2] for w in words if w.startswith("--subnet=")), value)
        try:
            subnet = IPv4Network(value) if value else None
        except ValueError:
            raise Unparseable(f"line {number} creates {network} with the subnet {value!r}, which is not one") from None
        found.append(Creation(number, subnet, "|| true" in line or "2>/dev/null" in line))
    return found


def _is_script(lines: Sequence[str]) -> bool:
    return bool(lines) and lines[0].startswith("#!") and "sh" in lines[0]


def _logical(lines: Sequence[str]) -> Iterable[tuple[int, str]]:
    """Lines with those they continue on; without comments."""
    start, whole = 0, ""
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("#"):
            continue
        start = start if whole else number
        whole += line.rstrip("\\") if line.endswith("\\") else line
        if not line.endswith("\\"):
            yield start, whole
            whole = ""
    if whole:
        yield start, whole


def _words(line: str) -> list[str]:
    if len(line) > LONGEST_LINE:
        raise Unparseable(f"a line of {len(line)} characters is not read: {line[:200]!r}")
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&<>")
    lexer.whitespace_split = True
    try:
        return list(lexer)
    except ValueError:  # a quote that the shell closes on another line
        return line.split()


def out_of_order(lines: Sequence[str], steps: Sequence[str], before: str) -> list[str]:
    """The steps that a script does not take, in their order, before the command that has `before`.

    A step counts where it is executed, maybe on a condition. Raises Unparseable where nobody can tell: the command is
    not there, or what runs before it is not seen, as behind `eval`, `ssh` or a variable.
    """
    text = " ".join(" ".join(line for line in lines if not line.lstrip().startswith("#")).split())
    absent = [step for step in steps if " ".join(step.split()) not in text]
    try:
        commands = executed(lines)
    except Unparseable:
        if absent:  # whatever the rest of it does
            return absent
        raise
    last = next((i for i, command in enumerate(commands) if command.does(before)), None)
    if last is None:
        raise Unparseable(f"no command of the script has {before!r}, so nothing can come before it")
    missing, place = [], 0
    for step in steps:
        at = next((i for i in range(place, last) if commands[i].does(step)), None)
        if at is None:
            missing.append(step)
        else:
            place = at + 1
    mentioned = not set(missing) <= set(absent)
    hiding = [c for c in commands[:last] if c.reads_file or (mentioned and c.runs_text)] if missing else []
    if hiding:
        raise Unparseable(f"whether {missing} is run, line {hiding[0].line} hides: {hiding[0].text[:120]!r}")
    return missing
