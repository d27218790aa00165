"""Prove the suite by the lab's faults: healthy, everything is held; broken, exactly what each fault expects is not."""

from __future__ import annotations

import itertools
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from lab import breaking, lifecycle, seen, state, suite
from lab.errors import LabError
from lab.faults import Expected, Fault, Faults
from lab.following import Edge
from lab.steps import EVERY_HOST
from lab.suite import Report
from lab.topology import Topology

MOST_TOGETHER = 4
EXITS = {"violated": 1, "unknown": 6}


@dataclass
class Proof:
    fault: Fault
    expected: dict[str, str] = field(default_factory=dict)
    edges: frozenset[Edge] = frozenset()
    got: dict[str, str] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    tries: int = 1
    beside: tuple[str, ...] = ()
    """The other faults that stood in the same run."""
    seconds: float = 0.0
    """Of what it was proven together with, its share."""

    @property
    def ok(self) -> bool:
        return not self.differences

    def as_json(self) -> dict[str, Any]:
        found = {
            "id": self.fault.id,
            "expected": self.expected,
            "got": self.got,
            "edges": sorted(map(list, self.edges)),
            "beside": list(self.beside),
            "seconds": round(self.seconds, 1),
            "ok": self.ok,
        }
        return found | ({"tries": self.tries} if self.tries > 1 else {})


@dataclass(frozen=True)
class How:
    """How it is proven."""

    changes: bool = False
    """With the checks that change something on a host."""
    alone: bool = False
    """Each fault in a run of its own."""
    labs: int = 1


def prove_all(lab: str, site: Topology, known: Faults, faults: Sequence[Fault], how: How, out: Path | None) -> int:
    """Prove each fault: healthy, broken, healed. Several labs share the faults, side by side."""
    started = time.monotonic()
    labs = max(1, min(how.labs, len(faults)))
    names = [lab] if labs == 1 else [f"{lab}-{number}" for number in range(1, labs + 1)]
    queue = _Queue(faults, 1 if how.alone else MOST_TOGETHER)
    with ThreadPoolExecutor(labs) as pool:
        provers = list(pool.map(lambda name: _prove_on(name, site, known, queue, how), names))
    proofs = [proof for prover in provers for proof in prover.done]
    proofs.sort(key=lambda proof: faults.index(proof.fault))
    ok = all(proof.ok for proof in proofs)
    if out:
        report = {
            "site": site.site,
            "faults": [proof.as_json() for proof in proofs],
            "absent": dict(known.absent),
            "ok": ok,
            **next((prover.site_seen for prover in provers if prover.site_seen), {}),
        }
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    failed = sum(not proof.ok for proof in proofs)
    summary = f"{failed} of {len(proofs)} faults are not proven" if failed else f"{len(proofs)} faults proven"
    print(f"{summary} in {time.monotonic() - started:.0f} s")
    return 0 if ok else 1


Batch = tuple[Fault, ...]


def together(faults: Iterable[Fault], expected: Mapping[str, Expected], most: int = MOST_TOGETHER) -> list[Batch]:
    """The faults in batches of `most` at most, each of which can be broken and judged in one run.

    Two faults stand in one batch only if no result is expected of both, and no step of the one is taken on a host of
    the other: so each result that is not held has one fault that says so, and nothing is broken or healed twice. One
    that is broken on all hosts stands alone.
    """
    batches: list[list[Fault]] = []
    for fault in sorted(faults, key=lambda fault: -len(expected[fault.id].verdicts)):
        for batch in batches:
            if len(batch) < most and all(_apart(fault, other, expected) for other in batch):
                batch.append(fault)
                break
        else:
            batches.append([fault])
    return [tuple(batch) for batch in batches]


def _apart(one: Fault, other: Fault, expected: Mapping[str, Expected]) -> bool:
    if EVERY_HOST in one.steps.hosts | other.steps.hosts or one.steps.hosts & other.steps.hosts:
        return False
    return not expected[one.id].verdicts.keys() & expected[other.id].verdicts.keys()


class _Queue:
    """The faults that are still to be proven; every lab takes the next ones that suit it."""

    def __init__(self, faults: Sequence[Fault], most: int) -> None:
        self._faults = list(faults)
        self._most = most
        self._batches: list[Batch] | None = None
        self._lock = Lock()

    def take(self, expected: Mapping[str, Expected], suits: Callable[[Batch], bool]) -> Batch | None:
        """The first batch that `suits`, else the first; None when there is none left. All labs are of one site."""
        with self._lock:
            if self._batches is None:
                self._batches = together(self._faults, expected, self._most)
            if not self._batches:
                return None
            chosen = next((batch for batch in self._batches if suits(batch)), self._batches[0])
            self._batches.remove(chosen)
            return chosen

    def rest(self) -> list[Fault]:
        """What is left, when nothing can be learnt on a lab."""
        with self._lock:
            left = self._faults if self._batches is None else [fault for batch in self._batches for fault in batch]
            self._faults, self._batches = [], []
            return left


