"""How a run begins: what `--hosts` names becomes a site, a run directory and a gatherer; workers join in."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from siteproof import facts, inventory
from siteproof.errors import BadInput
from siteproof.evidence import Blank, Store
from siteproof.facts import Case, Site
from siteproof.gather import Gatherer, LocalGatherer, RemoteGatherer, spawn
from siteproof.invariants import Invariant
from siteproof.inventory import Inventory
from siteproof.suite import Planned, Suite, merged, new_directory, new_nonce
from siteproof.transport.connection import Connection


def open_suite(config: pytest.Config) -> Suite:
    """The suite of the process that the operator started. Raises BadInput; then nothing was made and nothing asked."""
    root = config.rootpath
    source = inventory.resolve_source(config.option.hosts, root, config.getini("siteproof_inventory"), os.environ)
    if isinstance(source, str) and "://" in source:
        raise BadInput(f"--hosts={source}: facts live in an inventory, and a backend has none")
    limit, vault = config.option.limit, config.option.vault_password_file
    read = inventory.load(source, limit=limit, rootpath=root, vault_password_file=vault)
    site = facts.read_site(read)
    connections = connections_of(read)
    connects = not (config.option.collectonly or config.option.plan or config.option.register)
    started, nonce = datetime.now(UTC), new_nonce()
    if not connects:
        directory = root / "reports"
        return _suite(config, site, directory, nonce, Blank(), None, started)
    if site.lab is not None:
        _enter_lab(site.lab, root)
    else:
        _refuse_documentation(connections.values())
    directory = new_directory(Path(config.option.reports or root / "reports"), started)
    store = Store(directory / "evidence", secrets=read.secrets)
    gatherer: Gatherer
    if _has_workers(config):
        gatherer = spawn(connections, store, run_nonce=nonce, fanout=config.option.fanout, secrets=read.secrets)
    else:
        gatherer = LocalGatherer(connections, store, nonce, fanout=config.option.fanout)
    return _suite(config, site, directory, nonce, store, gatherer, started)


def _suite(
    config: pytest.Config, site: Site, directory: Path, nonce: str, store: Store, gatherer: Any, started: datetime
) -> Suite:
    return Suite(
        site=site,
        directory=directory,
        nonce=nonce,
        store=store,
        gatherer=gatherer,
        checks=config.rootpath / "tests_infra",
        started=started,
        gate=config.option.gate,
        remarks=[*site.inventory.notes],
    )


def connections_of(read: Inventory) -> dict[str, Connection]:
    """How each host is reached, after its variables. Raises BadInput naming the host and the variable."""
    identities = ("siteproof_hostname", "siteproof_machine_id")
    return {
        host.name: Connection.from_variables(
            host.name, dict(host.variables) | {n: host.facts[n].value for n in identities if n in host.facts}
        )
        for host in read.hosts.values()
        if host.name in read.selected
    }


# RFC 5737, RFC 2544, RFC 3849: nobody's hosts. RFC 2606: nobody's names.
_DOCUMENTATION = tuple(
    ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15", "2001:db8::/32")
)
_NOBODYS_NAMES = (".example", ".test", ".invalid")


def _refuse_documentation(connections: Iterable[Connection]) -> None:
    """An inventory that still has the template's addresses must not make anyone send packets to them."""
    for connection in connections:
        address = connection.address
        try:
            nobodys = any(ip_address(address) in network for network in _DOCUMENTATION)
        except ValueError:
            nobodys = address.endswith(_NOBODYS_NAMES)
        if nobodys:
            raise BadInput(
                f"{connection.name}: ansible_host is {address}, which documentation uses and nobody has; "
                "nothing was connected to"
            )


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


def from_controller(config: pytest.Config) -> Mapping[str, Any] | None:
    """What the controller told this worker; None in any other process."""
    told: Mapping[str, Any] | None = getattr(config, "workerinput", {}).get("siteproof")
    return told


def for_worker(suite: Suite, config: pytest.Config) -> dict[str, Any]:
    """Everything a worker needs; it goes through execnet's pipe, never to a file."""
    gatherer = suite.gatherer
    if gatherer is not None and not isinstance(gatherer, RemoteGatherer):
        raise TypeError("workers need a gatherer in a process of its own")
    return {
        "inventory": suite.site.inventory.to_json(),
        "directory": str(suite.directory),
        "nonce": suite.nonce,
        "started": suite.started.isoformat(),
        "checks": str(suite.checks),
        "gate": suite.gate,
        "socket": None if gatherer is None else str(gatherer.socket_path),
    }


def join(told: Mapping[str, Any]) -> Suite:
    """A worker's part of the controller's suite."""
    read = Inventory.from_json(told["inventory"])
    directory = Path(told["directory"])
    connects = told["socket"] is not None
    return Suite(
        site=facts.read_site(read),
        directory=directory,
        nonce=told["nonce"],
        store=Store(directory / "evidence", secrets=read.secrets) if connects else Blank(),
        gatherer=RemoteGatherer(Path(told["socket"])) if connects else None,
        checks=Path(told["checks"]),
        started=datetime.fromisoformat(told["started"]),
        gate=told["gate"],
    )


def tell(suite: Suite) -> dict[str, Any]:
    """What a worker knows that its reports do not carry."""
    return {
        "planned": {nodeid: [p.invariant.id, p.case.id, p.case.host] for nodeid, p in suite.planned.items()},
        "follows": {check: list(roots) for check, roots in suite.follows.items()},
        "tools": {host: sorted(tools) for host, tools in suite.tools.items()},
        "remarks": suite.remarks,
    }


def take_over(suite: Suite, told: Mapping[str, Any]) -> None:
    """The controller learns what a worker told. Every worker plans the same; the first to end says it for all."""
    for nodeid, (check, subject, host) in told["planned"].items():
        suite.planned.setdefault(nodeid, Planned(_named(check), Case(subject, host, {}), nodeid))
    suite.follows.update({check: tuple(roots) for check, roots in told["follows"].items()})
    suite.tools = merged([suite.tools, {host: set(tools) for host, tools in told["tools"].items()}])
    suite.remarks += [remark for remark in told["remarks"] if remark not in suite.remarks]


def _named(check: str) -> Invariant:
    """Enough of an invariant to say which one was planned."""
    return Invariant(check, "", "", "medium", "reads", "", "", False, (), ())


def deselected(config: pytest.Config, suite: Suite, planned: Planned) -> str | None:
    """Why a check on a subject is not part of this run; None if it is."""
    invariant, case = planned.invariant, planned.case
    if config.option.gate and not invariant.gate:
        return "not part of the gate"
    if invariant.probe_class == "changes" and not config.option.changes:
        return "it changes something on the host, which --changes allows"
    if invariant.probe_class in ("borrows", "changes") and config.option.read_only:
        return "--read-only"
    if case.host is not None and case.host not in suite.site.inventory.selected:
        return f"--limit leaves out {case.host}"
    return None
