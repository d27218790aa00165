"""The same work with 15 ms each way between us and the hosts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.compare import Measured, Say
from benchmarks.designs import PARAMIKO, SITEPROOF, Setting
from benchmarks.fleet import Fleet

DELAY_MS = 15


@contextmanager
def relayed(fleet: Fleet) -> Iterator[Fleet]:
    """The hosts as they are seen through the relay."""
    near = {name: address.replace("127.0.1.", "127.0.2.") for name, address in fleet.addresses.items()}
    pairs = [f"{near[name]}={address}" for name, address in fleet.addresses.items()]
    relay = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.relay", str(DELAY_MS), *pairs],
        cwd=Path(__file__).parent.parent, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        if relay.stdout is None or relay.stdout.readline().strip() != b"ready":
            raise RuntimeError("the relay did not start")
        farther = fleet.reached_at(near)
        yield Fleet(farther.directory, farther.addresses, [*fleet.sshds, relay])
    finally:
        relay.terminate()
        relay.wait()


def latency(fleet: Fleet, repetitions: int, directory: Path, say: Say) -> dict[str, Any]:
    """One round against an exec per command: testinfra over paramiko://, in one process and in eight."""
    ways = {
        "one round": (SITEPROOF, Setting()),
        "exec per command": (PARAMIKO, Setting()),
        "exec per command, 8 hosts at once": (PARAMIKO, Setting(8, by_host=True)),
    }
    samples: dict[str, list[Any]] = {name: [] for name in ways}
    with relayed(fleet) as far:
        for _ in range(repetitions):
            for name, (design, setting) in ways.items():
                samples[name].append(design.run(far, setting, directory / "run"))
    walls = {name: Measured(ways[name][1], found).wall_s for name, found in samples.items()}
    ratio = walls["exec per command"] / walls["one round"]
    for name, wall_s in walls.items():
        say(f"{DELAY_MS} ms each way, {name}: {wall_s:.2f} s")
    return {"delay_ms": DELAY_MS, "wall_s": {n: round(w, 2) for n, w in walls.items()}, "ratio": round(ratio, 1)}
