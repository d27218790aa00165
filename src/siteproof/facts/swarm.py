"""siteproof_swarm: Docker Swarm, its overlays, and what may be done to prove them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Network
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from siteproof.asks.words import ARGUMENT, IMAGE, NETWORK_NAME, PATH
from siteproof.facts.declared import Declared
from siteproof.facts.model import Absent, Family, HostsOf, Node, Subjects, Unseen, formed

Path = Annotated[str, formed(PATH)]


@dataclass(frozen=True)
class Manager(Node):
    """A node that the swarm is asked about."""

    members: tuple[str, ...]
    """Every node of its swarm: what is on an overlay is seen on each node by itself."""


class Overlay(Declared):
    """An overlay network of the swarm."""

    name: Annotated[str, formed(NETWORK_NAME)]
    subnet: IPv4Network
    attachable: bool
    min_free_ratio: Annotated[float, Field(gt=0, lt=1)]
    """Of the addresses that can be handed out, at least this part stays free."""

    def __str__(self) -> str:
        return self.name


class Pin(Declared):
    """The file that creates an overlay when the host is made again."""

    overlay: str
    host: str
    """Where the file is."""
    file: Path

    def __str__(self) -> str:
        return self.overlay


class Guard(Declared):
    """A script that must take some steps before another one."""

    name: str
    host: str
    """Where the script is."""
    file: Path
    steps: Annotated[tuple[str, ...], Field(min_length=1)]
    """Parts of lines, in their order."""
    before: str
    """Part of the line that may only come after them."""

    def __str__(self) -> str:
        return f"{self.host}-{self.name}"


class Checkout(Declared):
    """A git repository that the swarm's stacks are deployed from."""

    host: str
    """Where it is."""
    directory: Path
    authors: Annotated[tuple[str, ...], Field(min_length=1)]
    """`Name <address>` of those who commit to it; `*` stands for anything."""

    def __str__(self) -> str:
        return f"{self.host}-{self.directory.rstrip('/').rpartition('/')[2]}"

    def allows(self, author: str) -> bool:
        return any(fnmatchcase(author, pattern) for pattern in self.authors)


class LeakBudget(Declared):
    """How many addresses of an overlay may get lost. Declaring it allows --changes to take addresses for seconds."""

    overlay: str
    per_day: Annotated[int, Field(ge=0)]
    take_at_most: Annotated[int, Field(ge=1, le=2000)]
    """Addresses that may be taken at once to count the free ones; where more are free they cannot be counted so."""

    def __str__(self) -> str:
        return self.overlay


class DeployCanary(Declared):
    """A service of one task. Declaring it allows --changes to deploy it on an overlay, and to remove it again."""

    overlay: str
    image: Annotated[str, formed(IMAGE)]
    """On every node already, or quickly pulled."""
    command: tuple[Annotated[str, formed(ARGUMENT)], ...]
    """Runs until it is stopped."""
    within_s: Annotated[int, Field(ge=5, le=300)]

    def __str__(self) -> str:
        return self.overlay


class Window(Declared):
    """What the swarm looks like when disruptive work may begin."""

    stacks: tuple[str, ...]
    """The only stacks that may be deployed then; `*` stands for anything."""
    settle_s: Annotated[int, Field(ge=1, le=60)]
    """Nothing may change for so long."""

    def __str__(self) -> str:
        return "window"

    def allows(self, stack: str) -> bool:
        return any(fnmatchcase(stack, pattern) for pattern in self.stacks)


