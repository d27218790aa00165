"""docker: a service of our own on an overlay, to see whether its tasks get addresses, or run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from siteproof.asks import ARGUMENT, IMAGE, NETWORK_NAME, NUMBER, Ask, Host, Output, command
from siteproof.errors import NoControl, Unparseable
from siteproof.probes.common.dockers import DOCKER, UNSET
from siteproof.probes.common.root_words import HEX, MOMENT, SWARM_ID, numbers
from siteproof.probes.common.sections import from_json, split, whole_number, words
from siteproof.probes.swarm.model import OWN_LABEL

_SCRIPT = UNSET + resources.files(__package__).joinpath("swarm_canary.sh").read_text()
# Tasks that no node may take are given their addresses all the same, and never start.
_KEPT = {
    "allocate": "--endpoint-mode dnsrr --constraint node.labels.$name==nowhere",
    "deploy": "--restart-condition none",
}
_SCRIPTS = {
    kind: f"""\
kind={kind}
create() {{
    $ROOT {DOCKER} service create --detach --quiet --no-resolve-image --label {OWN_LABEL}=$until \\
        --container-label {OWN_LABEL}=$until --network "$network" --replicas "$replicas" --stop-grace-period 1s \\
        --name "$name" {kept} -- "$image" "$@"
}}
{_SCRIPT}"""
    for kind, kept in _KEPT.items()
}
_TASK = re.compile(r"[0-9a-z]{25} (?P<state>[A-Z][a-z]+) (?P<since>[^\"]*)")
_STATES = words("""
    New Pending Assigned Accepted Preparing Ready Starting Running Complete Shutdown Failed Rejected Remove Orphaned
""")
NOWHERE = "siteproof/never-pulled"
"""The image of tasks that no node takes."""


@dataclass(frozen=True, slots=True)
class CanaryRun:
    """How far the tasks came before the service was removed again."""

    states: tuple[tuple[str, int], ...]
    """In docker's words, `Pending` and how many, by name."""
    errors: tuple[str, ...]
    seconds: int

    def in_state(self, name: str) -> int:
        return dict(self.states).get(name, 0)


def allocation_canary(
    manager: Host, network: str, *, addresses: int, at_most: int, deadline_s: int = 30
) -> Ask[CanaryRun]:
    """Ask for so many addresses of `network` at once, `at_most` so many, with tasks that no node may run.

    `Pending` tasks have an address and wait for a node; `New` ones wait for an address. They are taken from the
    overlay while this lasts, so ask for fewer than are thought to be free.
    """
    return _canary(manager, "allocate", network, addresses, at_most, NOWHERE, (), deadline_s)


def deploy_canary(
    manager: Host, network: str, image: str, arguments: Sequence[str], *, deadline_s: int
) -> Ask[CanaryRun]:
    """Run one task of `image` on `network`."""
    return _canary(manager, "deploy", network, 1, 1, image, arguments, deadline_s)


def _canary(
    manager: Host,
    kind: Literal["allocate", "deploy"],
    network: str,
    replicas: int,
    at_most: int,
    image: str,
    arguments: Sequence[str],
    deadline_s: int,
) -> Ask[CanaryRun]:
    names = {kind: f"siteproof_{HEX * 12}_{kind}_{MOMENT}" for kind in ("allocate", "deploy")}
    patterns = {
        "until": (MOMENT,),
        "name": (names[kind],),
        "old": tuple(names.values()),
        "task": (SWARM_ID,),
        "replicas": numbers(len(NUMBER(at_most).text)),
    }
    return command(
        manager,
        _SCRIPTS[kind],
        given={
            "network": NETWORK_NAME(network),
            "replicas": NUMBER(replicas),
            "image": IMAGE(image),
            "@": [ARGUMENT(argument) for argument in arguments],
        },
        probe=f"docker service create: {kind} {replicas} on {network}",
        parse=lambda output: parse(output, replicas),
        tools=("docker", "curl", "date", "setsid", "sleep", "grep"),
        root=True,
        root_patterns=patterns,
        deadline_s=deadline_s,
        needs=("dockerd",),
        probe_class="changes",
        slow=True,
    )


def parse(output: Output, replicas: int) -> CanaryRun:
    """One line a task. There are as many as were asked for, or docker did not do what it said."""
    sections = split(output.text, "created", "known", "tasks", "seconds")
    if not re.fullmatch(r"[0-9a-z]{25}", sections["created"].strip()):
        raise Unparseable(f"docker service create gave no id: {sections.get('created', '')[:200]!r}")
    if "known" in sections:  # what was recorded before has no such witness
        known = from_json(sections["known"], "dockerd's API")
        if not isinstance(known, dict) or known.get("ID") != sections["created"].strip():
            raise NoControl(
                "dockerd does not know the service that docker says it made: these are not words of this run"
            )
    lines = [line for line in sections["tasks"].splitlines() if line.strip()]
    tasks = [_task(line.strip()) for line in lines]
    found = [task for task in tasks if task is not None]
    if len(found) != replicas or len(tasks) != replicas:
        raise Unparseable(f"docker service ps shows {len(lines)} tasks of {replicas}: {str(lines[:2])[:400]}")
    return CanaryRun(
        states=tuple(sorted(Counter(state for state, _ in found).items())),
        errors=tuple(sorted({error for _, error in found if error})),
        seconds=whole_number(sections, "seconds"),
    )


def _task(line: str) -> tuple[str, str] | None:
    """State and error of `<id> Pending 2 seconds ago "no suitable node"`; None for another line."""
    said, _, quoted = line.partition('"')
    task = _TASK.fullmatch(said)
    if task is None or task["state"] not in _STATES or "ago" not in task["since"] or '"' in quoted[:-1]:
        return None
    return task["state"], quoted.removesuffix('"') or task["since"].rpartition("ago")[2].strip()
