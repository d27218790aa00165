"""siteproof_pulls: image pulls, the ways they may take and those they may not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from siteproof.asks.words import IMAGE, Address
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


class PullCanary(Declared):
    """An image for the cold pull, which `--changes` allows."""

    image: ImageName

    def __str__(self) -> str:
        return self.image


class Pulls(Family):
    """Image pulls: which way they may not take.

    # Declaring this allows a real `crictl pull` of the probe image on those nodes, watched by a temporary nftables
    # table; both are taken away again. `--read-only` leaves it out.
    siteproof_pulls:
      hosts: k3s                         # nodes with crictl, on containerd or k3s
      docker_hosts: swarm_managers       # hosts with a dockerd, or {none: "no Docker here"}
      pushers: swarm_managers            # CI hosts that push images, or {none: reason}
      config_path: /etc/containerd/certs.d   # on k3s: /var/lib/rancher/k3s/agent/etc/containerd/certs.d
      control_name: example.org          # a name outside the site that every resolver must answer
      control_url: https://example.org/  # answers from each of these hosts, by a way that no registry shares
      probe_image: forgejo.home.example/siteproof/probe:1   # dedicated and tiny: used by nothing else
      canary: {image: forgejo.home.example/siteproof/canary:1}   # another such, for --changes; or {none: reason}
      forbidden: [198.51.100.76]         # your public address, networks too: 198.51.100.0/24
      deadline_s: 60                     # longer than containerd's own dial timeout of 30 s
      registries:                        # every registry that your nodes pull from
        - name: forgejo.home.example     # as it stands in image names
          image: forgejo.home.example/viktor/tuya_bridge:3216c87a   # every node has it; it is pulled again
          mirror: {none: it stands on the site itself}
          pushed: true                   # your CI pushes to it
        - name: ghcr.io
          image: ghcr.io/fluxcd/helm-controller:v1.5.1
          mirror: {url: "https://mirror.home.example/v2", fallback: required}   # or forbidden: nothing after it
      groups:                            # images that are needed before the rest can come up, or {none: reason}
        - name: bootstrap                # each is to be on the node already, or on its registry's mirror
          images: [ghcr.io/fluxcd/helm-controller:v1.5.1]
      again: {times: 5, seconds: 5}      # pulling again what is there: how often, and what each may take
    """

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
    canary: PullCanary | Unseen
    """As the probe image, and another one; removed before and after."""
    forbidden: Annotated[tuple[Network, ...], Field(min_length=1)]
    """Where no pull may go, e.g. the site's own public address."""
    registries: Annotated[tuple[Registry, ...], Field(min_length=1)]
    groups: Annotated[tuple[Group, ...], Field(min_length=1)] | Unseen
    again: Again
    deadline_s: Annotated[int, Field(ge=5, le=600)] = 60

    def is_forbidden(self, address: Address) -> bool:
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
            PullCanary: Absent(self.canary.none) if isinstance(self.canary, Unseen) else [self.canary],
        }
