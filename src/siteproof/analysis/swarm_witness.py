"""What vouches for a swarm's answers: docker's command line for the API that curl asks, and the other way round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from siteproof.asks import Ask, Combined, Host, witnessed
from siteproof.probes.swarm.docker import OverlayNetwork, overlay_networks
from siteproof.probes.swarm.docker_api import swarm_state
from siteproof.probes.swarm.docker_words import SwarmWords, swarm_words
from siteproof.probes.swarm.model import SwarmState

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CommandLine:
    """All that docker's command line says of a swarm here."""

    words: SwarmWords
    overlays: tuple[OverlayNetwork, ...]

    def shares(self, state: SwarmState) -> bool:
        """Whether the API said the same to curl: nodes, services and their tasks, overlays and their subnets.

        What could not be read there may be all that the command line has beside it.
        """
        nodes = {node.id: (node.state, node.availability) for node in state.nodes}
        services = {service.name: (service.running, service.wanted) for service in state.services}
        seen = {(n.id[:12], n.name, n.subnets) for n in state.networks if n.of_swarm and n.driver in ("overlay", "")}
        overlays = {(overlay.id, overlay.name, overlay.subnets) for overlay in self.overlays}
        if state.unread:
            known = nodes.items() <= self.words.nodes.items() and services.items() <= self.words.services.items()
            return known and seen <= overlays
        return (nodes, services, seen) == (self.words.nodes, self.words.services, overlays)


DISAGREES = "docker's command line and dockerd's API, asked by curl, differ on nodes, services or overlays"


def command_line(manager: Host) -> Ask[CommandLine]:
    """What docker's command line says of nodes, services and overlays."""
    return Combined((swarm_words(manager), overlay_networks(manager)), CommandLine)


def agreed(manager: Host, ask: Ask[T], state: Callable[[T], SwarmState]) -> Ask[T]:
    """`ask`, where docker's command line says the same of nodes, services and overlays as its `state`, the API's."""
    said = command_line(manager)
    return witnessed(ask, said, agrees=lambda answer, lines: lines.shares(state(answer)), means=DISAGREES)


def agreed_state(manager: Host) -> Ask[SwarmState]:
    """The swarm as the API has it, where docker's command line says the same."""
    return agreed(manager, swarm_state(manager), lambda state: state)


def agreed_lines(manager: Host) -> Ask[CommandLine]:
    """The same from the other side."""
    said = command_line(manager)
    return witnessed(said, swarm_state(manager), agrees=CommandLine.shares, means=DISAGREES)
