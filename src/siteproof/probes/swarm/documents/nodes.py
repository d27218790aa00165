"""`/info` and `/nodes`: whether a node is one of a swarm, and which nodes its manager knows."""

from __future__ import annotations

import re
from ipaddress import IPv4Network
from typing import Annotated

from siteproof.errors import NoControl, Unparseable
from siteproof.probes.common.sections import Sections
from siteproof.probes.swarm.documents.document import (
    Cidr,
    Document,
    Listed,
    Moment,
    SwarmId,
    SwarmIdOrNone,
    Text,
    document,
    ipv4,
    one_of,
    read,
    read_each,
)
from siteproof.probes.swarm.model import AVAILABILITIES, NODE_STATES, SwarmNode, Unread


class _Swarm(Document):
    LocalNodeState: str
    NodeID: SwarmIdOrNone
    """Empty where the node is in no swarm."""
    ControlAvailable: bool


class _Info(Document):
    Swarm: _Swarm
    SystemTime: Moment | None = None
    """As a node of any kind has it; read where the host's clock was asked beside it."""


class _Cluster(Document):
    DefaultAddrPool: Listed[Cidr] | None
    """null from a swarm that is older than 18.09."""


class _ManagerSwarm(_Swarm):
    Cluster: _Cluster
    """Left out by a worker."""


class _ManagerInfo(Document):
    SystemTime: Moment
    Swarm: _ManagerSwarm


class _Description(Document):
    Hostname: Text


class _Status(Document):
    State: Annotated[str, one_of(NODE_STATES)]


class _Spec(Document):
    Availability: Annotated[str, one_of(AVAILABILITIES)]


class _Node(Document):
    ID: SwarmId
    Description: _Description
    Status: _Status
    Spec: _Spec


def member(sections: Sections) -> tuple[str, bool]:
    """The node's own id in the swarm, and whether it is a manager.

    Raises NoControl where it is not active in one, or this was said long ago.
    """
    found = document(sections, "info")
    swarm = _active(found)
    _of_now(read(_Info, found, "info").SystemTime, sections)
    return swarm.NodeID, swarm.ControlAvailable


def manager(sections: Sections) -> tuple[str, float, tuple[IPv4Network, ...]]:
    """The manager's own id, its clock, and the default pool. Raises NoControl where the host is no manager."""
    found = document(sections, "info")
    if not _active(found).ControlAvailable:
        raise NoControl("not a swarm manager, so it cannot know the swarm")
    info = read(_ManagerInfo, found, "info")
    _of_now(info.SystemTime, sections)
    return info.Swarm.NodeID, info.SystemTime, ipv4(info.Swarm.Cluster.DefaultAddrPool or ())


def nodes(sections: Sections) -> tuple[tuple[SwarmNode, ...], tuple[Unread, ...]]:
    """Every node that the manager lists, and those that could not be read."""
    known, odd = read_each(_Node, document(sections, "nodes"), "nodes", _node)
    return tuple(known), odd


def _node(node: _Node) -> SwarmNode:
    return SwarmNode(
        id=node.ID,
        hostname=node.Description.Hostname,
        state=node.Status.State,
        availability=node.Spec.Availability,
    )


MOST_APART_S = 60.0


def _of_now(at: float | None, sections: Sections) -> None:
    """Raises NoControl where dockerd's own time is not that of the host's clock. Bundles from before have no clock."""
    if "clock" not in sections:
        return
    if not re.fullmatch(r"[0-9]{1,11}\n*", sections["clock"]):
        raise Unparseable(f"date gave no moment: {sections['clock'][:100]!r}")
    if at is None:
        raise Unparseable("dockerd's API leaves out info.SystemTime")
    if (apart := abs(at - int(sections["clock"]))) > MOST_APART_S:
        raise NoControl(f"dockerd's answer is {apart:.0f} s off the host's clock: it is an old one, or another host's")


def _active(found: object) -> _Swarm:
    swarm = read(_Info, found, "info").Swarm
    if swarm.LocalNodeState != "active" or not swarm.NodeID:
        raise NoControl(f"not an active node of a swarm (state {swarm.LocalNodeState!r}), so it cannot know")
    return swarm
