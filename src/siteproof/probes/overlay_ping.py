"""ping from inside an overlay: whether what is on it is reached from a node."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from ipaddress import IPv4Address

from siteproof.asks import Ask, Output, command
from siteproof.errors import NoControl, Unparseable
from siteproof.probes.sections import split

_SCRIPT = resources.files(__package__).joinpath("overlay_ping.sh").read_text()
_REPORT = re.compile(
    r"(?P<target>[\d.]+) (?P<status>[01]) 2 packets transmitted, (?P<received>[0-2]) (packets )?received.*"
)


@dataclass(frozen=True, slots=True)
class Pings:
    """What answered on the overlay."""

    source: IPv4Address | None
    """The address that was sent from; None if nothing of this node is on the overlay."""
    answered: Mapping[IPv4Address, bool]


def overlay_pings(node: str, network: str, targets: Iterable[IPv4Address]) -> Ask[Pings]:
    """Ping `targets` from a container of `node` that is on the overlay with the id `network`.

    That one does not answer counts only if the container's own address does; otherwise NoControl.
    """
    listed = sorted(set(targets))
    return command(
        node,
        f"network={shlex.quote(network)}\nset -- {' '.join(map(str, listed))}\n{_SCRIPT}",
        probe=f"ping on the overlay {network[:12]}",
        parse=lambda output: parse(output, listed),
        tools=("docker", "nsenter", "ping", "grep"),
        root=True,
        root_patterns=("docker inspect --format * *",),
        deadline_s=5 + 2 * len(listed),
        probe_class="sends",
        slow=True,
    )


def parse(output: Output, targets: Sequence[IPv4Address]) -> Pings:
    """One line a target, the container's own address first: `10.10.0.5 0 2 packets transmitted, 2 received, …`."""
    sections = split(output.text)
    container = sections["container"].strip()
    if container == "none":
        return Pings(None, {})
    if not re.fullmatch(r"[0-9a-f]{64}", container):
        raise Unparseable(f"docker ps gave no container: {container[:200]!r}")
    own = IPv4Address(sections["own"].strip())
    lines = sections["pings"].splitlines()
    reports = [_REPORT.fullmatch(line.strip()) for line in lines if line.strip()]
    answered = {IPv4Address(r["target"]): r["received"] != "0" for r in reports if r is not None}
    if None in reports or set(answered) != {own, *targets}:
        raise Unparseable(f"ping did not report on each address: {lines[:3]}")
    if not answered[own]:
        raise NoControl(f"{own}, the address that was sent from, does not answer either")
    return Pings(own, {target: answered[target] for target in targets})
