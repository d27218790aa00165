"""Whose addresses an overlay has, without any daemon."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from siteproof.analysis.addresses import Holder, capacity, use
from siteproof.probes.swarm.model import Network, NetworkEndpoint, NodeView, Service, SwarmNode, SwarmState, Task

MOMENT = 1_795_000_000.0
NET = IPv4Network("10.0.1.0/24")
PROXY = Network("net", "proxy", "overlay", (NET,), "", MOMENT, of_swarm=True)


def address(last: int) -> IPv4Address:
    return NET.network_address + last


def service(name: str, *last: int) -> Service:
    return Service(name, name, "", tuple(("net", address(n)) for n in last), 1, 1, "")


def task(id: str, last: int, state: str = "running", desired: str = "running", network: str = "net") -> Task:
    return Task(id, "web", "n1", state, desired, MOMENT, ((network, address(last)),), "")


def swarm(*tasks: Task, services: tuple[Service, ...] = ()) -> SwarmState:
    nodes = tuple(SwarmNode(f"n{n}", f"host{n}", "ready", "active") for n in (1, 2))
    return SwarmState("n1", MOMENT, (), nodes, services, tasks, (PROXY,))


def view(*endpoints: tuple[str, int], node: str = "n1", available: int | None = None) -> NodeView:
    found = tuple(NetworkEndpoint(name, address(last)) for name, last in endpoints)
    return NodeView(node, "net", found, None if available is None else {NET: available})


@pytest.mark.parametrize(("subnet", "expected"), [("10.0.1.0/24", 253), ("10.10.0.0/16", 65533), ("10.0.1.0/29", 5)])
def test_capacity_is_without_network_broadcast_and_gateway(subnet: str, expected: int) -> None:
    assert capacity(IPv4Network(subnet)) == expected


def test_a_network_without_subnet_has_no_capacity() -> None:
    bare = Network("net", "proxy", "overlay", (), "", MOMENT, of_swarm=True)
    assert use(swarm(), bare, ()).free_ratio == 0


def test_everyone_who_holds_an_address_counts_once() -> None:
    counted = use(
        swarm(task("t1", 3), services=(service("web", 2),)),
        PROXY,
        [view(("web.1.t1", 3), ("proxy-endpoint", 4)), view(("proxy-endpoint", 5), ("debug", 6), node="n2")],
    )
    assert counted.visible == 5
    assert counted.holders[address(5)] == {Holder("load balancer", "host2")}
    assert counted.holders[address(6)] == {Holder("container", "debug on host2")}
    assert counted.free == 253 - 5
    assert counted.duplicates == {}


@pytest.mark.parametrize(
    ("state", "desired", "holds"),
    [
        ("pending", "running", True),
        ("running", "shutdown", True),  # draining
        ("failed", "running", True),  # about to be replaced
        ("shutdown", "shutdown", False),
        ("complete", "remove", False),
    ],
)
def test_a_task_holds_its_address_until_it_has_ended(state: str, desired: str, holds: bool) -> None:
    assert use(swarm(task("t1", 3, state, desired)), PROXY, ()).visible == holds


def test_other_networks_do_not_count() -> None:
    assert use(swarm(task("t1", 3, network="other")), PROXY, [NodeView("n1", "other", (), None)]).visible == 0


def test_two_holders_of_one_address_are_seen() -> None:
    counted = use(swarm(task("t1", 3)), PROXY, [view(("web.1.t1", 3)), view(("debug", 3), node="n2")])
    assert counted.duplicates == {address(3): {Holder("task", "t1"), Holder("container", "debug on host2")}}


def test_the_allocators_own_count_shows_what_is_lost() -> None:
    counted = use(swarm(task("t1", 3)), PROXY, [view(available=213), view(node="n2")])
    assert (counted.visible, counted.free, counted.lost) == (1, 213, 39)