def _prove_on(lab: str, site: Topology, known: Faults, queue: _Queue, how: How) -> _Prover:
    with lab_up(lab, site.site), tempfile.TemporaryDirectory(prefix="siteproof-prove-") as directory:
        _heal_leftovers(lab, site, known)
        prover = _Prover(lab, site, known, Path(directory), how.changes)
        prover.prove_from(queue)
        return prover


class _Prover:
    """Proves faults on one lab, one batch after the other.

    That a fault is healed shows in a run where all is held. It shows as well in the run of the next batch, as far as
    that expects none of the same results; those that both expect are looked at in between, alone.
    """

    def __init__(self, lab: str, site: Topology, known: Faults, directory: Path, changes: bool) -> None:
        self._changes = changes
        self.done: list[Proof] = []
        self.site_seen: dict[str, Any] = {}
        """What was held by which versions of which tools, and what runs on the hosts; empty if all was never held."""
        self._lab = lab
        self._site = site
        self._known = known
        self._runs = (directory / f"run-{number}" for number in itertools.count())
        self._healthy: Report | None = None
        self._pending: list[Proof] = []
        """Noticed and healed, but nothing has shown yet that they are healed."""
        self._begun = time.monotonic()

    def prove_from(self, queue: _Queue) -> None:
        """Prove what the queue has. Where the lab is not even healthy when new, what is left is not proven."""
        while (healthy := self._healthy_run()).ok:
            batch = queue.take(self._known.expected(healthy.plan), self._shows_healing)
            if batch is None:
                self.settle()
                return
            self.prove(batch)
        for fault in queue.rest():
            self._finish([Proof(fault, differences=_not_quiet("healthy", healthy))])

    def _shows_healing(self, batch: Batch) -> bool:
        """Whether the run of `batch` shows all of what is pending to be healed."""
        return self._healthy is None or not self._overlap(batch, self._known.expected(self._healthy.plan))

    def _overlap(self, batch: Batch, expected: Mapping[str, Expected]) -> set[str]:
        """The results that `batch` expects and whose healing has not been seen."""
        unseen = {key for proof in self._pending for key in proof.expected}
        return unseen & {key for fault in batch for key in expected[fault.id].verdicts}

    def prove(self, batch: Batch) -> None:
        proofs = self._try(batch, 1)
        if not _ok(proofs) and (self._pending or len(batch) > 1):
            # Perhaps it is what was before that is not healed, or the faults are not apart: see to that first.
            self._heal(proofs)
            self.settle()
            if len(batch) > 1:
                said = "; ".join(dict.fromkeys(line for proof in proofs for line in proof.differences))
                names = ", ".join(fault.id for fault in batch)
                print(f"not exact together, so each alone: {names}: {said}", file=sys.stderr, flush=True)
                for fault in batch:
                    self.prove((fault,))
                return
            proofs = self._try(batch, 1)
        if not _ok(proofs):
            # What a busy machine does to a lab is no finding; a second failure, on a new lab, is.
            print(f"{batch[0].id}: {'; '.join(proofs[0].differences)}", file=sys.stderr, flush=True)
            self._renew(f"{batch[0].id} was not proven at the first try")
            proofs = self._try(batch, 2)
        before, self._pending = self._pending, []
        self._finish(before)
        if self._heal(proofs):
            self._pending = proofs
        else:
            self._finish(proofs)

    def _try(self, batch: Batch, number: int) -> list[Proof]:
        proofs = [Proof(f, tries=number, beside=tuple(o.id for o in batch if o is not f)) for f in batch]
        healthy = self._healthy_run()
        if not healthy.ok:
            for proof in proofs:
                proof.differences += _not_quiet("healthy", healthy)
            self._healthy = None
            return proofs
        expected = self._known.expected(healthy.plan)
        for proof in proofs:
            found = expected[proof.fault.id]
            proof.expected, proof.edges = found.verdicts, found.edges
            proof.differences += [f"expected: {said}" for said in found.idle if self._changes]
        if not _ok(proofs):
            return proofs
        self._look_again(self._overlap(batch, expected), healthy)
        try:
            breaking.break_faults(self._lab, batch, self._site, healthy.path)
            compare(proofs, healthy, suite.judge(self._lab, self._site.site, next(self._runs), self._changes))
        except LabError as error:
            for proof in proofs:
                proof.differences.append(f"broken: {error}")
        return proofs

    def _look_again(self, keys: Collection[str], healthy: Report) -> None:
        """See that these results are held again before something else makes them what they were."""
        if not keys:
            return
        only = [healthy.results[key].nodeid for key in sorted(keys)]
        seen = suite.judge(self._lab, self._site.site, next(self._runs), self._changes, only)
        missing = [f"healed: {key} was not judged" for key in sorted(keys - seen.results.keys())]
        if trouble := [*_not_quiet("healed", seen), *missing]:
            for proof in self._pending:
                proof.differences += trouble
            self._renew(f"it is not healthy after {', '.join(proof.fault.id for proof in self._pending)}")
            before, self._pending = self._pending, []
            self._finish(before)

    def settle(self) -> None:
        """See that everything is held now; what is not, the last faults have left behind."""
        if not self._pending:
            return
        proofs, self._pending = self._pending, []
        self._healthy = suite.judge(self._lab, self._site.site, next(self._runs), self._changes)
        if trouble := _not_quiet("healed", self._healthy):
            for proof in proofs:
                proof.differences += trouble
            self._renew(f"it is not healthy after {', '.join(proof.fault.id for proof in proofs)}")
        self._finish(proofs)

    def _healthy_run(self) -> Report:
        """A run where all is held. Nothing can be learnt from breaking a lab that is not; even a new one may not be."""
        if self._healthy is None:
            self._healthy = suite.judge(self._lab, self._site.site, next(self._runs), self._changes)
            if not self._healthy.ok:
                self._renew("it is not healthy")
                self._healthy = suite.judge(self._lab, self._site.site, next(self._runs), self._changes)
        if self._healthy.ok and not self.site_seen:
            running = seen.running(lifecycle.must_run(self._lab), self._site)
            self.site_seen = {"seen": seen.seen(self._healthy.path), "running": running}
        return self._healthy

    def _heal(self, proofs: Sequence[Proof]) -> bool:
        try:
            breaking.heal_faults(self._lab, [proof.fault for proof in proofs], self._site)
        except LabError as error:
            for proof in proofs:
                proof.differences.append(f"healed: {error}")
            self._renew(f"{', '.join(proof.fault.id for proof in proofs)} could not be healed")
            return False
        return True

    def _renew(self, why: str) -> None:
        print(f"the lab {self._lab} is made again, since {why}", file=sys.stderr, flush=True)
        lifecycle.down(self._lab)
        lifecycle.up(self._lab, lambda _: None, self._site.site)
        self._healthy = None

    def _finish(self, proofs: Sequence[Proof]) -> None:
        if not proofs:
            return
        self.done += proofs
        seconds, self._begun = time.monotonic() - self._begun, time.monotonic()
        for proof in proofs:
            proof.seconds = seconds / len(proofs)
            mark = "ok  " if proof.ok else "FAIL"
            again = "  at the second try" if proof.tries > 1 else ""
            beside = f"  beside {', '.join(proof.beside)}" if proof.beside else ""
            said = [f"{mark} {proof.fault.id:36} {len(proof.got):3} noticed  {proof.seconds:5.1f} s{again}{beside}"]
            print("\n       ".join(said + proof.differences), flush=True)