class Swarm(Family):
    """Docker Swarm.

    siteproof_swarm:
      managers: swarm_managers
      nodes: swarm                       # managers and workers: addresses are counted on all of them
      overlays:
        - {name: proxy, subnet: 10.10.0.0/16, attachable: true, min_free_ratio: 0.5}
      restart_days: 30                   # dockerd is restarted at least so often: it gives lost addresses back
      races_per_day: 20                  # "key modified" lines; one for each node that leaves an overlay is usual
      stuck_after_s: 60                  # a task that waits longer for an address is stuck
      dangling_after_s: 600              # an overlay may outlive its stack for so long
      # Each of the following may be {none: "why"} instead.
      window:                            # what the swarm looks like when disruptive work may begin
        stacks: [traefik, "infra-*"]     # only these may be deployed then
        settle_s: 30                     # and nothing may move for so long
      pins:                              # the file that creates the overlay when the host is made again
        - {overlay: proxy, host: swarm1, file: /etc/nixos/modules/swarm.nix}
      guards:                            # a script that must take steps before another: parts of lines, in order
        - name: upgrade-all
          host: swarm1
          file: /usr/local/sbin/upgrade-all
          steps: [docker network prune, could not find an available IP, systemctl restart docker]
          before: docker stack deploy
      checkouts:                         # git repositories that stacks come from: who commits there, no secrets
        - {host: swarm1, directory: /srv/infra, authors: [autonomic-bot <*>]}
      # The last two allow `--changes` to put a service of its own on the overlay for seconds.
      leaks: {none: "a /16 has more free addresses than can be taken to count them; Docker 29 counts by itself"}
      #  - {overlay: proxy, per_day: 5, take_at_most: 250}    # for a /24: all but per_day are taken at once
      canaries:
        - {overlay: proxy, image: "busybox:1.37", command: [sleep, "600"], within_s: 60}
    """

    name: ClassVar[str] = "swarm"
    place: ClassVar[int] = 50

    managers: str
    nodes: str
    """Every node, managers and workers: an overlay's addresses are counted on all of them."""
    overlays: Annotated[tuple[Overlay, ...], Field(min_length=1)]
    restart_days: Annotated[int, Field(ge=1)]
    """dockerd is restarted at least this often (a reboot, an update); only that gives lost addresses back."""
    races_per_day: Annotated[int, Field(ge=0)]
    """Log lines of removals that met; each may have lost an address."""
    stuck_after_s: Annotated[int, Field(ge=1)] = 60
    """A task that waits longer for an address is stuck."""
    dangling_after_s: Annotated[int, Field(ge=1)] = 600
    """An overlay that a removed stack left behind may stay so long."""
    window: Window | Unseen
    pins: Annotated[tuple[Pin, ...], Field(min_length=1)] | Unseen
    guards: Annotated[tuple[Guard, ...], Field(min_length=1)] | Unseen
    checkouts: Annotated[tuple[Checkout, ...], Field(min_length=1)] | Unseen
    leaks: Annotated[tuple[LeakBudget, ...], Field(min_length=1)] | Unseen
    canaries: Annotated[tuple[DeployCanary, ...], Field(min_length=1)] | Unseen

    @model_validator(mode="after")
    def _they_speak_of_declared_overlays(self) -> Self:
        known = {overlay.name for overlay in self.overlays}
        for key in ("pins", "leaks", "canaries"):
            for one in _listed(getattr(self, key)):
                if one.overlay not in known:
                    raise ValueError(f"`{key}` speaks of {one.overlay}, which is not among `overlays`")
        return self

    def overlay(self, name: str) -> Overlay:
        """The declared overlay of that name."""
        return next(overlay for overlay in self.overlays if overlay.name == name)

    def subjects(self, hosts: HostsOf) -> Subjects:
        for key in ("pins", "guards", "checkouts"):
            for one in _listed(getattr(self, key)):
                hosts(key, one.host)
        members = hosts("nodes", self.nodes)
        return {
            Manager: [Manager(h, members) for h in hosts("managers", self.managers)],
            Node: [Node(h) for h in members],
            Overlay: self.overlays,
            Window: Absent(self.window.none) if isinstance(self.window, Unseen) else [self.window],
            Pin: _optional(self.pins),
            Guard: _optional(self.guards),
            Checkout: _optional(self.checkouts),
            LeakBudget: _optional(self.leaks),
            DeployCanary: _optional(self.canaries),
        }


def _listed(found: Any) -> tuple[Any, ...]:
    return () if isinstance(found, Unseen) else found


def _optional(found: Any) -> Sequence[Any] | Absent:
    return Absent(found.none) if isinstance(found, Unseen) else found
