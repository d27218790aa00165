"""The faults as a pure model: read from faults.toml, validated, every refusal one sentence that names its key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from lab.errors import LabError, UsageError, nearest
from lab.topology import HERE, Topology

VERDICTS = ("violated", "unknown", "held")
SHIMS = ("print-help", "print-nothing", "exit-1")
KEYS = ["does", "incident", "break", "broken", "heal", "healed", "expect", "evidence"]
EVERY_HOST = "*"


class FaultError(LabError):
    """faults.toml does not describe faults."""


@dataclass(frozen=True)
class Step:
    """One thing done to some hosts: a script, files put back, tools replaced or brought back, the whole host anew."""

    hosts: tuple[str, ...]
    run: str = ""
    restore: tuple[str, ...] = ()
    shim: str = ""
    unshim: bool = False
    anew: bool = False
    """Off, emptied, and booted as in a new lab."""


@dataclass(frozen=True)
class Fault:
    id: str
    does: str
    incident: str
    breaks: tuple[Step, ...]
    heals: tuple[Step, ...]
    broken: Step | None
    healed: Step | None
    expect: Mapping[str, str]
    evidence: Mapping[str, str]

    def expected(self, results: Iterable[str]) -> dict[str, str]:
        """Which of `results` ("id[subject]") must not be held while broken, and what they must be."""
        wanted = {}
        for result in results:
            for pattern, verdict in self.expect.items():
                if matches(result, pattern):
                    wanted[result] = verdict
        return wanted

    def must_match(self, result: str) -> list[str]:
        """The patterns that the evidence of a result must match."""
        return [pattern for results, pattern in self.evidence.items() if matches(result, results)]

    def matching_nothing(self, results: Collection[str]) -> list[str]:
        """The fault's own patterns that name no result: a fault that nothing can notice."""
        patterns = [*self.expect, *self.evidence]
        return [pattern for pattern in patterns if not any(matches(result, pattern) for result in results)]

    @property
    def needs_tools(self) -> bool:
        return any(step.shim for step in self.breaks)


def matches(result: str, pattern: str) -> bool:
    """fnmatch with `*` and `?` only: the brackets around the subject stand for themselves."""
    return fnmatchcase(result, pattern.replace("[", "[[]"))


def load(topology: Topology, directory: Path = HERE) -> dict[str, Fault]:
    """The faults of every faults*.toml, which are one name space."""
    found: dict[str, Fault] = {}
    for path in sorted(directory.glob("faults*.toml")):
        try:
            faults = parse(path.read_text(), topology)
            if twice := found.keys() & faults.keys():
                raise FaultError(f"{min(twice)}: another file has a fault of this name")
        except FaultError as error:
            raise FaultError(f"{path.name}: {error}") from None
        found |= faults
    return found


def parse(text: str, topology: Topology) -> dict[str, Fault]:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FaultError(f"not TOML: {error}") from None
    return {name: _fault(name, table, topology) for name, table in data.items()}


def choose(known: Mapping[str, Fault], names: Iterable[str]) -> list[Fault]:
    chosen = []
    for name in names:
        if name not in known:
            raise UsageError(f"no fault {name}{nearest(name, list(known))}")
        chosen.append(known[name])
    return chosen


def _fault(name: str, table: object, topology: Topology) -> Fault:
    if not isinstance(table, dict):
        raise FaultError(f"{name}: a fault is a table")
    for key in table:
        if key not in KEYS:
            raise FaultError(f"{name}.{key}: unknown key{nearest(key, KEYS)}")
    for key in ("does", "incident", "break", "heal", "expect"):
        if not table.get(key):
            raise FaultError(f"{name}.{key}: missing")
    for pattern, verdict in table["expect"].items():
        if verdict not in VERDICTS:
            raise FaultError(f"{name}.expect.{pattern}: {verdict} is not one of {', '.join(VERDICTS)}")
    evidence = dict(table.get("evidence", {}))
    for results, pattern in evidence.items():
        try:
            re.compile(pattern)
        except re.error as error:
            raise FaultError(f"{name}.evidence.{results}: {error}") from None
    polls = {
        key: _step(table[key], f"{name}.{key}", topology) if key in table else None for key in ("broken", "healed")
    }
    return Fault(
        id=name,
        does=table["does"],
        incident=table["incident"],
        breaks=tuple(_step(step, f"{name}.break", topology) for step in table["break"]),
        heals=tuple(_step(step, f"{name}.heal", topology) for step in table["heal"]),
        broken=polls["broken"],
        healed=polls["healed"],
        expect=dict(table["expect"]),
        evidence=evidence,
    )


def _step(table: Mapping[str, Any], where: str, topology: Topology) -> Step:
    for key in table:
        if key not in ("on", "run", "restore", "shim", "unshim", "anew"):
            raise FaultError(f"{where}.{key}: unknown key")
    if len(table.keys() - {"on"}) != 1 or "on" not in table:
        raise FaultError(f"{where}: a step has `on` and one of run, restore, shim, unshim, anew")
    on = table["on"]
    hosts = tuple([on] if isinstance(on, str) else on)
    for host in hosts:
        if host == EVERY_HOST and ("shim" in table or "unshim" in table):
            continue
        if host not in topology.hosts:
            raise FaultError(f"{where}.on: no host {host}{nearest(host, list(topology.hosts))}")
    shim = str(table.get("shim", ""))
    if shim and shim not in SHIMS:
        raise FaultError(f"{where}.shim: {shim} is not one of {', '.join(SHIMS)}")
    for path in table.get("restore", ()):
        for host in hosts:
            if path not in topology.hosts[host].files:
                raise FaultError(f"{where}.restore: {host} has no {path} in the topology")
    return Step(
        hosts=hosts,
        run=str(table.get("run", "")),
        restore=tuple(table.get("restore", ())),
        shim=shim,
        unshim=bool(table.get("unshim", False)),
        anew=bool(table.get("anew", False)),
    )
