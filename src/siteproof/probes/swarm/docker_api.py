"""curl on dockerd's own socket: what the swarm says of itself, as one manager or one node tells it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from siteproof.asks import NETWORK_ID, NETWORK_NAME, NUMBER, SWARM_ID, Ask, Output, command
from siteproof.errors import NoControl, ToolFailed, Unparseable
from siteproof.probes.common.sections import END, Sections, from_json, section, split

SOCKET = "/var/run/docker.sock"
OWN = "siteproof_"
OWN_LABEL = "siteproof.until"
STACK = "com.docker.stack.namespace"

# The order of the states of a task, as swarmkit numbers them.
STATES = (
    "new", "pending", "assigned", "accepted", "preparing", "ready", "starting", "running",
    "complete", "shutdown", "failed", "rejected", "remove", "orphaned",
)  # fmt: skip
RUNNING = STATES.index("running")
NODE_STATES = ("unknown", "down", "ready", "disconnected")
AVAILABILITIES = ("active", "pause", "drain")
SCOPES = ("swarm", "local", "global")


@dataclass(frozen=True, slots=True)
class SwarmNode:
    """A node as its manager knows it."""

    id: str
    hostname: str
    state: str
    """One of NODE_STATES."""
    availability: str


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the swarm."""

    id: str
    name: str
    stack: str
    """Empty if no stack brought it."""
    addresses: tuple[tuple[str, IPv4Address], ...]
    """Network id and virtual address; none for a service that answers with its tasks' addresses."""
    running: int
    wanted: int
    update: str
    """`updating`, `rollback_started`, `paused`, …; empty if it was never updated."""


@dataclass(frozen=True, slots=True)
class Task:
    """One slot of a service at work."""

    id: str
    service: str
    node: str
    """Empty until it is scheduled."""
    state: str
    desired: str
    created: float
    addresses: tuple[tuple[str, IPv4Address], ...]
    """Network id and address."""
    error: str

    def addresses_on(self, network: str) -> tuple[IPv4Address, ...]:
        """Its addresses on the network of that id."""
        return tuple(address for id, address in self.addresses if id == network)

    @property
    def holds_addresses(self) -> bool:
        """The allocator lets go of a task once it has ended and nobody wants it to run."""
        return STATES.index(self.state) <= RUNNING or STATES.index(self.desired) <= RUNNING

    @property
    def waits_for_the_allocator(self) -> bool:
        """Wanted, and not even scheduled: the next thing it needs is an address."""
        return self.state == "new" and STATES.index(self.desired) <= RUNNING and not (self.node or self.addresses)


@dataclass(frozen=True, slots=True)
class Network:
    """A network that a manager knows: an overlay of the swarm, or one of its own host."""

    id: str
    name: str
    driver: str
    subnets: tuple[IPv4Network, ...]
    stack: str
    created: float
    of_swarm: bool


