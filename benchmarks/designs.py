"""The ways to ask the same things of the same hosts."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import workload
from benchmarks.fleet import Fleet
from benchmarks.measure import Sample, measure

_PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:hypothesispytest"]
"""Without a plugin of developers that imports all of hypothesis to say nothing."""


@dataclass(frozen=True)
class Setting:
    """How xdist is used; no workers is none of it."""

    workers: int = 0
    by_host: bool = False

    def __str__(self) -> str:
        return f"-n{self.workers}" + (" by host" if self.by_host else "")

    @staticmethod
    def read(text: str) -> Setting:
        return Setting(int(text.removeprefix("-n").split()[0]), text.endswith("by host"))

    @property
    def options(self) -> list[str]:
        if not self.workers:
            return ["-p", "no:xdist"]
        return [f"-n{self.workers}", *(["-p", "benchmarks.by_host"] if self.by_host else [])]


SETTINGS = (
    Setting(8, by_host=True),
    Setting(4, by_host=True),
    Setting(2, by_host=True),
    Setting(8),
    Setting(4),
    Setting(2),
    Setting(),
)
"""Most promising first: a setting that is slower than the best so far is given up."""


@dataclass(frozen=True)
class Job:
    """Everything for one run: its own empty directory, and the line to run there."""

    directory: Path
    line: Sequence[str]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Design:
    name: str
    prepare: Callable[[Fleet, Setting, Path], Job]
    complete: Callable[[Fleet, Job, Sample], bool]
    """Whether the run did all of the work. A run that did not is no measurement."""
    settings: tuple[Setting, ...] = SETTINGS

    def run(self, fleet: Fleet, setting: Setting, directory: Path, *, limit_s: float = 600) -> Sample:
        """Raises TookTooLong, or RuntimeError with what the run said where it did not do all of the work."""
        job = self.prepare(fleet, setting, directory)
        try:
            sample = measure(
                job.line, directory=job.directory, environment=job.environment, sshds=fleet.pids, limit_s=limit_s
            )
            if not self.complete(fleet, job, sample):
                raise RuntimeError(f"{self.name} {setting} ended with status {sample.status}:\n{sample.output[-3000:]}")
            return sample
        finally:
            shutil.rmtree(directory)


def _environment() -> dict[str, str]:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '/usr/bin:/bin')}"
    # As on an operator's machine: Python keeps its compiled modules.
    foreign = ("ANSIBLE_", "PYTEST_", "PYTHON", "SSH_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {"PATH": programs, "PYTHONPATH": str(workload.HERE.parent)}


def _siteproof(fleet: Fleet, setting: Setting, directory: Path) -> Job:
    shutil.copytree(workload.SITEPROOF, directory)
    inventory = directory / "inventory"
    inventory.mkdir()
    fleet.write_inventory(inventory / "hosts.yml")
    line = [*_PYTEST, "tests_infra", "--hosts=inventory/hosts.yml", *setting.options]
    return Job(directory, line, _environment())


def _all_held(fleet: Fleet, job: Job, sample: Sample) -> bool:
    if sample.status != 0:
        return False
    latest = job.directory / "reports/latest"
    summary = json.loads((latest / "report.json").read_text())["summary"]
    lines = (
        line
        for path in (latest / "evidence").iterdir()
        if path.name != "hosts.jsonl"
        for line in path.read_bytes().splitlines()
    )
    # One question more per host, which the other designs do not ask.
    answers = sum(b'"versions of the tools"' not in line for line in lines)
    count = len(fleet.addresses)
    return (
        bool(summary["held"] == summary["planned"] == workload.CHECKS * count) and answers == workload.COMMANDS * count
    )


def _testinfra(options: Callable[[Fleet, Path], Sequence[str]]) -> Callable[[Fleet, Setting, Path], Job]:
    def prepare(fleet: Fleet, setting: Setting, directory: Path) -> Job:
        shutil.copytree(workload.TESTINFRA, directory)
        line = [*_PYTEST, "test_hosts.py", *options(fleet, directory), *setting.options]
        return Job(directory, line, _environment())

    return prepare


def _all_passed(fleet: Fleet, job: Job, sample: Sample) -> bool:
    return sample.status == 0 and bool(
        re.search(rf"^{workload.CHECKS * len(fleet.addresses)} passed", sample.output, re.M)
    )


def _hosts(backend: str, fleet: Fleet) -> str:
    return "--hosts=" + ",".join(f"{backend}://{address}" for address in fleet.addresses.values())


def _through_ansible(fleet: Fleet, directory: Path) -> Sequence[str]:
    inventory = fleet.write_inventory(directory / "hosts.yml")
    shared = fleet.ssh_config_sharing(directory / "s")
    return ["--hosts=ansible://all", f"--ansible-inventory={inventory}", f"--ssh-config={shared}"]


def _asking(way: str) -> Callable[[Fleet, Setting, Path], Job]:
    def prepare(fleet: Fleet, setting: Setting, directory: Path) -> Job:
        directory.mkdir()
        inventory = fleet.write_inventory(directory / "hosts.yml")
        return Job(directory, [sys.executable, "-m", "benchmarks.asking", way, str(inventory)], _environment())

    return prepare


def _all_answered(commands: int) -> Callable[[Fleet, Job, Sample], bool]:
    def complete(fleet: Fleet, job: Job, sample: Sample) -> bool:
        return sample.status == 0 and json.loads(sample.output)["answered"] == commands * len(fleet.addresses)

    return complete


SITEPROOF = Design("siteproof", _siteproof, _all_held, (Setting(),))
FLOOR = Design("floor", _asking("floor"), _all_answered(1), (Setting(),))
ROUND, EXECS, EXECS_AT_ONCE = (
    Design(way, _asking(way), _all_answered(workload.COMMANDS), (Setting(),))
    for way in ("round", "execs", "execs-at-once")
)
SSH = Design(
    "testinfra ssh://", _testinfra(lambda f, _: [_hosts("ssh", f), f"--ssh-config={f.ssh_config}"]), _all_passed
)
SSH_SHARED = Design(
    "testinfra ssh:// ControlPersist",
    _testinfra(lambda f, d: [_hosts("ssh", f), f"--ssh-config={f.ssh_config_sharing(d / 's')}"]),
    _all_passed,
)
PARAMIKO = Design(
    "testinfra paramiko://",
    _testinfra(lambda f, _: [_hosts("paramiko", f), f"--ssh-config={f.ssh_config}"]),
    _all_passed,
)
ANSIBLE = Design("testinfra ansible://", _testinfra(_through_ansible), _all_passed)
TESTINFRA = (SSH, SSH_SHARED, PARAMIKO, ANSIBLE)
