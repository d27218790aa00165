"""dockerd's JSON is read strictly: what is no answer is told with the key that it stands at."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

import pytest
import recorded

from siteproof.asks import Output
from siteproof.errors import NoControl, ToolFailed, Unparseable
from siteproof.probes.common.sections import MARK, split
from siteproof.probes.swarm.docker_api import parse_networks, parse_swarm, parse_view

HEALTHY = recorded.load(recorded.DIRECTORY / "dockerapi/dockerapi-20.10-healthy.toml").output
VIEW = recorded.load(recorded.DIRECTORY / "dockerapi/dockerapi-29.0-view.toml").output
REMOVED = object()


def changed(output: Output, *path: str | int, to: Any) -> Output:
    """`output` with another value in one place; the path begins with the section."""
    sections = dict(split(output.text))
    (name, *above), key = path[:-1], path[-1]
    document = json.loads(sections[str(name)])
    place = document
    for step in above:
        place = place[step]
    if to is REMOVED:
        del place[key]
    else:
        place[key] = to
    sections[str(name)] = json.dumps(document)
    return said(output, **sections)


def said(output: Output, **sections: str) -> Output:
    text = "".join(f"\n{MARK}{n}\n{body}\n" for n, body in {**split(output.text), **sections}.items())
    return replace(output, stdout=f"{text}\n{MARK}end\n".encode())


def view(output: Output) -> Any:
    return parse_view(output, "proxy")


SAID = "dockerd's API"


@pytest.mark.parametrize(
    ("path", "to", "message"),
    [
        (("info", "SystemTime"), REMOVED, "leaves out info.SystemTime"),
        (
            ("info", "SystemTime"),
            "2026-11-20T11:10:36",
            "gives '2026-11-20T11:10:36' for info.SystemTime, which is not",
        ),
        (("info", "Swarm", "Cluster"), None, "gives None for info.Swarm.Cluster, which should be an object"),
        (("info", "Swarm", "Cluster", "DefaultAddrPool", 0), "10.0.0.1/8", "for info.Swarm.Cluster.DefaultAddrPool[0]"),
    ],
)
def test_what_is_missing_or_wrong_is_told_with_its_key(path: tuple[str | int, ...], to: Any, message: str) -> None:
    with pytest.raises(Unparseable) as raised:
        parse_swarm(changed(HEALTHY, *path, to=to))
    assert str(raised.value).startswith(SAID) and message in str(raised.value)


@pytest.mark.parametrize(
    ("path", "to", "message"),
    [
        (("nodes", 0, "Spec", "Availability"), "x", "for nodes[0].Spec.Availability, which is none of active, pause"),
        (("services", 0, "ServiceStatus", "RunningTasks"), True, "for services[0].ServiceStatus.RunningTasks, which"),
        (("services", 0, "ServiceStatus", "RunningTasks"), 1.0, "for services[0].ServiceStatus.RunningTasks, which"),
        (("services", 0, "Endpoint", "VirtualIPs", 0, "Address"), "", "VirtualIPs[0].Address, which nobody knows"),
        (("services", 0, "Endpoint", "VirtualIPs", 0, "Addr"), None, "VirtualIPs[0].Addr, which is not an address"),
        (("services", 0, "Spec", "Name"), "", "for services[0].Spec.Name, which should have at least 1 character"),
        (("services", 0, "Spec", "Labels"), [], "for services[0].Spec.Labels, which should be an object"),
        (
            ("services", 0, "Spec", "Labels"),
            {"a": "b", "c": 1},
            "gives 1 for services[0].Spec.Labels.c, which should be",
        ),
        (("tasks", 1, "NetworksAttachments"), "?", "for tasks[1].NetworksAttachments, which should be a valid list"),
        (("tasks", 1, "NetworksAttachments"), None, "and the list does not say where or on which networks"),
        (("services", 0, "Spec", "Mode"), REMOVED, "leaves out services[0].Spec.Mode"),
        (("services", 0, "Spec", "Mode"), {"SomeDay": {}}, "Spec.Mode.SomeDay, which nobody knows"),
        (("services", 0, "Spec", "Mode"), {}, "gives 0 modes to the service"),
        (
            ("tasks", 1, "NetworksAttachments", 0, "Addresses", 0),
            1,
            "NetworksAttachments[0].Addresses[0], which is not",
        ),
        (("tasks", 1), 1, "gives 1 for tasks[1], which should be an object"),
        (
            ("networks", 0, "IPAM", "Config", 0, "Subnet"),
            "10.0.0.1/8",
            "networks[0].IPAM.Config[0].Subnet, which is not",
        ),
    ],
)
def test_one_item_that_is_not_understood_makes_nothing_else_unknown(
    path: tuple[str | int, ...], to: Any, message: str
) -> None:
    kind = str(path[0])
    seen, whole = parse_swarm(changed(HEALTHY, *path, to=to)), parse_swarm(HEALTHY)
    (item,) = seen.unread
    assert (item.kind, message in item.why) == (kind, True), item.why
    # The first service is a canary of ours, whose tasks are left out only where it is read.
    for name in ("nodes", "services", "tasks", "networks"):
        lost = set(getattr(whole, name)) - set(getattr(seen, name))
        assert len(lost) <= (name == kind), name
    with pytest.raises(Unparseable):
        seen.sure(kind)


def test_an_overlay_is_known_beside_another_network_that_is_not() -> None:
    found = json.loads(split(HEALTHY.text)["networks"])
    names = [network["Name"] for network in found]
    odd = changed(HEALTHY, "networks", names.index("none"), "IPAM", "Config", to=[{"Subnet": "?"}])
    assert parse_swarm(odd).overlay("proxy") == parse_swarm(HEALTHY).overlay("proxy")
    with pytest.raises(Unparseable):
        parse_swarm(changed(HEALTHY, "networks", names.index("proxy"), "IPAM", to=1)).overlay("proxy")


@pytest.mark.parametrize(
    ("path", "to", "message"),
    [
        (("network", "Status"), "?", "gives '?' for network.Status, which should be an object"),
        (("network", "Containers"), "?", "gives '?' for network.Containers, which should be an object"),
        (("network", "Status", "IPAM", "Subnets"), {"x": {"DynamicIPsAvailable": 1}}, "which is not a network"),
        (("network", "Containers"), [], "gives [] for network.Containers, which should be an object"),
        (
            ("network", "Containers", "lb-proxy", "IPv4Address"),
            None,
            "network.Containers.lb-proxy.IPv4Address, which is",
        ),
        (("network", "Name"), "other", "was asked for the network proxy, and gives 'other'"),
    ],
)
def test_so_is_what_one_node_has_on_an_overlay(path: tuple[str | int, ...], to: Any, message: str) -> None:
    with pytest.raises(Unparseable) as raised:
        view(changed(VIEW, *path, to=to))
    assert str(raised.value).startswith(SAID) and message in str(raised.value)


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("info", "Swarm", "Further"), {"any": ["thing"]}),
        (("services", 0, "Spec", "Labels"), REMOVED),
        (("services", 0, "Spec", "Labels"), None),
        (("services", 0, "Spec", "Labels"), {}),
        (("services", 0, "UpdateStatus"), None),
        (("services", 0, "UpdateStatus"), {}),
        (("networks", 0, "Labels"), None),
        (("tasks", 1, "Further"), None),
        (("services", 0, "Spec", "TaskTemplate"), None),
        (("services", 0, "Spec", "TaskTemplate"), REMOVED),
    ],
)
def test_what_docker_may_leave_out_or_add_changes_nothing(path: tuple[str | int, ...], to: Any) -> None:
    assert parse_swarm(changed(HEALTHY, *path, to=to)) == parse_swarm(HEALTHY)


def test_an_answer_of_yesterday_is_no_answer() -> None:
    clock = recorded.load(recorded.DIRECTORY / "dockerapi/dockerapi-20.10-lab-healthy.toml").output
    moment = int(split(clock.text)["clock"])
    assert parse_swarm(clock).at - moment < 5
    for apart in (-86_400, 120):
        with pytest.raises(NoControl, match="off the host's clock"):
            parse_swarm(said(clock, clock=str(moment + apart)))
    with pytest.raises(Unparseable):
        parse_swarm(said(clock, clock="Usage: date"))


def test_before_docker_29_nobody_counts_what_is_left() -> None:
    for output in (
        changed(VIEW, "network", "Status", to=REMOVED),
        changed(VIEW, "network", "Status", "IPAM", "Subnets", to=None),
    ):
        assert view(output).available is None


def test_an_endpoint_without_an_address_is_not_there_yet() -> None:
    found = view(changed(VIEW, "network", "Containers", "lb-proxy", "IPv4Address", to=""))
    assert [endpoint.name for endpoint in found.endpoints] == [e.name for e in view(VIEW).endpoints[1:]]


def test_a_workers_count_is_its_own_and_not_the_swarms() -> None:
    assert view(VIEW).available == {IPv4Network("10.10.0.0/16"): 65484}
    assert view(changed(VIEW, "info", "Swarm", "ControlAvailable", to=False)).available is None


def test_a_node_that_does_not_know_the_overlay_has_nothing_on_it() -> None:
    found = view(said(VIEW, network='{"message": "network proxy not found"}'))
    assert (found.node, found.network, found.endpoints) == (view(VIEW).node, "", ())


@pytest.mark.parametrize("name", ["info", "nodes", "networks"])
def test_dockerds_own_refusal_is_told_as_it_was_said(name: str) -> None:
    with pytest.raises(ToolFailed, match=f"refused {name}: no way"):
        parse_swarm(said(HEALTHY, **{name: '{"message": "no way"}'}))


@pytest.mark.parametrize(
    "text", ['{"Name": "a", "Name": "b"}', '{"Name": ' + "9" * 5000 + "}", "[" * 100_000, "NaN", '"x"', "[1]", "", "{}"]
)
def test_what_is_no_such_document_is_no_answer(text: str) -> None:
    with pytest.raises(Unparseable):
        view(said(VIEW, network=text))


@pytest.mark.parametrize(("key", "value"), [("LocalNodeState", "inactive"), ("ControlAvailable", False)])
def test_a_host_that_cannot_know_is_no_control(key: str, value: Any) -> None:
    with pytest.raises(NoControl):
        parse_swarm(changed(HEALTHY, "info", "Swarm", key, to=value))


@pytest.mark.parametrize(
    ("read", "name", "text"),
    [
        (parse_networks, "networks", "[" + "1," * 100_000 + "1]"),
        (
            view,
            "network",
            json.dumps({"Id": "a" * 25, "Name": "proxy", "Containers": {str(n): 0 for n in range(20_000)}}),
        ),
        (parse_networks, "networks", json.dumps([{"Labels": {str(n): 0 for n in range(20_000)}}])),
        (parse_networks, "networks", json.dumps([{"IPAM": {"Config": [0] * 100_000}}])),
    ],
)
def test_a_million_mistakes_are_one(read: Callable[[Output], Any], name: str, text: str) -> None:
    """pydantic collects what is wrong; all of it would be hundreds of times as long as what the host sent."""
    output = said(HEALTHY if name == "networks" else VIEW, **{name: text})
    output = said_only(output, "info", name)
    tracemalloc.start()
    try:
        with pytest.raises(Unparseable):
            read(output)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 40 * len(text)


def said_only(output: Output, *names: str) -> Output:
    sections = split(output.text)
    text = "".join(f"\n{MARK}{name}\n{sections[name]}\n" for name in names)
    return replace(output, stdout=f"{text}\n{MARK}end\n".encode())
