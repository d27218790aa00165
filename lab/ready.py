"""Whether the lab works as a site: names, the registry's 401, pulls, the way in from outside, the overlay."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lab.enter import command_on
from lab.errors import LabError
from lab.state import State

REGISTRY = "forgejo.home.example"
IMAGE = f"{REGISTRY}/viktor/tuya_bridge:3216c87a"
MIRRORED = "ghcr.io/fluxcd/helm-controller:v1.5.1"
SECONDS = 45  # more than the 30 s that a dockerd waits for a neighbour's answer it missed


@dataclass(frozen=True)
class Step:
    """A shell command on a host that prints `wanted` once this part of the data path works."""

    host: str
    what: str
    command: str
    wanted: str


def _status(url: str, options: str = "") -> str:
    return f"curl -sS -m 5 -o /dev/null -w '%{{http_code}}' {options} {url}"


def chains() -> list[list[Step]]:
    """Steps that follow each other; the chains are independent and are tried at the same time."""
    nodes = [
        [
            Step(node, f"{REGISTRY} resolves", f"getent ahostsv4 {REGISTRY} | sed 's/ .*//;q'", "10.0.20.203"),
            Step(node, f"https://{REGISTRY}/v2/ answers 401", _status(f"https://{REGISTRY}/v2/"), "401"),
            Step(node, f"{IMAGE} is pulled", f"crictl pull {IMAGE} >/dev/null && echo pulled", "pulled"),
        ]
        for node in ("cp1", "worker1")
    ]
    mirrored = [
        [Step(node, f"{MIRRORED} is pulled", f"crictl pull {MIRRORED} >/dev/null && echo pulled", "pulled")]
        for node in ("cp1", "worker1")
    ]
    # The pod behind 443 speaks plain HTTP: a 200 from it is the way in, through both translations.
    inside = _status("http://198.51.100.77:443/")
    overlay = "docker network inspect proxy --format '{{(index .IPAM.Config 0).Subnet}}'"
    return [
        *nodes,
        *mirrored,
        [Step("outside", "198.51.100.77:443 is reached", inside, "200")],
        [
            Step("swarm1", "the overlay proxy is allocated", overlay, "10.10.0.0/16"),
            Step("swarm1", "every node of the swarm is ready and busy", "swarm-settled && echo settled", "settled"),
        ],
        [Step("lan1", "downloads.example is reached", _status("https://downloads.example/1MiB"), "200")],
    ]


def wait_for_data_path(state: State, progress: Callable[[str], None]) -> None:
    end = time.monotonic() + SECONDS
    with ThreadPoolExecutor(len(chains())) as pool:
        for failure in pool.map(lambda chain: _walk(state, chain, end), chains()):
            if failure:
                raise LabError(failure)
    progress("the data path works: resolve, 401, pull")


def _walk(state: State, chain: list[Step], end: float) -> str:
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
