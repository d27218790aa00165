"""Processes that share a run's checks, and what becomes of a check that ends the process that runs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from siteproof import facts
from siteproof.evidence.bundle import Replay
from siteproof.evidence.store import Blank, Store
from siteproof.gather import RemoteGatherer
from siteproof.inventory.inventory import Inventory
from siteproof.judging.ledger import Ledger
from siteproof.judging.plan import Plan
from siteproof.judging.selection import Selection
from siteproof.judging.suite import Suite
from siteproof.plugin.refusals import refuse_optimized
from siteproof.text import crossing
from siteproof.text.redaction import Redactor

_LONGEST = 4096


class Place:
    """A file in which a worker says which check it drives. When the worker has died, the controller reads it."""

    def __init__(self, directory: Path, worker: str) -> None:
        self._descriptor = os.open(path_of(directory, worker), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def at(self, nodeid: str) -> None:
        """Empty for none."""
        with suppress(OSError):  # where the disk is full, a check that kills is not known by name
            os.pwrite(self._descriptor, nodeid.encode("utf-8", "backslashreplace")[:_LONGEST] + b"\0", 0)


PLACE = pytest.StashKey[Place]()
"""A worker's alone."""


def drives(config: pytest.Config, nodeid: str) -> None:
    """Say which check this process drives now, empty for none, for whoever finds it dead."""
    if (place := config.stash.get(PLACE, None)) is not None:
        place.at(nodeid)


def path_of(directory: Path, worker: str) -> Path:
    return directory / f".worker-{worker}"


def died_at(directory: Path, worker: str) -> str:
    """The check that a worker drove when it died; empty if it drove none."""
    try:
        return path_of(directory, worker).read_bytes().partition(b"\0")[0].decode("utf-8", "replace")
    except OSError:
        return ""


def forget(directory: Path) -> None:
    """Nobody needs to know it after the run."""
    for path in directory.glob(".worker-*"):
        path.unlink(missing_ok=True)


def may_die(node: Any) -> None:
    """What is sent to a worker that has just died is lost; the controller hears of its death a moment later."""
    send = node.sendcommand

    def send_or_lose(name: str, **given: object) -> None:
        with suppress(OSError):
            send(name, **given)

    node.sendcommand = send_or_lose


def refuse_optimized_worker(gateway: Any) -> None:
    """Ask a worker's Python, before it runs anything of ours. Raises BadInput.

    One that does not answer is not refused here: a worker also looks itself when it joins.
    """
    channel = gateway.remote_exec("import sys; channel.send(sys.flags.optimize)")
    try:
        level = channel.receive(30)
        channel.waitclose(30)
    except Exception:  # noqa: BLE001 - whatever execnet has: then nothing is known of it
        return
    refuse_optimized(level, f"the Python of worker {gateway.id}")


def from_controller(config: pytest.Config) -> Mapping[str, Any] | None:
    """What the controller told this worker; None in any other process."""
    told: Mapping[str, Any] | None = getattr(config, "workerinput", {}).get("siteproof")
    return told


def for_worker(suite: Suite, worker: str) -> dict[str, Any]:
    """Everything a worker needs; it goes through execnet's pipe, never to a file."""
    gatherer = suite.gatherer
    if gatherer is not None and not isinstance(gatherer, RemoteGatherer):
        raise TypeError("workers need a gatherer in a process of its own")
    return {
        "worker": worker,
        "deadly": dict(suite.ledger.deadly),
        "inventory": suite.site.inventory.to_json(),
        "directory": str(suite.directory),
        "nonce": suite.nonce,
        "started": suite.started.isoformat(),
        "checks": str(suite.checks),
        "selection": asdict(suite.selection),
        "socket": None if gatherer is None else str(gatherer.socket_path),
        "replay": [str(path) for path in suite.store.directories] if isinstance(suite.store, Replay) else None,
    }


def join(config: pytest.Config, told: Mapping[str, Any]) -> Suite:
    """A worker's part of the controller's suite. Raises BadInput."""
    refuse_optimized(sys.flags.optimize, "the Python of a worker")
    read = Inventory.from_json(told["inventory"])
    directory = Path(told["directory"])
    store: Store
    if told["replay"] is not None:
        store = Replay([Path(path) for path in told["replay"]])
    elif told["socket"] is not None:
        store = Store(directory / "evidence", secrets=read.secrets)
    else:
        store = Blank()
    if store.directory != Path(os.devnull):
        config.stash[PLACE] = Place(directory, told["worker"])
    return Suite(
        site=facts.read_site(read),
        directory=directory,
        nonce=told["nonce"],
        store=store,
        gatherer=None if told["socket"] is None else RemoteGatherer(Path(told["socket"])),
        checks=Path(told["checks"]),
        started=datetime.fromisoformat(told["started"]),
        selection=Selection(**told["selection"]),
        redactor=Redactor(read.secrets),
        plan=Plan(whole=True),
        ledger=Ledger(deadly=told["deadly"]),
    )


def tell(suite: Suite) -> dict[str, Any]:
    """What a worker knows that its reports do not carry."""
    carried: dict[str, Any] = crossing.plain({"plan": suite.plan.to_json(), "ledger": suite.ledger.to_json()})
    return carried


def take_over(suite: Suite, told: Mapping[str, Any]) -> None:
    """The controller learns what a worker told."""
    suite.plan.take_over(told["plan"])
    suite.ledger.take_over(told["ledger"])
