"""Processes that share a run's checks under xdist: what the controller does for them, and what a worker does.

A check that ends the process that runs it is unknown, and nobody runs it again.
"""

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
from siteproof.errors import BadInput
from siteproof.evidence.bundle import Replay
from siteproof.evidence.store import Blank, Store
from siteproof.gather import RemoteGatherer
from siteproof.inventory.inventory import Inventory
from siteproof.judging.ledger import Ledger
from siteproof.judging.plan import Plan
from siteproof.judging.selection import Selection
from siteproof.judging.suite import Suite
from siteproof.plugin import opening, place
from siteproof.plugin.refusals import refuse_optimized
from siteproof.text import crossing
from siteproof.text.redaction import Redactor

# The controller


def admit(node: Any, suite: Suite) -> None:
    """Controller: tell a worker which run it belongs to."""
    try:
        _refuse_optimized_worker(node.gateway)
    except BadInput as error:
        opening.never_mind(suite)
        raise pytest.UsageError(str(error)) from None
    _may_die(node)
    node.workerinput["siteproof"] = _for_worker(suite, node.gateway.id)


def ended(node: Any, error: object, suite: Suite) -> None:
    """Controller: take over the plan of a worker and what it noticed, or what it died of."""
    if (told := getattr(node, "workeroutput", {}).get("siteproof")) is not None:
        _take_over(suite, told)
    elif error and (nodeid := place.died_at(suite.directory, node.gateway.id)):
        suite.ledger.kills(nodeid, "the process that judged this died of it")


def crashed(nodeid: str, report: Any, sched: Any, suite: Suite) -> None:
    """Controller: the check that a dead worker had before it. The other workers take over what came after it."""
    report.when = "setup"
    begun = place.died_at(suite.directory, report.node.gateway.id) == nodeid
    if nodeid in suite.ledger.results or (not begun and _judged_by_another(nodeid, sched)):
        report.outcome, report.longrepr = "passed", None
        return
    why = f"the process that was to judge this died ({report.longrepr})"
    suite.ledger.kills(nodeid, why)
    report.longrepr = f"unknown: {why}"


def _for_worker(suite: Suite, worker: str) -> dict[str, Any]:
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


def _take_over(suite: Suite, told: Mapping[str, Any]) -> None:
    """The controller learns what a worker told."""
    suite.plan.take_over(told["plan"])
    suite.ledger.take_over(told["ledger"])


def _may_die(node: Any) -> None:
    """What is sent to a worker that has just died is lost; the controller hears of its death a moment later."""
    send = node.sendcommand

    def send_or_lose(name: str, **given: object) -> None:
        with suppress(OSError):
            send(name, **given)

    node.sendcommand = send_or_lose


def _refuse_optimized_worker(gateway: Any) -> None:
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


def _judged_by_another(nodeid: str, sched: Any) -> bool:
    try:
        sched.mark_test_pending(nodeid)
    except NotImplementedError:  # of some ways to share checks out
        return False
    return True


# A worker


def from_controller(config: pytest.Config) -> Mapping[str, Any] | None:
    """What the controller told this worker; None in any other process."""
    told: Mapping[str, Any] | None = getattr(config, "workerinput", {}).get("siteproof")
    return told


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
        config.stash[place.PLACE] = place.Place(directory, told["worker"])
    site = facts.read_site(read)
    return Suite(
        site=site,
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
        known_machines=opening.known_before(site, store, directory),
    )


def tell(suite: Suite) -> dict[str, Any]:
    """What a worker knows that its reports do not carry."""
    carried: dict[str, Any] = crossing.plain({"plan": suite.plan.to_json(), "ledger": suite.ledger.to_json()})
    return carried
