"""siteproof_swarm: Docker Swarm and its overlays."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated, ClassVar

from pydantic import Field

from siteproof.declared import Declared
from siteproof.facts.model import Family, HostsOf, Node, Subjects


class Overlay(Declared):
    """An overlay network of the swarm."""

    name: str
    subnet: IPv4Network
    attachable: bool

    def __str__(self) -> str:
        return self.name


class Swarm(Family):
    """Docker Swarm."""

    name: ClassVar[str] = "swarm"

    managers: str
    overlays: Annotated[tuple[Overlay, ...], Field(min_length=1)]

    def subjects(self, hosts: HostsOf) -> Subjects:
        return {Node: [Node(h) for h in hosts("managers", self.managers)], Overlay: self.overlays}
