"""siteproof_pulls: image pulls and the ways they may not take."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from siteproof.facts.model import Family, HostsOf, Network, Node, Subjects


class Pulls(Family):
    """Image pulls: which way they may not take."""

    name: ClassVar[str] = "pulls"

    hosts: str
    probe_image: str
    """Dedicated to this probe and used by nothing else: it is pulled, and removed unless it was there before."""
    forbidden: Annotated[tuple[Network, ...], Field(min_length=1)]
    """Where no pull may go, e.g. the site's own public address."""
    deadline_s: Annotated[int, Field(ge=5, le=600)] = 60

    def subjects(self, hosts: HostsOf) -> Subjects:
        return {Node: [Node(h) for h in hosts("hosts", self.hosts)]}
