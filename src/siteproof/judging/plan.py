"""What a run is to judge: each check with each of its subjects, before anything is asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from typing import Any, Final

from siteproof.asks import Check, ProbeClass
from siteproof.facts import Case
from siteproof.invariants import Invariant, SeenCheck


@dataclass(frozen=True)
class Planned:
    """A check and one of its subjects, before anything is asked."""

    invariant: Invariant
    case: Case
    nodeid: str
    probe_class: ProbeClass = "reads"
    """The heaviest of the questions that can be foreseen. What cannot is refused where it is asked."""

    @property
    def name(self) -> str:
        return f"{self.invariant.id}[{self.case.id}]"


Make = Callable[[], Check]
"""Starts a check anew."""
Start = tuple[Planned, Make]


class Plan:
    """The checks of a run. Read by all, written by its own methods only.

    It is filled by whoever collects: each worker, and the operator's process where there are no workers. The controller
    of workers collects nothing, and takes over what they tell.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self.whole = whole
        """Nothing that the operator typed leaves out any check or host."""
        self._planned: dict[str, Planned] = {}
        self.planned: Final[Mapping[str, Planned]] = self._planned
        """By node id."""
        self._unjudgeable: set[str] = set()
        """Node ids of what is planned although none of the bundles has all of its hosts."""
        self._follows: dict[str, tuple[str, ...]] = {}
        self.follows: Final[Mapping[str, tuple[str, ...]]] = self._follows
        """Check id -> the ids that it follows from."""
        self.seen: Mapping[str, SeenCheck] = {}
        """Id -> every check that was collected here, also those that this site has no subject for."""
        self.asking: Sequence[Start] = ()
        """The checks whose questions are asked in this run, also those that only a merge of shards can judge."""
        self._expected: set[str] = set()
        """The controller's alone: node ids that the workers were given to judge."""

    def add(self, planned: Planned, *, judgeable: bool = True) -> None:
        """Take a check into the run; one that is not `judgeable` is missed at its end."""
        self._planned[planned.nodeid] = planned
        if not judgeable:
            self._unjudgeable.add(planned.nodeid)

    def collected(self, seen: Mapping[str, SeenCheck], asking: Sequence[Start]) -> None:
        """All of this process has been added."""
        self.seen, self.asking = seen, asking
        self._follows.update((p.invariant.id, p.invariant.follows) for p in self._planned.values())

    @property
    def starts(self) -> list[Make]:
        """Of what is asked."""
        return [make for _, make in self.asking]

    def narrow(self) -> None:
        """The operator left something out."""
        self.whole = False

    def keep(self, nodeids: Set[str]) -> None:
        """Forget what others have deselected since: all that can be judged and is not among `nodeids`."""
        dropped = self._planned.keys() - nodeids - self._unjudgeable
        self.asking = [(planned, make) for planned, make in self.asking if planned.nodeid not in dropped]
        for nodeid in dropped:
            del self._planned[nodeid]

    def to_json(self) -> dict[str, Any]:
        """What a worker planned, for `take_over`."""
        return {
            "checks": {planned.invariant.id: asdict(planned.invariant) for planned in self._planned.values()},
            "planned": {
                nodeid: [p.invariant.id, p.case.id, p.case.host, p.probe_class] for nodeid, p in self._planned.items()
            },
            "follows": {check: list(roots) for check, roots in self._follows.items()},
            "whole": self.whole,
        }

    def take_over(self, told: Mapping[str, Any]) -> None:
        """Controller: learn what a worker planned. Every worker plans the same; the first to end says it for all."""
        checks = {id: _invariant(fields) for id, fields in told["checks"].items()}
        for nodeid, (check, subject, host, probe_class) in told["planned"].items():
            self._planned.setdefault(nodeid, Planned(checks[check], Case(subject, host, {}), nodeid, probe_class))
        self._follows.update((check, tuple(roots)) for check, roots in told["follows"].items())
        self.whole = self.whole and told["whole"]

    def expect(self, nodeids: Iterable[str]) -> None:
        """Controller: what there is to judge, in case that no worker lives to tell more."""
        self._expected.update(nodeids)

    def name_the_expected(self) -> None:
        """Controller: plan what no worker has told of, as far as a node id says what it is."""
        for nodeid in sorted(self._expected):
            function, _, subject = nodeid.rpartition("::")[2].partition("[")
            if nodeid not in self._planned:
                self.add(undeclared(nodeid, function, function, Case(subject.removesuffix("]"), None, {})))


def undeclared(nodeid: str, function: str, sentence: str, case: Case) -> Planned:
    """A test of which no declaration is known: a plain one, or one whose worker has died."""
    invariant = Invariant(
        id=re.sub(r"_+", "-", function.removeprefix("test_")).strip("-"),
        sentence=sentence,
        family="",
        severity="medium",
        incident="",
        remedy="",
        gate=False,
        also=(),
        follows=(),
    )
    return Planned(invariant, case, nodeid)


def _invariant(told: Mapping[str, Any]) -> Invariant:
    fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in told.items()}
    return Invariant(**fields)