def _ok(proofs: Iterable[Proof]) -> bool:
    return all(proof.ok for proof in proofs)


def compare(proofs: Sequence[Proof], healthy: Report, broken: Report) -> None:
    """Fill the proofs: every result that is not held must be expected of one of the faults, and the other way round.

    What nobody expects is a difference to each of them, since any may have done it.
    """
    whose = {key: proof for proof in proofs for key in proof.expected}

    def differs(key: str, said: str) -> None:
        for proof in [whose[key]] if key in whose else proofs:
            proof.differences.append(f"broken: {said}")

    for key, verdict in broken.loud.items():
        for proof in [whose[key]] if key in whose else proofs:
            proof.got[key] = verdict
    for key in sorted(healthy.results.keys() | broken.results.keys()):
        result = broken.results.get(key)
        wanted = whose[key].expected[key] if key in whose else suite.HELD
        got = result.verdict if result else "missing"
        if got == wanted or (wanted == suite.HELD and got in suite.QUIET):
            continue
        message = f": {_first_line(result.message)}" if result and result.message else ""
        differs(key, f"{key} is {got}, expected {wanted}{message}")
    for key in sorted(whose.keys() & broken.results.keys()):
        result = broken.results[key]
        for pattern in whose[key].fault.must_match(key):
            if not re.search(pattern, result.text):
                differs(key, f"nothing of {key} matches {pattern!r}: {_first_line(result.message)}")
    verdicts = [verdict for proof in proofs for verdict in proof.expected.values()]
    exit_code = next((EXITS[v] for v in EXITS if v in verdicts), 0)
    if _ok(proofs) and broken.exit_code != exit_code:
        for proof in proofs:
            proof.differences.append(f"broken: the suite's exit code is {broken.exit_code}, expected {exit_code}")


def _not_quiet(when: str, report: Report) -> list[str]:
    lines = [
        f"{when}: {key} is {verdict}: {_first_line(report.results[key].message)}"
        for key, verdict in report.loud.items()
    ]
    if not lines and report.exit_code:
        lines.append(f"{when}: everything is held, but the suite's exit code is {report.exit_code}")
    if not report.results:
        lines.append(f"{when}: the report has no results")
    return lines


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else ""


def _heal_leftovers(lab: str, site: Topology, known: Faults) -> None:
    broken = lifecycle.must_run(lab).broken
    if broken:
        print(f"healing what was broken before: {', '.join(broken)}", file=sys.stderr)
        breaking.heal_faults(lab, known.choose(broken), site)


@contextmanager
def lab_up(lab: str, site: str) -> Iterator[None]:
    """The lab is left as it was found: up or down."""
    before = state.running(lab)
    lifecycle.up(lab, lambda text: print(text, file=sys.stderr, flush=True), site)
    try:
        yield
    finally:
        if before is None:
            lifecycle.down(lab)