@dataclass(frozen=True, slots=True)
class Swarm:
    """One manager's view, at one moment."""

    node: str
    """The manager's own id in the swarm."""
    at: float
    """Seconds since the epoch by the manager's clock, as are all moments in here."""
    pool: tuple[IPv4Network, ...]
    """Where overlays without a subnet of their own get one."""
    nodes: tuple[SwarmNode, ...]
    services: tuple[Service, ...]
    tasks: tuple[Task, ...]
    networks: tuple[Network, ...]

    def overlay(self, name: str) -> Network:
        """The overlay of that name. Raises NoControl unless there is exactly one to speak of."""
        found = [n for n in self.networks if n.of_swarm and n.driver == "overlay" and n.name == name]
        if len(found) != 1:
            raise NoControl(f"the swarm has {len(found)} overlays of the name {name}, so there is no one to speak of")
        return found[0]

    def service_name(self, task: Task) -> str:
        """The name of a task's service, or its id where the service is gone."""
        return next((s.name for s in self.services if s.id == task.service), f"removed service {task.service[:12]}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What one node has on a network: a container, or its load balancer."""

    name: str
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class View:
    """One node's view of an overlay."""

    node: str
    """The node's own id in the swarm."""
    network: str
    """The overlay's id; empty where nothing of this node is on it, so that the node does not know it."""
    endpoints: tuple[Endpoint, ...]
    available: Mapping[IPv4Network, int] | None
    """Addresses that the allocator still has, by subnet; None before Docker 29, and on a worker."""


def _ask(paths: Mapping[str, str], when: str = "") -> str:
    """Script lines that print one document of the API a section; written out, so that sudo can allow just these."""
    curl = f'$ROOT curl -q -sS --max-time "$DEADLINE" --unix-socket {SOCKET}'
    return "".join(
        f"{section(when + name)}\n{curl} {shlex.quote(f'http://docker{path}')} || exit\n"
        for name, path in paths.items()
    )


_PATHS = {name: f"/{name}" for name in ("info", "nodes", "tasks", "networks")} | {"services": "/services?status=true"}
_STATE = f"{_ask(_PATHS)}{END}"
_STATES = {False: _STATE, True: f': "look $look"\n{_STATE}'}
"""By whether it is a later look."""
_MOMENTS = f'{_ask(_PATHS, "first-")}sleep "$apart_s" || exit\n{_ask(_PATHS, "second-")}{END}'
_NETWORKS = f"{_ask({'info': '/info', 'networks': '/networks'})}{END}"
_VIEW = f"""\
{_ask({"info": "/info"})}{section("network")}
$ROOT curl -q -sS --max-time "$DEADLINE" --unix-socket {SOCKET} "http://docker/networks/$overlay" || exit
{END}"""


def swarm_moments(manager: str, *, apart_s: int) -> Ask[tuple[Swarm, Swarm]]:
    """The same twice, so many seconds apart: whether anything moves shows only in time."""
    return command(
        manager,
        _MOMENTS,
        given={"apart_s": NUMBER(apart_s)},
        probe=f"docker API: nodes, services, tasks, networks, twice within {apart_s} s",
        parse=parse_moments,
        tools=("curl", "sleep"),
        root=True,
        deadline_s=10 + apart_s,
        slow=True,
    )


def swarm_state(manager: str, *, look: int = 1) -> Ask[Swarm]:
    """Nodes, services, tasks and networks. The answer of a host that is no manager is NoControl.

    `look` tells a later look of the same run from the first one, whose answer would be given again.
    """
    return command(
        manager,
        _STATES[look > 1],
        given={"look": NUMBER(look)} if look > 1 else {},
        probe="docker API: nodes, services, tasks, networks",
        parse=parse_swarm,
        tools=("curl",),
        root=True,
        deadline_s=10,
    )


def overlay_view(node: str, overlay: str) -> Ask[View]:
    """What `node` has on the overlay of this name."""
    return command(
        node,
        _VIEW,
        given={"overlay": NETWORK_NAME(overlay)},
        probe=f"docker API: network {overlay}",
        parse=lambda output: parse_view(output, overlay),
        tools=("curl",),
        root=True,
        deadline_s=10,
    )


def local_networks(node: str) -> Ask[tuple[Network, ...]]:
    """All networks that `node` knows: the swarm's and its own bridges."""
    return command(
        node,
        _NETWORKS,
        probe="docker API: networks",
        parse=parse_networks,
        tools=("curl",),
        root=True,
        deadline_s=10,
    )


def parse_swarm(output: Output) -> Swarm:
    """Five documents of the API. Raises NoControl where the host is no manager."""
    return _swarm(split(output.text, *_PATHS))


def parse_moments(output: Output) -> tuple[Swarm, Swarm]:
    """Ten documents. Raises Unparseable where time did not pass in between."""
    sections = split(output.text, *(f"{when}-{name}" for when in ("first", "second") for name in _PATHS))
    first, second = (
        _swarm(Sections((n.removeprefix(prefix), text) for n, text in sections.items() if n.startswith(prefix)))
        for prefix in ("first-", "second-")
    )
    if second.at <= first.at:
        raise Unparseable("the second look at the swarm was not after the first")
    return first, second


def _swarm(sections: Sections) -> Swarm:
    info, swarm = _info(sections)
    if swarm.get("ControlAvailable") is not True:
        raise NoControl("not a swarm manager, so it cannot know the swarm")
    nodes = tuple(_node(n) for n in _array(sections, "nodes"))
    if swarm["NodeID"] not in {n.id for n in nodes}:
        raise NoControl("the list of nodes lacks the manager that gave it")
    networks = tuple(_network(n) for n in _array(sections, "networks"))
    if "none" not in {n.name for n in networks}:
        raise NoControl("the list of networks lacks `none`, which every dockerd has")
    # A canary of ours that is there for these seconds is none of the site's, nor what is left of it for a moment.
    known = [_service(s) for s in _array(sections, "services")]
    own = {s.id for s in known if s.name.startswith(OWN)}
    services = [s for s in known if s.id not in own]
    tasks = [_task(t) for t in _array(sections, "tasks") if t.get("ServiceID") not in own and not _is_own(t)]
    if missing := {t.service for t in tasks if t.desired == "running"} - {s.id for s in services}:
        raise Unparseable(f"the list of services lacks {sorted(missing)}, which have tasks that shall run")
    if (running := sum(s.running for s in services)) > len(tasks):
        raise Unparseable(f"{running} tasks are said to run, and {len(tasks)} are listed")
    return Swarm(
        node=_id(swarm["NodeID"]),
        at=_moment(info["SystemTime"]),
        pool=tuple(IPv4Network(p) for p in swarm["Cluster"]["DefaultAddrPool"] or () if ":" not in p),
        nodes=nodes,
        services=tuple(services),
        tasks=tuple(tasks),
        networks=networks,
    )


def parse_view(output: Output, overlay: str) -> View:
    """`{"message": "network proxy not found"}` is an answer, beside an `info` that shows an active node."""
    sections = split(output.text, "info", "network")
    _, swarm = _info(sections)
    found = _document(sections, "network")
    if found == {"message": f"network {overlay} not found"}:
        return View(_id(swarm["NodeID"]), "", (), None)
    if not isinstance(found, dict) or found.get("Name") != overlay or "Containers" not in found:
        raise _no_answer("network", found)
    # Before an endpoint is set up it has no address yet; a canary of ours is none of the site's.
    containers = [c for c in (found["Containers"] or {}).values() if c["IPv4Address"] and not c["Name"].startswith(OWN)]
    endpoints = [Endpoint(c["Name"], _address(c["IPv4Address"])) for c in containers]
    counts = found["Status"]["IPAM"]["Subnets"] if "Status" in found else None
    if counts is not None:
        counts = {IPv4Network(s): _count(c["DynamicIPsAvailable"]) for s, c in counts.items() if ":" not in s}
    return View(
        node=_id(swarm["NodeID"]),
        network=_id(found["Id"]),
        endpoints=tuple(sorted(endpoints, key=lambda e: e.name)),
        available=counts,
    )


def parse_networks(output: Output) -> tuple[Network, ...]:
    """Every dockerd has a network `none`; a list without it is not its own."""
    sections = split(output.text, "info", "networks")
    _info(sections)
    networks = tuple(_network(n) for n in _array(sections, "networks"))
    if "none" not in {n.name for n in networks}:
        raise NoControl("the list of networks lacks `none`, which every dockerd has")
    return networks


def _info(sections: Sections) -> tuple[dict[str, Any], dict[str, Any]]:
    info = _document(sections, "info")
    if not isinstance(info, dict) or not isinstance(swarm := info.get("Swarm"), dict):
        raise _no_answer("info", info)
    if swarm.get("LocalNodeState") != "active" or not swarm.get("NodeID"):
        raise NoControl(f"not an active node of a swarm (state {swarm.get('LocalNodeState')!r}), so it cannot know")
    return info, swarm


def _node(found: Any) -> SwarmNode:
    return SwarmNode(
        id=_id(found["ID"]),
        hostname=_text(found["Description"]["Hostname"]),
        state=_one_of(NODE_STATES, found["Status"]["State"]),
        availability=_one_of(AVAILABILITIES, found["Spec"]["Availability"]),
    )


def _service(found: Any) -> Service:
    status = found["ServiceStatus"]
    endpoint = _object(found["Endpoint"], "Spec", "Ports", "VirtualIPs")
    addresses = [_object(a, "NetworkID", "Addr") for a in _list(endpoint, "VirtualIPs")]
    return Service(
        id=_id(found["ID"]),
        name=_text(found["Spec"]["Name"]),
        stack=(found["Spec"].get("Labels") or {}).get(STACK, ""),
        addresses=tuple((_id(a["NetworkID"]), _address(a["Addr"])) for a in addresses if "Addr" in a),
        running=_count(status["RunningTasks"]),
        wanted=_count(status["DesiredTasks"]),
        update=(found.get("UpdateStatus") or {}).get("State", ""),
    )


def _is_own(task: Any) -> bool:
    return OWN_LABEL in ((task["Spec"].get("ContainerSpec") or {}).get("Labels") or {})


def _task(found: Any) -> Task:
    attachments = [_object(a, "Network", "Addresses") for a in _list(found, "NetworksAttachments")]
    attached = [(_id(a["Network"]["ID"]), _list(a, "Addresses")) for a in attachments]
    state, node = _one_of(STATES, found["Status"]["State"]), _id(found.get("NodeID", ""), empty=True)
    if state == "running" and (not node or (found["Spec"].get("Networks") and not attached)):
        raise Unparseable(f"the task {found['ID']} runs, and the list does not say where or on which networks")
    return Task(
        id=_id(found["ID"]),
        service=_id(found.get("ServiceID", ""), empty=True),
        node=node,
        state=state,
        desired=_one_of(STATES, found["DesiredState"]),
        created=_moment(found["CreatedAt"]),
        addresses=tuple((network, _address(a)) for network, addresses in attached for a in addresses),
        error=_text(found["Status"].get("Err", ""), empty=True),
    )


def _network(found: Any) -> Network:
    subnets = [_text(c["Subnet"]) for c in found["IPAM"]["Config"] or ()]
    if found["Driver"] in ("overlay", "bridge") and not subnets:
        raise Unparseable(f"the network {found['Name']} has a driver that gives addresses, and no subnet")
    of_swarm = _one_of(SCOPES, found["Scope"]) == "swarm"
    return Network(
        # Other hosts are asked about it by its id.
        id=(SWARM_ID if of_swarm else NETWORK_ID)(_text(found["Id"])).text,
        name=_text(found["Name"]),
        driver=_text(found["Driver"], empty=found["Scope"] == "swarm"),
        subnets=tuple(IPv4Network(subnet) for subnet in subnets if ":" not in subnet),
        stack=(found.get("Labels") or {}).get(STACK, ""),
        created=_moment(found["Created"]),
        of_swarm=of_swarm,
    )


def _text(value: Any, *, empty: bool = False) -> str:
    if not isinstance(value, str) or (not value and not empty):
        raise Unparseable(f"dockerd's API gives {value!r} for a name")
    return value


def _id(value: Any, *, empty: bool = False) -> str:
    """An id as swarmkit makes them, or Unparseable."""
    return "" if empty and value == "" else SWARM_ID(_text(value)).text


def _list(found: Any, key: str) -> list[Any]:
    """docker leaves out what is empty."""
    if not isinstance(value := found.get(key, []), list):
        raise Unparseable(f"dockerd's API gives {value!r} for a list")
    return value


def _object(value: Any, *keys: str) -> dict[str, Any]:
    """A small object that has no keys but these: what may be left out is not to be taken for gone."""
    if not isinstance(value, dict) or set(value) - set(keys):
        raise Unparseable(f"dockerd's API gives {str(value)[:200]} where it gives {', '.join(keys)}")
    return value


def _one_of(known: tuple[str, ...], value: Any) -> str:
    if value not in known:
        raise Unparseable(f"dockerd's API gives {value!r}, which is none of {', '.join(known)}")
    return str(value)


def _count(value: Any) -> int:
    if type(value) is not int:
        raise Unparseable(f"dockerd's API gives {value!r} for a number")
    return value


def _address(text: str) -> IPv4Address:
    return IPv4Interface(text).ip


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _array(sections: Sections, name: str) -> list[Any]:
    found = _document(sections, name)
    if not isinstance(found, list):
        raise _no_answer(name, found)
    return found


def _document(sections: Sections, name: str) -> Any:
    return from_json(sections[name], f"dockerd's API, asked for {name},")


def _no_answer(name: str, found: Any) -> ToolFailed | Unparseable:
    if isinstance(found, dict) and set(found) == {"message"}:
        return ToolFailed(f"dockerd's API refused {name}: {found['message']}")
    return Unparseable(f"not what dockerd's API gives for {name}: {str(found)[:200]}")
