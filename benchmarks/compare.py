"""All designs on the same hosts, side by side."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.designs import FLOOR, SITEPROOF, SSH, TESTINFRA, Design, Setting
from benchmarks.fleet import Fleet
from benchmarks.measure import Sample, TookTooLong

Say = Callable[[str], None]
_GIVEN_UP_AT = 1.25
"""A setting that takes so many times as long as the best one so far is not waited for."""


@dataclass(frozen=True)
class Measured:
    """One design at its best setting: medians."""

    setting: Setting
    samples: Sequence[Sample]

    def median(self, of: Callable[[Sample], float]) -> float:
        return statistics.median(map(of, self.samples))

    @property
    def wall_s(self) -> float:
        return self.median(lambda sample: sample.wall_s)

    @property
    def cpu_s(self) -> float:
        return self.median(lambda sample: sample.cpu_s)


def best_settings(fleet: Fleet, designs: Sequence[Design], directory: Path, say: Say) -> dict[str, Setting]:
    """The fastest setting of each design, from one run each."""
    return {design.name: _best_setting(fleet, design, directory, say) for design in designs}


def _best_setting(fleet: Fleet, design: Design, directory: Path, say: Say) -> Setting:
    best, fastest_s = design.settings[0], float("inf")
    for setting in design.settings if len(design.settings) > 1 else ():
        try:
            limit_s = min(600.0, _GIVEN_UP_AT * fastest_s)
            sample = design.run(fleet, setting, directory / "run", limit_s=limit_s)
        except TookTooLong:
            say(f"{design.name} {setting}: given up after {limit_s:.1f} s")
            continue
        say(f"{design.name} {setting}: {sample.wall_s:.1f} s")
        if sample.wall_s < fastest_s:
            best, fastest_s = setting, sample.wall_s
    return best


def compare(
    fleet: Fleet,
    settings: dict[str, Setting],
    repetitions: int,
    directory: Path,
    say: Say,
    testinfra: Sequence[Design] = TESTINFRA,
) -> dict[str, Measured]:
    """Each design `repetitions` times, in turns, so that a busy minute of the machine meets all of them."""
    designs = (SITEPROOF, FLOOR, *testinfra)
    samples: dict[str, list[Sample]] = {design.name: [] for design in designs}
    SITEPROOF.run(fleet, Setting(), directory / "run")  # once for nothing: Python compiles its modules
    for repetition in range(1, repetitions + 1):
        for design in designs:
            sample = design.run(fleet, settings.get(design.name, design.settings[0]), directory / "run")
            samples[design.name].append(sample)
            say(
                f"{repetition}/{repetitions} {design.name}: {sample.wall_s:.2f} s, CPU {sample.cpu_s:.2f} s, "
                f"sshd {sample.sshd_cpu_s:.1f} s, others on this machine {sample.others_cpu_s:.1f} s"
            )
    return {d.name: Measured(settings.get(d.name, d.settings[0]), samples[d.name]) for d in designs}


def ratios(measured: dict[str, Measured], of: Callable[[Measured], float]) -> dict[str, float]:
    ours = of(measured[SITEPROOF.name])
    others = {design.name: of(measured[design.name]) for design in TESTINFRA if design.name in measured}
    default = {"vs_default": others[SSH.name] / ours} if SSH.name in others else {}
    return default | {"vs_best_testinfra": min(others.values()) / ours, "vs_floor": ours / of(measured[FLOOR.name])}


def table(measured: dict[str, Measured]) -> list[str]:
    ours = measured[SITEPROOF.name]
    rows = [f"{'design':34} {'setting':12} {'wall s':>8} {'from':>7} {'to':>7} {'x':>6} {'CPU s':>8} {'x':>6}"]
    for name, one in measured.items():
        walls = [sample.wall_s for sample in one.samples]
        rows.append(
            f"{name:34} {one.setting!s:12} {one.wall_s:8.2f} {min(walls):7.2f} {max(walls):7.2f} "
            f"{one.wall_s / ours.wall_s:6.2f} {one.cpu_s:8.2f} {one.cpu_s / ours.cpu_s:6.2f}"
        )
    return rows


def others_share(measured: dict[str, Measured], cores: int) -> float:
    """How much of the machine's CPUs others had meanwhile, 0 to 1."""
    samples = [sample for one in measured.values() for sample in one.samples]
    return sum(s.others_cpu_s for s in samples) / (cores * sum(s.wall_s for s in samples))
