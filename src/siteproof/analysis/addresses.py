"""How many addresses an overlay has, who holds them, and how many are lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from siteproof.analysis.projection import Sample
from siteproof.asks import Ask, Combined, Host
from siteproof.asks.words import Address
from siteproof.probes.swarm.docker_api import overlay_view, swarm_state
from siteproof.probes.swarm.dockerd import Daemon, daemon
from siteproof.probes.swarm.model import Network, NodeView, SwarmState

NEVER_HANDED_OUT = 3
"""Network address, broadcast address, gateway."""


def capacity(subnet: IPv4Network) -> int:
    """How many addresses of `subnet` can be handed out."""
    return max(0, subnet.num_addresses - NEVER_HANDED_OUT)


@dataclass(frozen=True)
class Holder:
    """Who holds an address. One holder is seen from several places: a task by the manager and on its node."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Use:
    """The addresses of one overlay, as far as they can be seen."""

    capacity: int
    holders: dict[IPv4Address, frozenset[Holder]]
    available: int | None
    """What the allocator itself says it still has (Docker 29)."""

    @property
    def visible(self) -> int:
        """Addresses that somebody can be seen to hold."""
        return len(self.holders)

    @property
    def free(self) -> int:
        """Addresses left; without the allocator's own count at most so many, since lost ones cannot be seen."""
        return self.capacity - self.visible if self.available is None else self.available

    @property
    def lost(self) -> int | None:
        """Addresses that are neither held nor left; None where the allocator does not say."""
        return None if self.available is None else self.capacity - self.visible - self.available

    @property
    def hides_lost(self) -> bool:
        """The allocator does not say what it still has (before Docker 29)."""
        return self.available is None

    @property
    def free_ratio(self) -> float:
        return self.free / self.capacity if self.capacity else 0.0

    @property
    def duplicates(self) -> dict[IPv4Address, frozenset[Holder]]:
        """Addresses that two hold, which the allocator's own bookkeeping cannot show."""
        return {address: holders for address, holders in self.holders.items() if len(holders) > 1}


@dataclass(frozen=True)
class Fill:
    """How full an overlay is at one moment, and under which dockerd."""

    network: str
    at: float
    daemon: Daemon
    use: Use
    swarm: SwarmState
    """What the manager said, for a witness."""

    @property
    def sample(self) -> Sample:
        used = self.use.capacity - self.use.free
        return Sample(self.at, used, self.daemon.life, exact=self.use.available is not None)


def overlay_fill(manager: Host, members: Iterable[str], overlay: str) -> Ask[Fill]:
    """Everything that counts the addresses of an overlay, in one round."""

    def combine(swarm: SwarmState, alive: Daemon, *views: NodeView) -> Fill:
        network = swarm.overlay(overlay)
        return Fill(network.id, swarm.at, alive, use(swarm, network, views), swarm)

    return Combined((swarm_state(manager), daemon(manager), *(overlay_view(m, overlay) for m in members)), combine)


def use(swarm: SwarmState, overlay: Network, views: Iterable[NodeView]) -> Use:
    """Count `overlay` as a manager and the nodes that were asked see it.

    A virtual address per service, an address per task until it ends, one for the load balancer of each node with a
    task, one per container that was attached by hand. The last two are seen on their own node only.

    IPv6 is not counted. Raises Unparseable where what could not be read may hold one of these addresses.
    """
    swarm.sure("services", "tasks", of=overlay.id)
    seen = list(views)
    holders: dict[IPv4Address, set[Holder]] = {}
    for address, holder in (*_managed(swarm, overlay), *_attached(swarm, overlay, seen)):
        if isinstance(address, IPv4Address):
            holders.setdefault(address, set()).add(holder)
    counted = [view.available for view in seen if view.network == overlay.id and view.available is not None]
    return Use(
        capacity=sum(map(capacity, overlay.subnets)),
        holders={address: frozenset(holders[address]) for address in sorted(holders)},
        available=min((sum(c[s] for s in overlay.subnets) for c in counted), default=None),
    )


def _managed(swarm: SwarmState, overlay: Network) -> Iterator[tuple[Address, Holder]]:
    for service in swarm.services:
        yield from ((a, Holder("service", service.name)) for n, a in service.addresses if n == overlay.id)
    for task in swarm.tasks:
        if task.holds_addresses:
            yield from ((a, Holder("task", task.id)) for n, a in task.addresses if n == overlay.id)


def _attached(swarm: SwarmState, overlay: Network, views: Iterable[NodeView]) -> Iterator[tuple[IPv4Address, Holder]]:
    """A task's container is named after it, `web.1.<task>`; a node's load balancer after the network."""
    tasks = {task.id for task in swarm.tasks}
    hostnames = {node.id: node.hostname for node in swarm.nodes}
    for view in views:
        host = hostnames.get(view.node, view.node)
        for endpoint in view.endpoints if view.network == overlay.id else ():
            task = endpoint.name.rpartition(".")[2]
            if task in tasks:
                yield endpoint.address, Holder("task", task)
            elif endpoint.name == f"{overlay.name}-endpoint":
                yield endpoint.address, Holder("load balancer", host)
            else:
                yield endpoint.address, Holder("container", f"{endpoint.name} on {host}")
