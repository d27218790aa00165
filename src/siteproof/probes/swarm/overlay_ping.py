"""ping from inside an overlay: whether what is on it is reached from a node."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from ipaddress import IPv4Address

from siteproof.asks import ADDRESS, SMALL, SWARM_ID, Ask, Host, Output, command
from siteproof.errors import NoControl, Unparseable
from siteproof.probes.common import root_words
from siteproof.probes.common.dockers import UNSET
from siteproof.probes.common.root_words import HEX, PIDS
from siteproof.probes.common.sections import split, whole_number

VERSION = {"ping": "ping -V"}

_SCRIPT = UNSET + resources.files(__package__).joinpath("overlay_ping.sh").read_text()
_REPORT = re.compile(
    r"^--- (?P<target>[\d.]+) ping statistics ---\n2 packets transmitted, (?P<received>[0-2]) (?:packets )?received",
    re.M,
)
_ALL, _SOME = 0, 123
"""xargs' status: each ping had an answer; one at least had none."""


@dataclass(frozen=True, slots=True)
class Pings:
    """What answered on the overlay."""

    source: IPv4Address | None
    """The address that was sent from; None if nothing of this node is on the overlay."""
    answered: Mapping[IPv4Address, bool]


def overlay_pings(node: Host, network: str, targets: Iterable[IPv4Address], *, at_most: int) -> Ask[Pings]:
    """Ping `targets` from a container of `node` that is on the overlay with the id `network`.

    They are `at_most` so many, for which the deadline is. That one does not answer counts only if the container's own
    address does; otherwise NoControl.
    """
    listed = sorted(set(targets))
    return command(
        node,
        _SCRIPT,
        probe=f"ping on the overlay {network[:12]}",
        parse=lambda output: parse(output, listed),
        at_most=SMALL,
        # The id is another host's answer: it was checked there, and is again.
        given={"network": SWARM_ID(network), "@": [ADDRESS(target) for target in listed]},
        tools=("docker", "nsenter", "xargs", "ping"),
        root=True,
        root_patterns={"network": (root_words.SWARM_ID,), "id": (HEX * 64,), "pid": PIDS},
        deadline_s=5 + 2 * at_most,
        needs=("dockerd",),
        probe_class="sends",
        slow=True,
    )


def parse(output: Output, targets: Sequence[IPv4Address]) -> Pings:
    """ping's statistics for each target, the container's own address first."""
    sections = split(output.text, "container", "own", "pings", "status")
    container = sections["container"].strip()
    if container == "none":
        return Pings(None, {})
    if not re.fullmatch(r"[0-9a-f]{64}", container):
        raise Unparseable(f"docker ps gave no container: {container[:200]!r}")
    own = IPv4Address(sections["own"].strip())
    status, reports = whole_number(sections, "status"), _REPORT.findall(sections["pings"])
    answered = {IPv4Address(target): received != "0" for target, received in reports}
    expected = _ALL if all(answered.values()) else _SOME
    if [IPv4Address(target) for target, _ in reports] != [own, *targets] or status != expected:
        said = sections["pings"][-200:]
        raise Unparseable(f"ping did not report on each address, or not as its status {status} has it: {said!r}")
    if not answered[own]:
        raise NoControl(f"{own}, the address that was sent from, does not answer either")
    return Pings(own, {target: answered[target] for target in targets})
