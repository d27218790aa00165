"""Run the suite on the lab and read its report. The lab knows no more of the suite than its command and that file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.following import Plan, Planned, read_register
from lab.paths import PROJECT
from lab.topology import FIRST

HELD = "held"
# Only the inventory makes a result not applicable, and no fault changes the inventory.
QUIET = (HELD, "not applicable")


@dataclass(frozen=True)
class Result:
    key: str
    check: str
    nodeid: str
    host: str | None
    verdict: str
    message: str
    text: str
    among: tuple[str, ...] = ()
    """The hosts that it is of, where it is of no others."""


@dataclass(frozen=True)
class Report:
    path: Path
    exit_code: int
    results: dict[str, Result]
    follows: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Check -> the checks that it says it follows from."""

    @cached_property
    def plan(self) -> Plan:
        """What a fault can make something else of: what the inventory declares away stays so."""
        held = {key: Planned(r.check, r.host, r.among) for key, r in self.results.items() if r.verdict == HELD}
        return Plan(held, self.follows)

    @property
    def ok(self) -> bool:
        """Everything is held, and the suite says so too."""
        return bool(self.results) and not self.loud and not self.exit_code

    @property
    def loud(self) -> dict[str, str]:
        """The verdicts of what is not held."""
        return {key: result.verdict for key, result in self.results.items() if result.verdict not in QUIET}


def inventory(site: str) -> str:
    """Of the site, as it is shipped."""
    return f"inventories/{site}"


def environment(lab: str) -> dict[str, str]:
    """The lab's inventory is the one shipped, not one the operator's environment names."""
    return {**_without_inventory(), "SITEPROOF_LAB": lab}


def _without_inventory() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "ANSIBLE_INVENTORY"}


def run(lab: str, site: str, arguments: Sequence[str]) -> int:
    """The suite as an operator runs it: its output is the operator's, its exit code is ours."""
    hosts = "inventory" if site == FIRST else inventory(site)
    line = [sys.executable, "-m", "pytest", f"--hosts={hosts}", *arguments]
    return subprocess.run(line, cwd=PROJECT, env=environment(lab), check=False).returncode


def judge(lab: str, site: str, directory: Path, changes: bool = False, only: Sequence[str] = ()) -> Report:
    """Run the suite quietly with its reports under `directory`, and read the verdicts; `only` of these node ids."""
    found = directory / "latest" / "report.json"
    # A busy machine is no finding: the budget of an operator's run is not what is tried here.
    options = [f"--reports={directory}", "--budget=900", *(["--changes"] if changes else []), *only]
    return read(found, _quietly(site, options, environment(lab), found, "report"))


def register(site: str, directory: Path) -> Plan:
    """What the suite would look at on the lab's site, and what follows from what; nobody is asked."""
    file = directory / "register.json"
    _quietly(site, [f"--register={file}"], _without_inventory(), file, "register")
    return read_register(str(file))


def unwitnessed(site: str, directory: Path) -> frozenset[str]:
    """The checks that say themselves that nothing else vouches for their answers."""
    file = directory / "witnesses.json"
    _quietly(site, [f"--register={file}"], _without_inventory(), file, "register")
    return frozenset(entry["id"] for entry in json.loads(file.read_text()) if entry["unwitnessed_because"])


def _quietly(site: str, options: Sequence[str], env: Mapping[str, str], writes: Path, what: str) -> int:
    """Run the suite for a file that it writes, and give its exit code. Raises LabError if it wrote none."""
    line = [sys.executable, "-m", "pytest", f"--hosts={inventory(site)}", *options]
    done = subprocess.run(line, cwd=PROJECT, env=env, capture_output=True, text=True, errors="replace", check=False)
    if not writes.exists():
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise LabError(f"the suite wrote no {what} (exit {done.returncode}):\n{said}")
    return done.returncode


def read(path: Path, exit_code: int) -> Report:
    path = path.resolve()
    try:
        report = json.loads(path.read_text())
        results = [_result(entry) for entry in report["results"]]
        follows = {check: list(roots) for check, roots in report["follows"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabError(f"{path} is not a report of schema 1: {error!r}") from None
    return Report(path, exit_code, {result.key: result for result in results}, follows)


def _result(entry: dict[str, Any]) -> Result:
    seen = [entry[field] for field in ("message", "seen", "evidence", "notes")]
    return Result(
        key=f"{entry['id']}[{entry['subject']}]",
        check=entry["id"],
        nodeid=entry["nodeid"],
        host=entry["host"],
        among=tuple(entry["among"]),
        verdict=entry["verdict"],
        message=str(entry["message"] or ""),
        text=json.dumps(seen, ensure_ascii=False),
    )
