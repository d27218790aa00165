"""How a run begins: what `--hosts` names becomes a site, a run directory and a gatherer."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import pytest

from siteproof import facts
from siteproof.errors import BadInput
from siteproof.evidence import known_machines
from siteproof.evidence.bundle import Replay, RunRecord, new_directory, write_record
from siteproof.evidence.known_machines import Known
from siteproof.evidence.store import Blank, Store
from siteproof.facts import Site
from siteproof.gather import Gatherer, spawn
from siteproof.gather.base import new_nonce
from siteproof.gather.connections import connections_of
from siteproof.inventory import inventory
from siteproof.inventory.inventory import Inventory
from siteproof.judging.ledger import Ledger
from siteproof.judging.missing_hosts import lost
from siteproof.judging.plan import Plan
from siteproof.judging.selection import Selection, shard
from siteproof.judging.suite import Suite
from siteproof.plugin.guard import without
from siteproof.plugin.options import CHECKS, only_looks
from siteproof.plugin.refusals import (
    LONGEST_BUDGET_S,
    MOST_HOSTS_AT_ONCE,
    number,
    refuse_leaks,
    refuse_options,
    refuse_without_parts,
)
from siteproof.results import iso
from siteproof.text.redaction import Redactor
from siteproof.transport.connection import Connection
from siteproof.transport.documentation_addresses import is_documentation


def open_suite(config: pytest.Config) -> Suite:
    """The suite of the process that the operator started. Raises BadInput; then nothing was made and nothing asked."""
    root = config.rootpath
    refuse_options(config.option)
    refuse_without_parts(config.pluginmanager)
    fanout = number(config.option.fanout, "--fanout", at_most=MOST_HOSTS_AT_ONCE)
    budget = number(config.option.budget, "--budget", at_most=LONGEST_BUDGET_S)
    source = inventory.resolve_source(config.option.hosts, root, config.getini("siteproof_inventory"), os.environ)
    if isinstance(source, str) and "://" in source:
        raise BadInput(f"--hosts={source}: facts live in an inventory, and a backend has none")
    limit, vault = config.option.limit, config.option.vault_password_file
    read = inventory.load(source, limit=limit, rootpath=root, vault_password_file=vault, waits=_say)
    with without(read.secrets):
        if read.secrets:
            refuse_leaks(config)
        return _open(config, shard(read, config.option.shard), fanout, budget)


def _open(config: pytest.Config, read: Inventory, fanout: int, budget: int) -> Suite:
    root = config.rootpath
    site = facts.read_site(read)
    connections = connections_of(read, site.wanted)
    started, nonce = datetime.now(UTC), new_nonce()
    if only_looks(config):
        directory = root / "reports"
        return _suite(config, site, directory, nonce, Blank(), None, started)
    reports = Path(config.option.reports or root / "reports")
    if config.option.replay:
        replay = Replay([Path(named) for named in config.option.replay])
        site = replace(site, today=replay.started.date())
        return _suite(config, site, new_directory(reports, started), nonce, replay, None, replay.started)
    if site.lab is not None:
        _enter_lab(site.lab, root)
    else:
        _refuse_documentation(connections.values())
    _refuse_missing_tools(connections.values())
    directory = new_directory(reports, started)
    try:
        store = Store(directory / "evidence", secrets=read.secrets)
        gatherer: Gatherer
        consent = selection(config, read, store).consent
        if _has_workers(config):
            gatherer = spawn(
                connections,
                store,
                run_nonce=nonce,
                consent=consent,
                fanout=fanout,
                budget_s=budget,
                secrets=read.secrets,
            )
        else:
            from siteproof.gather import LocalGatherer

            gatherer = LocalGatherer(connections, store, nonce, consent=consent, fanout=fanout, budget_s=budget)
        suite = _suite(config, site, directory, nonce, store, gatherer, started, latest=reports / "latest")
        write_record(directory, record_of(suite, None), suite.redactor)
    except BaseException as error:
        shutil.rmtree(directory, ignore_errors=True)
        if isinstance(error, OSError):
            raise BadInput(f"{directory}: no run can be kept there: {error.strerror or error}") from None
        raise
    return suite


def never_mind(suite: Suite) -> None:
    """Leave nothing behind of a run that was refused before it asked anybody."""
    if suite.gatherer is not None:
        suite.gatherer.close()
    if isinstance(suite.store, Replay) or (type(suite.store) is Store and not suite.store.hosts):
        shutil.rmtree(suite.directory, ignore_errors=True)


def _say(sentence: str) -> None:
    """Before there is anything that writes the run's own lines."""
    print(sentence, file=sys.stderr, flush=True)


