"""containerd's own binary, configuration and hosts.toml files: what decides where it pulls from."""

from __future__ import annotations

import re
import tomllib
from importlib import resources

from siteproof.asks import Ask, Output, command
from siteproof.errors import Unparseable
from siteproof.models.containerd import Containerd, Version, registry_settings
from siteproof.models.pull_route import Proxies
from siteproof.probes.sections import split

_SCRIPT = resources.files(__package__).joinpath("containerd_registries.sh").read_text()
_TICKS = 100
"""Per second, in /proc/PID/stat, on every architecture of Linux."""
_GRACE_S = 2


def containerd_registries(node: str) -> Ask[Containerd]:
    """How the containerd that runs on `node` is told to pull."""
    return command(
        node,
        _SCRIPT,
        probe="containerd config dump and hosts.toml",
        parse=parse,
        tools=("crictl", "cat", "sed", "tr", "stat", "date"),
        root=True,
        deadline_s=10,
    )


def parse(output: Output) -> Containerd:
    """Raises Unparseable where a part is missing or was not printed by the tool that should have read it."""
    sections = split(output.text)
    runtime = dict(re.findall(r"^(\w+): +(\S+)$", sections["runtime"], re.MULTILINE))
    if runtime.get("RuntimeName") != "containerd":
        raise Unparseable(f"crictl does not speak to containerd: {sections['runtime'][:200]!r}")
    config_path, mirrors = registry_settings(tomllib.loads(_barred(sections["config"])))
    directories: dict[str, str | None] = {}
    for name, body in sections.items():
        kind, _, directory = name.partition(" ")
        if kind in ("without", "empty", "hosts") and directory:
            directories[directory] = None if kind == "without" else "" if kind == "empty" else _barred(body)
    *variables, last = _barred(sections["environment"]).splitlines()
    if last != "SITEPROOF_END=":
        raise Unparseable(f"the environment of containerd was not read to its end: {last!r}")
    environment = {name: value for name, _, value in (line.partition("=") for line in variables)}
    return Containerd(
        version=Version.parse(runtime["RuntimeVersion"]),
        config_path=config_path,
        mirrors=mirrors,
        directories=directories,
        proxies=Proxies.of(environment),
        newer_than_process=_newer(sections["times"]),
    )


def _barred(text: str) -> str:
    lines = text.strip("\n").splitlines()
    if not lines or not all(line.startswith("| ") for line in lines):
        raise Unparseable(f"sed did not print what it was to read: {text[:200]!r}")
    return "\n".join(line[2:] for line in lines)


def _newer(text: str) -> tuple[str, ...]:
    """`now uptime start-in-ticks`, then `written path` for each file: the files written after the process started."""
    first, *rest = text.strip().splitlines()
    now, uptime, started = (int(number) for number in first.split())
    start = now - uptime + started / _TICKS
    files = [(int(written), path) for written, _, path in (line.partition(" ") for line in rest)]
    if not files:
        raise Unparseable("containerd's configuration file is not there")
    return tuple(path for written, path in files if written > start + _GRACE_S)
