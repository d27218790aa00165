"""What a host costs as there are more of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.compare import Measured, Say
from benchmarks.designs import SITEPROOF, Setting
from benchmarks.fleet import stand_in


def scale(counts: Sequence[int], repetitions: int, directory: Path, say: Say) -> dict[str, dict[str, Any]]:
    """Per number of hosts: seconds and CPU seconds per host, and the peak memory of the siteproof process."""
    found = {}
    for count in counts:
        fleet = stand_in(directory / f"fleet{count}", count)
        try:
            # Where a run is long, others on the machine disturb it less.
            runs = repetitions if count <= 100 else 1
            samples = [SITEPROOF.run(fleet, Setting(), directory / "run", limit_s=1800) for _ in range(runs)]
        finally:
            fleet.stop()
        one = Measured(Setting(), samples)
        peak_mb = max(sample.peak_mb for sample in samples)
        found[str(count)] = {
            "wall_s": round(one.wall_s, 2),
            "wall_ms_per_host": round(1000 * one.wall_s / count, 1),
            "cpu_ms_per_host": round(1000 * one.cpu_s / count, 1),
            "peak_mb": round(peak_mb, 1),
        }
        say(
            f"{count} hosts: {one.wall_s:.1f} s, per host {1000 * one.wall_s / count:.0f} ms and CPU "
            f"{1000 * one.cpu_s / count:.0f} ms (sshd {1000 * one.median(lambda s: s.sshd_cpu_s) / count:.0f} ms), "
            f"peak {peak_mb:.0f} MB"
        )
    return found