def _suite(
    config: pytest.Config,
    site: Site,
    directory: Path,
    nonce: str,
    store: Store,
    gatherer: Gatherer | None,
    started: datetime,
    *,
    latest: Path | None = None,
) -> Suite:
    """`latest` is the run before this one, for a run that asks hosts. Only such a one can be whole."""
    chosen = selection(config, site.inventory, store)
    redactor = Redactor(site.inventory.secrets)
    before = latest if chosen.every_host else None  # a run of a part is no match for it
    return Suite(
        site=site,
        directory=directory,
        nonce=nonce,
        store=store,
        gatherer=gatherer,
        checks=config.rootpath / CHECKS,
        started=started,
        selection=chosen,
        redactor=redactor,
        plan=Plan(whole=before is not None and _is_whole(config)),
        ledger=Ledger(remarks=[*site.inventory.notes, *(store.remarks() if isinstance(store, Replay) else ())]),
        lost=tuple(lost(before, site.inventory, redactor)) if before is not None else (),
        known_machines=known_before(site, store, directory),
    )


def known_before(site: Site, store: Store, directory: Path) -> Mapping[str, Known]:
    """What the hosts were in earlier runs, where that says anything. Raises BadInput."""
    if site.lab is not None or isinstance(store, Replay | Blank):
        return {}
    return known_machines.read(directory.parent, site.inventory.source)


def _is_whole(config: pytest.Config) -> bool:
    """Whether the operator asked for everything: no expression, no file, no subset of the checks."""
    given = config.option
    parts = "keyword markexpr gate read_only maxfail deselect ignore ignore_glob lf stepwise"
    some = any(getattr(given, name, None) for name in parts.split())
    return not some and all((config.invocation_params.dir / arg).is_dir() for arg in config.args)


def selection(config: pytest.Config, read: Inventory, store: Store) -> Selection:
    """What the options leave of the plan. What a bundle was never meant to hold is not missed in it."""
    given = config.option
    every_host = read.selected >= read.hosts.keys()
    if not isinstance(store, Replay):
        return Selection(given.gate, given.read_only, given.changes, read.selected, every_host)
    return Selection(
        gate=given.gate or store.all_had("gate"),
        read_only=given.read_only or store.all_had("read_only"),
        changes=given.changes or store.all_had("changes"),
        hosts=read.selected,
        every_host=every_host,
        unasked=read.selected - store.hosts_asked,
    )


def record_of(suite: Suite, finished: datetime | None) -> RunRecord:
    """What run.json says."""
    read, chosen = suite.site.inventory, suite.selection
    return RunRecord(
        started=iso(suite.started),
        finished=None if finished is None else iso(finished),
        nonce=suite.nonce,
        inventory=read.source,
        hosts=tuple(read.hosts),
        selected=tuple(sorted(read.selected)),
        options={"gate": chosen.gate, "read_only": chosen.read_only, "changes": chosen.changes},
        versions={
            "siteproof": metadata.version("siteproof"),
            "python": platform.python_version(),
            "pytest": pytest.__version__,
        },
        planned=tuple(planned.name for _, planned in sorted(suite.plan.planned.items())),
    )


def _refuse_documentation(connections: Iterable[Connection]) -> None:
    """An inventory that still has the template's addresses must not make anyone send packets to them."""
    for connection in connections:
        if connection.backend is None and is_documentation(connection.address):
            raise BadInput(
                f"{connection.name}: ansible_host is {connection.address}, which documentation uses and nobody has; "
                "nothing was connected to"
            )


def _refuse_missing_tools(connections: Iterable[Connection]) -> None:
    for connection in connections:
        if connection.backend is not None:
            connection.backend.refuse_missing_tool()


def _enter_lab(name: str, root: Path) -> None:
    """Join the lab's operator, whose network is the only one from which lab addresses may be sent to."""
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    api = importlib.import_module("lab.api")
    if api.state(name) is None:
        raise BadInput(f"the inventory is that of the lab `{name}`, which is not up: python -m lab up --name {name}")
    try:
        api.enter_operator(name)
    except api.LabError as error:
        raise BadInput(str(error)) from None


def _has_workers(config: pytest.Config) -> bool:
    return bool(getattr(config.option, "tx", None)) and getattr(config.option, "dist", "no") != "no"
