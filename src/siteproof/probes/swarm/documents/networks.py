"""`/networks`: the networks that a node knows, and what of its own is on one of them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Annotated

from pydantic import PlainValidator

from siteproof.asks import NETWORK_ID, SWARM_ID
from siteproof.errors import NoControl, Unparseable
from siteproof.probes.common.sections import Sections
from siteproof.probes.swarm.documents.document import (
    Cidr,
    Document,
    Entries,
    Listed,
    Map,
    Moment,
    SwarmId,
    Text,
    address,
    document,
    ipv4,
    one_of,
    read,
    read_each,
    stack,
)
from siteproof.probes.swarm.model import OWN, Network, NetworkEndpoint, NodeView, Unread

_SCOPES = ("swarm", "local", "global")


class _Block(Document):
    Subnet: Cidr


class _Ipam(Document):
    Config: Listed[_Block] | None
    """null where the driver gives no addresses, or the network has none yet."""


class _Network(Document):
    Id: Text
    Name: Text
    Driver: str
    """Empty while a network of the swarm is not allocated."""
    Scope: Annotated[str, one_of(_SCOPES)]
    IPAM: _Ipam
    Labels: Map[str, str]
    Created: Moment


def _address_or_none(value: object) -> IPv4Address | None:
    return None if value == "" else address(value)


_AddressOrNone = Annotated[IPv4Address | None, PlainValidator(_address_or_none)]


class _Container(Document):
    Name: str
    IPv4Address: _AddressOrNone
    """Empty before the endpoint is set up."""


class _Counts(Document):
    DynamicIPsAvailable: int


class _IpamStatus(Document):
    Subnets: Entries[Cidr, _Counts] | None = None


class _Status(Document):
    IPAM: _IpamStatus


class _View(Document):
    Id: SwarmId
    Name: Text
    Containers: Entries[str, _Container] | None
    Status: _Status | None = None
    """Left out before Docker 29 (API 1.52). A worker's is of its own endpoints alone, as if the rest were free."""


def networks(sections: Sections) -> tuple[tuple[Network, ...], tuple[Unread, ...]]:
    """All that the node knows, and what of it could not be read.

    Raises NoControl for a list without `none`, which is no dockerd's.
    """
    found, odd = read_each(_Network, document(sections, "networks"), "networks", _network)
    if "none" not in {network.name for network in found} | {item.name for item in odd}:
        if odd:
            raise Unparseable(odd[0].why)
        raise NoControl("the list of networks lacks `none`, which every dockerd has")
    return tuple(found), odd


def view(sections: Sections, node: str, manages: bool, overlay: str) -> NodeView:
    """What `node`, which is this node's id in the swarm, has on the overlay; nothing where it does not know it.

    What the allocator still has is taken from who `manages` the swarm alone: only there it is the swarm's.
    """
    found = document(sections, "network")
    if found == {"message": f"network {overlay} not found"}:
        return NodeView(node, "", (), None)
    network = read(_View, found, "network")
    if network.Name != overlay:
        raise Unparseable(f"dockerd's API was asked for the network {overlay}, and gives {network.Name!r}")
    available = None
    if manages and network.Status and (counts := network.Status.IPAM.Subnets) is not None:
        available = {IPv4Network(s): each.DynamicIPsAvailable for s, each in counts.items() if ":" not in s}
    # A canary of ours is none of the site's.
    endpoints = [
        NetworkEndpoint(each.Name, each.IPv4Address)
        for each in (network.Containers or {}).values()
        if each.IPv4Address is not None and not each.Name.startswith(OWN)
    ]
    return NodeView(
        node=node,
        network=network.Id,
        endpoints=tuple(sorted(endpoints, key=lambda e: e.name)),
        available=available,
    )


def _network(found: _Network) -> Network:
    subnets = [block.Subnet for block in found.IPAM.Config or ()]
    if found.Driver in ("overlay", "bridge") and not subnets:
        raise Unparseable(f"the network {found.Name} has a driver that gives addresses, and no subnet")
    of_swarm = found.Scope == "swarm"
    if not found.Driver and not of_swarm:
        raise Unparseable(f"the network {found.Name} has no driver, and is not one of the swarm, which may wait for it")
    return Network(
        # Other hosts are asked about it by its id.
        id=(SWARM_ID if of_swarm else NETWORK_ID)(found.Id).text,
        name=found.Name,
        driver=found.Driver,
        subnets=ipv4(subnets),
        stack=stack(found.Labels),
        created=found.Created,
        of_swarm=of_swarm,
    )
