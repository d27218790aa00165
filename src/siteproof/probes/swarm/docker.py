"""docker: overlay networks as a swarm manager knows them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from typing import Any

from siteproof.asks import Ask, Host, Output, command
from siteproof.errors import NoControl, Unparseable
from siteproof.probes.common.dockers import DOCKER, UNSET
from siteproof.probes.common.sections import END, from_json, section, split

VERSION = {"docker": "docker --version"}

# `docker network create` with an overlapping subnet exits 0, prints an id and leaves a network without subnet and
# driver: `--filter driver=overlay` would not show it.
_SCRIPT = f"""\
{UNSET}{section("swarm")}
$ROOT {DOCKER} info --format '{{{{json .Swarm}}}}' || exit
{section("ids")}
ids=$($ROOT {DOCKER} network ls --quiet --no-trunc --filter scope=swarm) || exit
printf '%s\\n' "$ids"
{section("networks")}
case $ids in
    *[!0-9a-z[:space:]]*) echo 'these are no ids' ;;
    '') echo '[]' ;;
    *)
        # shellcheck disable=SC2086 # each id is a word
        $ROOT {DOCKER} network inspect $ids || exit
        ;;
esac
{END}
"""


@dataclass(frozen=True, slots=True)
class OverlayNetwork:
    """An overlay network of the swarm."""

    id: str
    name: str
    attachable: bool
    subnets: tuple[IPv4Network, ...]
    """Empty while the network is not allocated: `IPAM.Config` is null."""


OVERLAY, NOT_ALLOCATED = "overlay", ""
"""Drivers as docker names them."""


def overlay_networks(manager: Host, *, control: str = "ingress") -> Ask[tuple[OverlayNetwork, ...]]:
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
        root_patterns={"ids": ("*",)},
        deadline_s=10,
        waits_for="dockerd",
    )


def parse_overlays(output: Output, control: str) -> tuple[OverlayNetwork, ...]:
    """`docker info`'s `.Swarm`, the ids that are there, and `docker network inspect`'s array of just these."""
    sections = split(output.text, "swarm", "ids", "networks")
    swarm = from_json(sections["swarm"], "docker info")
    if not isinstance(swarm, dict) or "LocalNodeState" not in swarm:
        raise Unparseable(f"not docker's .Swarm: {sections['swarm'][:200]!r}")
    if swarm["LocalNodeState"] != "active" or swarm["ControlAvailable"] is not True or swarm["Error"]:
        said = swarm["Error"] or f"state {swarm['LocalNodeState']!r}"
        raise NoControl(f"not an active swarm manager ({said}), so it cannot know")
    found, ids = from_json(sections["networks"], "docker network inspect"), sections["ids"].split()
    if not isinstance(found, list):
        raise Unparseable(f"docker network inspect printed no list: {sections['networks'][:200]!r}")
    if sorted(n["Id"] for n in found) != sorted(ids):
        raise Unparseable(f"docker was asked about {len(ids)} networks, and speaks of {len(found)}, or of others")
    if not all(isinstance(n["Driver"], str) for n in found):
        raise Unparseable("docker network inspect names no driver of a network")
    overlays = [_network(n) for n in found if n["Driver"] in (OVERLAY, NOT_ALLOCATED)]
    networks = tuple(sorted(overlays, key=lambda n: (n.name, n.id)))
    if control not in {n.name for n in networks}:
        raise NoControl(f"the list of overlays lacks `{control}`, which every swarm has")
    return networks


def _network(found: Any) -> OverlayNetwork:
    try:
        name, attachable, configs = found["Name"], found["Attachable"], found["IPAM"]["Config"] or []
        subnets = [ip_network(config["Subnet"]) for config in configs if isinstance(config["Subnet"], str)]
        # What is allocated has both, what is not has neither.
        if not isinstance(attachable, bool) or len(subnets) != len(configs) or (found["Driver"] == "") != (not subnets):
            raise ValueError("Attachable, Driver or Subnet is not as docker writes it")
        return OverlayNetwork(
            found["Id"][:12], str(name), attachable, tuple(s for s in subnets if isinstance(s, IPv4Network))
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Unparseable(f"not a docker network ({type(error).__name__}: {error}): {str(found)[:200]}") from error
