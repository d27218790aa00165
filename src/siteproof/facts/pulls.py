"""siteproof_pulls: image pulls, the ways they may take and those they may not."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from siteproof.asks.words import IMAGE
from siteproof.facts.declared import Declared
from siteproof.facts.model import Absent, Family, HostName, HostsOf, Network, Node, Subjects, Unseen, Url, formed, nodes
from siteproof.runtimes.pull_route import Image


class Puller(Node):
    """A host that pulls images, by whichever runtime."""


class ContainerdNode(Puller):
    """A host whose containerd is asked through crictl."""


class DockerHost(Puller):
    """A host with a dockerd."""


class Pusher(Node):
    """A host that pushes images, e.g. a CI runner."""


def _full_name(value: str) -> str:
    image = Image.parse(value)
    if not value.startswith(f"{image.registry}/{image.repository}") or not image.reference:
        raise ValueError("write the image's whole name, with its registry: docker.io/library/busybox:1.37")
    return value


ImageName = Annotated[str, formed(IMAGE), AfterValidator(_full_name)]
"""With its registry and its tag or digest."""


class Mirror(Declared):
    """Where images of a registry are to come from first."""

    url: Url
    """As containerd calls it: with its path, which ends in /v2."""
    fallback: Literal["required", "forbidden"]
    """Whether a pull goes on to the registry itself when the mirror does not serve."""


class Registry(Declared):
    """A registry that images are pulled from."""

    name: str
    """As it stands in image names: ghcr.io, docker.io, registry.example:5000."""
    image: ImageName
    """One of its images that every node has; it is asked for, and pulled again, never newly."""
    mirror: Mirror | Unseen
    """`{none: reason}` where images are to come from the registry itself."""
    pushed: bool = False
    """The site itself pushes images to it."""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Mirrored:
    """A registry that has a mirror."""

    registry: Registry
    mirror: Mirror

    def __str__(self) -> str:
        return self.registry.name


@dataclass(frozen=True)
class Pushed:
    """A registry that the site pushes to."""

    registry: Registry

    def __str__(self) -> str:
        return self.registry.name


class Group(Declared):
    """Images that something needs before the rest can come up."""

    name: str
    images: Annotated[tuple[ImageName, ...], Field(min_length=1)]

    def __str__(self) -> str:
        return self.name


class Again(Declared):
    """Pulling again what is there."""

    times: Annotated[int, Field(ge=1, le=20)]
    seconds: Annotated[float, Field(gt=0)]
    """What each pull may take."""


class Canary(Declared):
    """An image for the cold pull, which `--changes` allows."""

    image: ImageName

    def __str__(self) -> str:
        return self.image


class Pulls(Family):
    """Image pulls: which way they may not take."""

    name: ClassVar[str] = "pulls"
    place: ClassVar[int] = 20

    hosts: str
    docker_hosts: str | Unseen
    pushers: str | Unseen
    config_path: str
    """Where containerd is to read its hosts.toml files."""
    control_name: HostName
    """A name outside the site that every resolver in use must answer."""
    control_url: Url
    """Answers from every one of these hosts, by a way that no registry shares."""
    probe_image: ImageName
    """Dedicated to this probe and used by nothing else: it is pulled, and removed unless it was there before."""
    canary: Canary | Unseen
    """As the probe image, and another one; removed before and after."""
    forbidden: Annotated[tuple[Network, ...], Field(min_length=1)]
    """Where no pull may go, e.g. the site's own public address."""
    registries: Annotated[tuple[Registry, ...], Field(min_length=1)]
    groups: Annotated[tuple[Group, ...], Field(min_length=1)] | Unseen
    again: Again
    deadline_s: Annotated[int, Field(ge=5, le=600)] = 60

    def is_forbidden(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self.forbidden)

    def mirror_of(self, registry: str) -> Mirror | None:
        """The declared mirror of a registry, if it has one."""
        mirrors = (r.mirror for r in self.registries if r.name == registry)
        return next((mirror for mirror in mirrors if isinstance(mirror, Mirror)), None)

    def subjects(self, hosts: HostsOf) -> Subjects:
        containerd = nodes(ContainerdNode, hosts, "hosts", self.hosts)
        docker = nodes(DockerHost, hosts, "docker_hosts", self.docker_hosts)
        pullers: list[Node] = [n for some in (containerd, docker) if not isinstance(some, Absent) for n in some]
        return {
            ContainerdNode: containerd,
            Puller: pullers,
            Pusher: nodes(Pusher, hosts, "pushers", self.pushers),
            Registry: self.registries,
            Mirrored: [Mirrored(r, r.mirror) for r in self.registries if isinstance(r.mirror, Mirror)]
            or Absent("; ".join(r.mirror.none for r in self.registries if isinstance(r.mirror, Unseen))),
            Pushed: [Pushed(r) for r in self.registries if r.pushed] or Absent("no registry is `pushed`"),
            Group: Absent(self.groups.none) if isinstance(self.groups, Unseen) else self.groups,
            Canary: Absent(self.canary.none) if isinstance(self.canary, Unseen) else [self.canary],
        }
