"""Whether the lab works as a site: what its topology says under `ready`, as names, pulls, the way in, the overlay."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from lab.enter import command_on
from lab.errors import LabError
from lab.state import State
from lab.topology import Ready, Topology

SECONDS = 45  # more than the 30 s that a dockerd waits for a neighbour's answer it missed


def wait_for_data_path(state: State, site: Topology, progress: Callable[[str], None]) -> None:
    end = time.monotonic() + SECONDS
    with ThreadPoolExecutor(max(1, len(site.ready))) as pool:
        for failure in pool.map(lambda chain: _walk(state, chain, end), site.ready):
            if failure:
                raise LabError(failure)
    progress("the data path works: resolve, 401, pull")


def _walk(state: State, chain: Sequence[Ready], end: float) -> str:
    for step in chain:
        while True:
            answer = command_on(state, step.host, ["sh", "-c", step.command], timeout=15)
            said = answer.stdout.strip()
            if said == step.wanted:
                break
            if time.monotonic() > end:
                got = answer.stderr.strip().splitlines()[-1:] or [said or "nothing"]
                return f"not within {SECONDS} s: on {step.host}, {step.what}; seen: {got[0]}"
            time.sleep(0.1)
    return ""
