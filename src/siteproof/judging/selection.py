"""Which of the planned checks are part of this run, and on which hosts."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from siteproof.asks import Consent, Question, Recorded
from siteproof.errors import BadInput, NotRecorded
from siteproof.evidence.store import Store
from siteproof.facts import Node
from siteproof.inventory.inventory import Inventory
from siteproof.judging.plan import Planned

_SHARD = re.compile(r"(\d{1,4})/(\d{1,4})")


def shard(read: Inventory, written: str | None) -> Inventory:
    """`2/3` leaves every third of the selected hosts by name, from the second on. Raises BadInput."""
    if written is None:
        return read
    match = _SHARD.fullmatch(written)
    number, of = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 0 < number <= of:
        raise BadInput(f"--shard={written}: a shard is written i/n, from 1/n to n/n")
    hosts = sorted(read.selected)[number - 1 :: of]
    if not hosts:
        raise BadInput(f"--shard={written}: there are only {len(read.selected)} hosts")
    said = f"shard {written}: {', '.join(hosts)}"
    return replace(read, selected=frozenset(hosts), notes=(*read.notes, said))


@dataclass(frozen=True)
class Selection:
    """What the options leave of the plan."""

    gate: bool
    read_only: bool
    changes: bool
    hosts: frozenset[str]
    """Of the inventory, after --limit and --shard."""
    every_host: bool
    """None was left out, so that nobody has to look where a check asks."""
    unasked: frozenset[str] = frozenset()
    """Replay: hosts that none of the bundles has."""

    def unwanted(self, planned: Planned) -> str | None:
        """Why the options leave a check out, wherever it asks; None if they do not."""
        if self.gate and not planned.invariant.gate:
            return "not part of the gate"
        return self.consent.against(planned.probe_class)

    @property
    def consent(self) -> Consent:
        return Consent(self.read_only, self.changes)

    def elsewhere(self, planned: Planned, first: Iterable[Question]) -> str | None:
        """Why a check cannot be judged on the hosts of this run; None if it can. `first` is what it asks at first."""
        if self.every_host or not (away := (asked := vantage_points(planned, first)) - self.hosts):
            return None
        return "not on the hosts of this run" if away == asked else f"also asks {', '.join(sorted(away))}"

    def cannot_judge(self, planned: Planned, first: Iterable[Question]) -> bool:
        """Whether a check of this run asks a host that none of the bundles has."""
        return bool(self.unasked) and bool(vantage_points(planned, first) & self.unasked)


def vantage_points(planned: Planned, first: Iterable[Question]) -> frozenset[str]:
    """The hosts that a check asks, as far as they are known before anything is: its subjects' and its first round's."""
    case = planned.case
    hosts = {value.host for value in case.arguments.values() if isinstance(value, Node)}
    hosts |= {question.host for question in first}
    return frozenset(hosts | ({case.host} if case.host else set()))


class Here:
    """The evidence as a part of the site sees it: nobody else's hosts are asked from here.

    So a check across parts has its questions asked in each of them, and is judged where all parts come together.
    """

    def __init__(self, store: Store, hosts: Collection[str]) -> None:
        self._store = store
        self._hosts = hosts

    def get(self, question: Question) -> Recorded | None:
        if question.host not in self._hosts:
            return NotRecorded(f"{question.host} is not part of this run", host=question.host)
        return self._store.get(question)
