"""A swarm: as one manager knows it, and an overlay as one node does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from siteproof.asks.words import Address
from siteproof.errors import NoControl, Unparseable

OWN = "siteproof_"
"""What the names of our own canaries begin with."""
OWN_LABEL = "siteproof.until"

# The order of the states of a task, as swarmkit numbers them.
STATES = (
    "new", "pending", "assigned", "accepted", "preparing", "ready", "starting", "running",
    "complete", "shutdown", "failed", "rejected", "remove", "orphaned",
)  # fmt: skip
RUNNING = STATES.index("running")
COMPLETE = "complete"
NODE_STATES = ("unknown", "down", "ready", "disconnected")
AVAILABILITIES = ("active", "pause", "drain")


@dataclass(frozen=True, slots=True)
class SwarmNode:
    """A node as its manager knows it."""

    id: str
    hostname: str
    state: str
    """One of NODE_STATES."""
    availability: str
    """One of AVAILABILITIES."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the swarm."""

    id: str
    name: str
    stack: str
    """Empty if no stack brought it."""
    addresses: tuple[tuple[str, Address], ...]
    """Network id and virtual address; none for a service that answers with its tasks' addresses."""
    running: int
    wanted: int
    update: str
    """`updating`, `rollback_started`, `paused`, …; empty if it was never updated."""
    job: bool = False
    """Its tasks are to end: docker goes on to want as many as may run at once, also after the last has ended."""
    ended: int = 0
    """Slots whose last task has ended and is not to be followed by another, as with `--restart-condition none`."""

    @property
    def missing(self) -> int:
        """Tasks that are meant to run now, and do not."""
        return 0 if self.job else max(0, self.wanted - self.running - self.ended)


@dataclass(frozen=True, slots=True)
class Task:
    """One slot of a service at work."""

    id: str
    service: str
    node: str
    """Empty until it is scheduled."""
    state: str
    """One of STATES, as is `desired`."""
    desired: str
    created: float
    addresses: tuple[tuple[str, Address], ...]
    """Network id and address."""
    error: str

    def addresses_on(self, network: str) -> tuple[IPv4Address, ...]:
        """Its IPv4 addresses on the network of that id."""
        return tuple(a for id, a in self.addresses if id == network and isinstance(a, IPv4Address))

    @property
    def wanted(self) -> bool:
        """It is to run, or as a job's to run to its end."""
        return STATES.index(self.desired) <= RUNNING or self.desired == COMPLETE

    @property
    def holds_addresses(self) -> bool:
        """The allocator lets go of a task once it has ended and nobody wants it to run."""
        return STATES.index(self.state) <= RUNNING or STATES.index(self.desired) <= RUNNING

    @property
    def waits_for_the_allocator(self) -> bool:
        """Wanted, and not even scheduled: the next thing it needs is an address."""
        return self.state == "new" and self.wanted and not (self.node or self.addresses)


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
class Unread:
    """One item of a list that is not as docker writes it."""

    kind: str
    """The list: `nodes`, `services`, `tasks`, `networks`."""
    name: str
    """Empty where it has none, or it could not be read."""
    text: str
    """All of it, as JSON."""
    why: str


@dataclass(frozen=True, slots=True)
class SwarmState:
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
    unread: tuple[Unread, ...] = ()
    """What is in none of these, since it could not be read."""

    def sure(self, *kinds: str, of: str = "") -> None:
        """Raises Unparseable where an item of these lists could not be read; with `of`, one that speaks of this id."""
        for item in self.unread:
            if item.kind in kinds and of in item.text:
                raise Unparseable(item.why)

    def overlay(self, name: str) -> Network:
        """The overlay of that name. Raises NoControl unless there is exactly one to speak of."""
        for item in self.unread:
            if item.kind == "networks" and item.name in ("", name):
                raise Unparseable(item.why)
        found = [n for n in self.networks if n.of_swarm and n.driver == "overlay" and n.name == name]
        if len(found) != 1:
            raise NoControl(f"the swarm has {len(found)} overlays of the name {name}, so there is no one to speak of")
        return found[0]

    def service_name(self, task: Task) -> str:
        """The name of a task's service, or its id where the service is gone."""
        return next((s.name for s in self.services if s.id == task.service), f"removed service {task.service[:12]}")


@dataclass(frozen=True, slots=True)
class NetworkEndpoint:
    """What one node has on a network: a container, or its load balancer."""

    name: str
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node's view of an overlay."""

    node: str
    """The node's own id in the swarm."""
    network: str
    """The overlay's id; empty where nothing of this node is on it, so that the node does not know it."""
    endpoints: tuple[NetworkEndpoint, ...]
    available: Mapping[IPv4Network, int] | None
    """Addresses that the allocator still has, by subnet; None before Docker 29, and of a worker, who does not know."""
