"""The same work with 15 ms each way between us and the hosts."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.compare import Say
from benchmarks.designs import EXECS, EXECS_AT_ONCE, PARAMIKO, ROUND, SITEPROOF, Setting
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
    """One round against an exec per command, from the first connection to the last answer; and whole runs of both."""
    asking = {
        "one round": ROUND,
        "exec per command": EXECS,
        "exec per command, all hosts at once": EXECS_AT_ONCE,
    }
    runs = {
        "siteproof": (SITEPROOF, Setting()),
        "testinfra paramiko://": (PARAMIKO, Setting()),
        "testinfra paramiko:// -n8 by host": (PARAMIKO, Setting(8, by_host=True)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in [*asking, *runs]}
    with relayed(fleet) as far:
        for _ in range(repetitions):
            for name, design in asking.items():
                seconds[name].append(json.loads(design.run(far, Setting(), directory / "run").output)["seconds"])
            for name, (design, setting) in runs.items():
                seconds[name].append(design.run(far, setting, directory / "run").wall_s)
    found = {name: statistics.median(each) for name, each in seconds.items()}
    for name, wall_s in found.items():
        say(f"{DELAY_MS} ms each way, {name}: {wall_s:.2f} s")
    return {
        "delay_ms": DELAY_MS,
        "wall_s": {name: round(wall_s, 2) for name, wall_s in found.items()},
        "ratio": round(found["exec per command"] / found["one round"], 1),
        "run_ratio": round(found["testinfra paramiko://"] / found["siteproof"], 1),
    }
