"""Yesterday's right answers while a fault stands: what a check believes that only echoes itself.

Each tool of replays.toml is covered on every host by a script that keeps what the tool says while all is well, and says
it again, to the same words, while a fault stands. It is the lie of a cache, a wrapper or a proxy: answer and control
come from the same place.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import breaking, lifecycle, shims, suite
from lab.errors import LabError, UsageError
from lab.faults import Fault, Faults
from lab.prove import lab_up
from lab.steps import toml
from lab.suite import Report
from lab.topology import SITES, Topology

FILE = "replays.toml"
"""Beside the site's topology: which tools there are to lie, differs."""


@dataclass(frozen=True)
class Replayed:
    """One tool that lied while one fault stood."""

    fault: str
    tool: str
    verdicts: Mapping[str, str]
    """Of what the fault violates, by `id[subject]`."""
    believed: tuple[str, ...]
    """What was held although its check has a witness."""
    echoed: tuple[str, ...]
    """What was held by a check that says that it has none."""

    @property
    def ok(self) -> bool:
        return bool(self.verdicts) and not self.believed

    def as_json(self) -> dict[str, Any]:
        return {
            "id": f"{self.fault} while {self.tool} replays",
            "ok": self.ok,
            "verdicts": dict(self.verdicts),
            "believed": list(self.believed),
            "echoed": list(self.echoed),
        }


def file_of(site: str) -> Path:
    return SITES / site / FILE


def load(known: Faults, path: Path) -> dict[str, list[str]]:
    """Fault -> the tools that are to lie. Raises LabError."""
    found = toml(path.read_text())
    for fault, tools in found.items():
        if fault not in known.by_id:
            raise LabError(f"{path.name}: {fault} is no fault")
        if not isinstance(tools, list) or not all(isinstance(tool, str) for tool in tools):
            raise LabError(f"{path.name}: {fault} has a list of tools")
    return found


def replay_all(lab: str, site: Topology, known: Faults, chosen: Collection[str], out: Path | None) -> int:
    """Try each pair of replays.toml, of the faults `chosen` or of all."""
    pairs = {fault: tools for fault, tools in load(known, file_of(site.site)).items() if not chosen or fault in chosen}
    if missing := sorted(set(chosen) - pairs.keys()):
        raise UsageError(f"replays: {FILE} has no tool for {missing[0]}")
    started = time.monotonic()
    with lab_up(lab, site.site), tempfile.TemporaryDirectory(prefix="siteproof-replays-") as directory:
        found = list(_try_all(lab, site, known, pairs, Path(directory)))
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps({"faults": [each.as_json() for each in found]}, indent=1) + "\n")
    bad = sum(not each.ok for each in found)
    echoed = {key.partition("[")[0] for each in found for key in each.echoed}
    said = f"{bad} of {len(found)} replays were believed" if bad else f"{len(found)} replays, none believed"
    print(f"{said}, {len(echoed)} checks without a witness echoed one, in {time.monotonic() - started:.0f} s")
    return 1 if bad else 0


def _try_all(
    lab: str, site: Topology, known: Faults, pairs: Mapping[str, Sequence[str]], directory: Path
) -> Iterator[Replayed]:
    trusting = suite.unwitnessed(site.site, directory)
    tools = sorted({tool for found in pairs.values() for tool in found})
    hosts = [host.name for host in site.systemd_hosts]
    healthy = suite.judge(lab, site.site, directory / "healthy")
    if not healthy.ok:
        raise LabError(f"the lab is not healthy: {', '.join(healthy.loud) or healthy.exit_code}")
    expected = known.expected(healthy.plan)
    violated = {
        name: sorted(key for key, verdict in expected[name].verdicts.items() if verdict == "violated") for name in pairs
    }
    asked = [healthy.results[key].nodeid for key in sorted({key for keys in violated.values() for key in keys})]
    forgetful = set(hosts)
    try:
        for number, (name, liars) in enumerate(pairs.items()):
            if forgetful:
                current = lifecycle.must_run(lab)
                for host in sorted(forgetful):
                    shims.keep_answers(current, host, tools)
                # These alone: what looks at a process of a tool, such as curl's, sees the script that covers it.
                if kept := suite.judge(lab, site.site, directory / f"kept-{number}", only=asked).loud:
                    raise LabError(f"covered, the tools do not say what they say by themselves: {', '.join(kept)}")
            fault = known.by_id[name]
            yield from _with_fault(lab, site, fault, violated[name], liars, healthy, trusting, directory / str(number))
            forgetful = {host for step in (*fault.steps.breaks, *fault.steps.heals) if step.anew for host in step.hosts}
    finally:
        current = lifecycle.must_run(lab)  # some hosts may have been made anew
        for host in hosts:
            shims.bring_back(current, host)


def _with_fault(
    lab: str,
    site: Topology,
    fault: Fault,
    violated: Sequence[str],
    liars: Sequence[str],
    healthy: Report,
    trusting: Collection[str],
    directory: Path,
) -> Iterator[Replayed]:
    only = [healthy.results[key].nodeid for key in violated]
    try:
        current = breaking.break_faults(lab, [fault], site, healthy.path)
        for tool in liars:
            shims.lie(current, tool)
            begun = time.monotonic()
            seen = suite.judge(lab, site.site, directory / tool, only=only)
            got = {key: seen.results[key].verdict if key in seen.results else "missing" for key in violated}
            held = [key for key, verdict in got.items() if verdict == suite.HELD]
            echoed = tuple(key for key in held if key.partition("[")[0] in trusting)
            believed = tuple(key for key in held if key not in echoed)
            found = Replayed(fault.id, tool, got, believed, echoed)
            print(
                f"{'ok  ' if found.ok else 'FAIL'} {fault.id:32} {tool:16} {len(got) - len(held):3} not believed, "
                f"{len(echoed):2} echoed  {time.monotonic() - begun:5.1f} s",
                *(f"       believed: {key}" for key in believed),
                sep="\n",
                flush=True,
            )
            yield found
    finally:
        shims.lie(lifecycle.must_run(lab), None)
        breaking.heal_faults(lab, [fault], site)
