"""containerd's own binary, configuration and hosts.toml files: what decides where it pulls from."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from importlib import resources

from siteproof.asks import Ask, Host, Output, command
from siteproof.errors import Unparseable
from siteproof.probes.common.root_words import PIDS
from siteproof.probes.common.sections import Sections, split
from siteproof.probes.pulls.crictl import CONTAINERDS, CRICTL_SETTINGS, TOOLS
from siteproof.runtimes.containerd import HOSTS_FILE, Containerd
from siteproof.runtimes.containerd_settings import Version, config_path_of, read_toml, registry_settings
from siteproof.runtimes.pull_route import Proxies

_SCRIPT = CRICTL_SETTINGS + CONTAINERDS + resources.files(__package__).joinpath("containerd_registries.sh").read_text()
_TICKS = 100
"""Per second, in /proc/PID/stat, on every architecture of Linux."""
_GRACE_S = 2


def containerd_registries(node: Host) -> Ask[Containerd]:
    """How the containerd that runs on `node` is told to pull."""
    return command(
        node,
        _SCRIPT,
        probe="containerd config dump and hosts.toml",
        parse=parse,
        tools=("crictl", "date", "head", *TOOLS),
        root=True,
        root_patterns={"pid": PIDS},
        deadline_s=10,
        waits_for="containerd",
    )


def parse(output: Output) -> Containerd:
    """Raises Unparseable where a part is missing or was not printed by the tool that should have read it."""
    of_files = ("hosts ", "whole ", "directory ", "absent ", "foreign ", "link ", "certificate ")
    sections = split(output.text, "runtime", "config", "environment", "times", "changed", "defaults", of_files)
    runtime = dict(re.findall(r"^(\w+): +(\S+)$", sections["runtime"], re.MULTILINE))
    if runtime.get("RuntimeName") != "containerd":
        raise Unparseable(f"crictl does not speak to containerd: {sections['runtime'][:200]!r}")
    version = Version.parse(runtime["RuntimeVersion"])
    settings = registry_settings(read_toml(_barred(sections["config"])))
    config_path = config_path_of(version, settings.config_path, bool(settings.mirrors))
    *variables, last = _barred(sections["environment"]).splitlines()
    if last != "SITEPROOF_END=":
        raise Unparseable(f"the environment of containerd was not read to its end: {last!r}")
    environment = {name: value for name, _, value in (line.partition("=") for line in variables)}
    started, files = _times(sections)
    newer = _newer(started, files, "defaults" in sections)
    return Containerd(
        version=version,
        config_path=config_path,
        mirrors=settings.mirrors,
        directories=_directories(sections, config_path),
        proxies=Proxies.of(environment),
        newer_than_process=newer,
        touched=_touched(started, sections, newer, files),
        foreign=frozenset(_foreign(sections)),
        tls=settings.tls,
        rewrites=settings.rewrites,
        headers=settings.headers,
        pulls_itself=settings.pulls_itself,
        certificates=tuple(n.removeprefix("certificate ") for n in sections if n.startswith("certificate ")),
    )


def _directories(sections: Sections, config_path: str) -> dict[str, str | None]:
    """Each directory below those of `config_path`, and the text of its hosts.toml."""
    listed = {name.partition(" ")[2] for name in sections if name.startswith("directory ")}
    roots = {root.rstrip("/") for root in config_path.split(":") if root}
    if missing := {root for root in roots if root not in listed and f"absent {root}" not in sections}:
        raise Unparseable(f"find did not come to the end of {', '.join(sorted(missing))}")
    directories: dict[str, str | None] = {d: None for d in sorted(listed) if d.rpartition("/")[0] in roots}
    for name, body in sections.items():
        if (match := re.fullmatch(r"hosts (\d+) (.*)", name)) is None:
            continue
        size, directory = int(match[1]), match[2]
        if directory not in listed or f"whole {directory}" not in sections:
            raise Unparseable(f"the hosts.toml in {directory} was not read to its end")
        if directory in directories:
            directories[directory] = _barred(body) if size else ""
    return directories


def _foreign(sections: Sections) -> Iterator[str]:
    """The directories of registries that others than root may change, or whose hosts.toml they may."""
    for name in sections:
        if name.startswith("foreign "):
            yield name.removeprefix("foreign ").removesuffix(f"/{HOSTS_FILE}")


def _barred(text: str) -> str:
    lines = text.strip("\n").splitlines()
    if not lines or not all(line.startswith("| ") for line in lines):
        raise Unparseable(f"sed did not print what it was to read: {text[:200]!r}")
    return "\n".join(line[2:] for line in lines)


def _newer(started: float, files: Mapping[str, float], by_default: bool) -> tuple[str, ...]:
    """The files written after the process started."""
    if not files and not by_default:
        raise Unparseable("containerd's configuration file is not there")
    return tuple(path for path, written in files.items() if written > started + _GRACE_S)


def _times(sections: Sections) -> tuple[float, dict[str, float]]:
    """`now uptime start-in-ticks`: when the process started. `written path`: when each file was written."""
    first, *rest = sections["times"].strip().splitlines()
    now, uptime, started = (int(number) for number in first.split())
    files: dict[str, float] = {}
    for written, _, path in (line.partition(" ") for line in rest):
        files[path] = max(float(written), files.get(path, 0.0))
    return now - uptime + started / _TICKS, files


def _touched(started: float, sections: Sections, newer: Collection[str], files: Collection[str]) -> tuple[str, ...]:
    """What was touched after the start but not written: `changed f path` of a file, `written d path` of a directory.

    Every one of `files` is among them, so that nothing at all is no answer; but for the registries.yaml of which k3s
    makes some of these.

    A file that is moved or copied there may have been written long before. One that was taken away is seen in the
    directory alone, which also changes by what is none of the configuration. What was recorded before has none of it.
    """
    if "changed" not in sections:
        return ()
    found, told = [], set()
    for line in sections["changed"].strip().splitlines():
        if (match := re.fullmatch(r"(\d+(?:\.\d+)?) ([fd]) (/.*)", line)) is None:
            raise Unparseable(f"not a time of containerd's configuration: {line[:200]!r}")
        told.add(match[3])
        # A directory that a newer file lies in has changed by that.
        known = match[3] in newer or (match[2] == "d" and any(p.rpartition("/")[0] == match[3] for p in newer))
        if float(match[1]) > started + _GRACE_S and not known:
            found.append(match[3])
    if untold := [path for path in files if path not in told and not path.endswith("/registries.yaml")]:
        raise Unparseable(f"it is not told when {untold[0]} was touched")
    return tuple(dict.fromkeys(found))
