"""docker: overlay networks as a swarm manager knows them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from typing import Any

from siteproof.asks import Ask, Output, command
from siteproof.errors import NoControl, Unparseable
from siteproof.probes.sections import section, split

# `docker network create` with an overlapping subnet exits 0, prints an id and leaves `IPAM.Config: null`.
_SCRIPT = f"""\
{section("swarm")}
$ROOT docker info --format '{{{{json .Swarm}}}}' || exit
ids=$($ROOT docker network ls --quiet --no-trunc --filter driver=overlay) || exit
{section("networks")}
case $ids in *[!0-9a-z[:space:]]*) printf '%s\\n' "$ids"; exit 0 ;; esac
[ -z "$ids" ] && exit 0
exec $ROOT docker network inspect $ids
"""


@dataclass(frozen=True, slots=True)
class OverlayNetwork:
    """An overlay network of the swarm."""

    id: str
    name: str
    attachable: bool
    subnets: tuple[IPv4Network, ...]
    """Empty while the network is not allocated: `IPAM.Config` is null."""


def overlay_networks(manager: str, *, control: str = "ingress") -> Ask[tuple[OverlayNetwork, ...]]:
    """All overlay networks of the swarm, by name.

    `control` is one that every swarm has: a list without it is not the swarm's, and NoControl. So is the answer of a
    host that is not a manager, which knows only the networks of its own containers.
    """
    return command(
        manager,
        _SCRIPT,
        probe="docker network inspect of the overlays",
        parse=lambda output: parse_overlays(output, control),
        tools=("docker",),
        root=True,
        deadline_s=10,
    )


def parse_overlays(output: Output, control: str) -> tuple[OverlayNetwork, ...]:
    """Two documents: `docker info`'s `.Swarm`, and `docker network inspect`'s array."""
    sections = split(output.text)
    swarm = _json(sections, "swarm")
    if not isinstance(swarm, dict) or "LocalNodeState" not in swarm:
        raise Unparseable(f"not docker's .Swarm: {sections.get('swarm', '')[:200]!r}")
    if swarm["LocalNodeState"] != "active" or swarm.get("ControlAvailable") is not True:
        raise NoControl(f"not an active swarm manager (state {swarm['LocalNodeState']!r}), so it cannot know")
    found = _json(sections, "networks")
    if not isinstance(found, list):
        raise Unparseable(f"docker network inspect printed no list: {sections.get('networks', '')[:200]!r}")
    networks = tuple(sorted((_network(n) for n in found), key=lambda n: (n.name, n.id)))
    if control not in {n.name for n in networks}:
        raise NoControl(f"the list of overlays lacks `{control}`, which every swarm has")
    return networks


def _network(found: Any) -> OverlayNetwork:
    try:
        subnets = [ip_network(c["Subnet"]) for c in found["IPAM"]["Config"] or []]
        return OverlayNetwork(
            id=found["Id"][:12],
            name=found["Name"],
            attachable=bool(found["Attachable"]),
            subnets=tuple(s for s in subnets if isinstance(s, IPv4Network)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Unparseable(f"not a docker network ({type(error).__name__}: {error}): {str(found)[:200]}") from error


def _json(sections: dict[str, str], name: str) -> Any:
    text = sections.get(name, "")
    try:
        return json.loads(text)
    except ValueError:
        raise Unparseable(f"docker printed no JSON: {text[:200]!r}") from None
