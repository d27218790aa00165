"""What is done to hosts, step by step; and steps with a name, which faults share.

A named step says how something is broken together with how it is healed:

    [resolved-edited]
    takes = ["edit"]                  the parameters that whoever uses it gives, in the text as `@{edit}`
    break = [{ run = "…" }]           steps without `on` are taken on the `on` of whoever uses it
    heal = [{ restore = ["…"] }]
    broken = { run = "…" }            polled, as in a fault; so is healed

A parameter that is a text stands as it is; one that is a list stands as words that a shell does not change. A named
step may use others. `on` is a host's name, or `role:ROLE`, which are the hosts that the topology says; what is left of
`@{…}` is one of the topology's words, addresses and roles.

A site has steps of its own, which come before the shared ones: the same fault is done to another daemon by them.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from lab.errors import LabError, nearest
from lab.topology import Topology
from lab.topology_host import TopologyError

EVERY_HOST = "*"
SHIMS = ("print-help", "print-nothing", "exit-1")
DEEDS = ("run", "restore", "shim", "unshim", "anew")
PARTS = ("break", "broken", "heal", "healed")
REFERENCE = re.compile(r"@\{([^}]*)\}")

Table = Mapping[str, Any]
T = TypeVar("T")


class FaultError(LabError):
    """A file does not describe faults, or steps of them: one sentence that names the key."""


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
class Steps:
    """How something is broken and healed, and how one sees that it is."""

    breaks: tuple[Step, ...] = ()
    broken: tuple[Step, ...] = ()
    heals: tuple[Step, ...] = ()
    healed: tuple[Step, ...] = ()

    @property
    def hosts(self) -> frozenset[str]:
        """Where anything is done or polled."""
        every = (*self.breaks, *self.broken, *self.heals, *self.healed)
        return frozenset(host for step in every for host in step.hosts)


Named = Mapping[str, Table]


def parse_named(text: str) -> dict[str, Table]:
    found: dict[str, Table] = {}
    for name, table in toml(text).items():
        if not isinstance(table, dict):
            raise FaultError(f"{name}: a named step is a table")
        for key in table:
            if key not in ("takes", *PARTS):
                raise FaultError(f"{name}.{key}: unknown key{nearest(key, ['takes', *PARTS])}")
        if not table.get("heal") and not any("use" in s for s in _list(table.get("break", ()), f"{name}.break")):
            raise FaultError(f"{name}.heal: missing")
        takes = list(table.get("takes", ()))
        said = {word for part in PARTS for word in REFERENCE.findall(str(table.get(part, "")))}
        if idle := sorted(set(takes) - said):
            raise FaultError(f"{name}.takes: {idle[0]} is taken and not used")
        found[name] = table
    return found


def toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FaultError(f"not TOML: {error}") from None


def read(table: Table, where: str, topology: Topology, named: Named, within: tuple[str, ...] = ()) -> Steps:
    """The four parts of a fault: what it uses by name is broken in its place and healed first, in the same order.

    `within` are the named steps that this is part of.
    """
    found = Steps()
    for step in _list(table.get("break", ()), f"{where}.break"):
        if "use" in step:
            found = _joined(found, _used(step, f"{where}.break", topology, named, within))
        else:
            found = _joined(found, Steps(breaks=(_step(step, f"{where}.break", topology),)))
    for step in _list(table.get("heal", ()), f"{where}.heal"):
        if "use" in step:
            used = _used(step, f"{where}.heal", topology, named, within)
            found = _joined(found, Steps(heals=used.heals, healed=used.healed))
        else:
            found = _joined(found, Steps(heals=(_step(step, f"{where}.heal", topology),)))
    polls = {part: _polls(table, part, where, topology) for part in ("broken", "healed")}
    return _joined(found, Steps(broken=polls["broken"], healed=polls["healed"]))


def _joined(one: Steps, other: Steps) -> Steps:
    return Steps(
        breaks=one.breaks + other.breaks,
        broken=one.broken + other.broken,
        heals=one.heals + other.heals,
        healed=one.healed + other.healed,
    )


def _used(step: Table, where: str, topology: Topology, named: Named, within: tuple[str, ...]) -> Steps:
    name = step["use"]
    if name in within:
        raise FaultError(f"{where}.use: {name} uses itself")
    if name not in named:
        raise FaultError(f"{where}.use: no step {name}{nearest(str(name), list(named))}")
    table, where = named[name], f"{where}.{name}"
    given = {key: value for key, value in step.items() if key not in ("use", "on")}
    takes = list(table.get("takes", ()))
    for key in given:
        if key not in takes:
            raise FaultError(f"{where}.{key}: it takes no {key}{nearest(key, takes)}")
    for key in takes:
        if key not in given:
            raise FaultError(f"{where}.{key}: missing")
    texts = {key: _text(value, f"{where}.{key}") for key, value in given.items()}
    every = [part for key in PARTS for part in _list(table.get(key, ()), f"{where}.{key}")]
    if "on" in step and all("on" in part for part in every):
        raise FaultError(f"{where}.on: it says itself on which hosts")

    on = {"on": step["on"]} if "on" in step else {}
    filled = {
        key: [
            {**on, **{word: _filled(value, texts) for word, value in part.items()}}
            for part in _list(table.get(key, ()), f"{where}.{key}")
        ]
        for key in PARTS
    }
    return read(filled, where, topology, named, (*within, name))


def _text(value: object, where: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return shlex.join(value)
    raise FaultError(f"{where}: a parameter is a text or a list of texts")


def _filled(value: object, texts: Mapping[str, str]) -> object:
    if isinstance(value, str):
        return REFERENCE.sub(lambda match: texts.get(match[1], match[0]), value)
    if isinstance(value, list):
        return [_filled(each, texts) for each in value]
    return value


def _list(value: object, where: str) -> list[Table]:
    """A step, or several, as a list."""
    found = [value] if isinstance(value, dict) else value
    if not isinstance(found, list | tuple) or not all(isinstance(step, dict) for step in found):
        raise FaultError(f"{where}: a step is a table")
    return list(found)


def _polls(table: Table, key: str, where: str, topology: Topology) -> tuple[Step, ...]:
    found = tuple(_step(step, f"{where}.{key}", topology) for step in _list(table.get(key, ()), f"{where}.{key}"))
    if any(not step.run for step in found):
        raise FaultError(f"{where}.{key}: what is polled is a `run`")
    return found


def _step(table: Table, where: str, topology: Topology) -> Step:
    for key in table:
        if key not in ("on", *DEEDS):
            raise FaultError(f"{where}.{key}: unknown key{nearest(key, ['on', 'use', *DEEDS])}")
    if len(table.keys() - {"on"}) != 1 or "on" not in table:
        raise FaultError(f"{where}: a step has `on` and one of {', '.join(DEEDS)}")
    hosts: list[str] = []
    for said in [table["on"]] if isinstance(table["on"], str) else table["on"]:
        if said == EVERY_HOST and ("shim" in table or "unshim" in table):
            hosts.append(said)
        else:
            hosts += _of_site(partial(topology.on, str(said), f"{where}.on"))
    shim = str(table.get("shim", ""))
    if shim and shim not in SHIMS:
        raise FaultError(f"{where}.shim: {shim} is not one of {', '.join(SHIMS)}")
    restore = tuple(_text_of(topology, path, f"{where}.restore") for path in table.get("restore", ()))
    for path in restore:
        for host in hosts:
            if path not in topology.hosts[host].files:
                raise FaultError(f"{where}.restore: {host} has no {path} in the topology")
    return Step(
        hosts=tuple(hosts),
        run=_text_of(topology, str(table.get("run", "")), f"{where}.run"),
        restore=restore,
        shim=shim,
        unshim=bool(table.get("unshim", False)),
        anew=bool(table.get("anew", False)),
    )


def _text_of(topology: Topology, text: str, where: str) -> str:
    return _of_site(partial(topology.fill, text, "", where))


def _of_site(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except TopologyError as error:
        raise FaultError(str(error)) from None
