"""Prove the suite by the lab's faults: healthy, everything is held; broken, exactly what the fault names is not."""

from __future__ import annotations

import itertools
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from lab import breaking, lifecycle, state, suite
from lab.errors import LabError
from lab.faults import Fault, Faults, Patterns
from lab.following import Edge
from lab.suite import Report
from lab.topology import Topology

EXITS = {"violated": 1, "unknown": 6}


@dataclass
class Proof:
    fault: Fault
    expected: dict[str, str] = field(default_factory=dict)
    edges: frozenset[Edge] = frozenset()
    got: dict[str, str] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    tries: int = 1

    @property
    def ok(self) -> bool:
        return not self.differences

    def as_json(self) -> dict[str, Any]:
        edges = sorted(map(list, self.edges))
        found = {"id": self.fault.id, "expected": self.expected, "got": self.got, "edges": edges, "ok": self.ok}
        return found | ({"tries": self.tries} if self.tries > 1 else {})


def prove_all(
    lab: str,
    site: Topology,
    known: Faults,
    faults: Sequence[Fault],
    out: Path | None,
    labs: int = 1,
    *,
    changes: bool = False,
) -> int:
    """Prove each fault: healthy, broken, healed. `labs` share the faults, side by side."""
    started = time.monotonic()
    labs = max(1, min(labs, len(faults)))
    names = [lab] if labs == 1 else [f"{lab}-{number}" for number in range(1, labs + 1)]
    queue = _Queue(faults)
    with ThreadPoolExecutor(labs) as pool:
        proofs = [
            proof
            for proofs in pool.map(lambda name: _prove_on(name, site, known, queue, changes), names)
            for proof in proofs
        ]
    proofs.sort(key=lambda proof: faults.index(proof.fault))
    ok = all(proof.ok for proof in proofs)
    if out:
        report = {"faults": [proof.as_json() for proof in proofs], "ok": ok}
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    failed = sum(not proof.ok for proof in proofs)
    summary = f"{failed} of {len(proofs)} faults are not proven" if failed else f"{len(proofs)} faults proven"
    print(f"{summary} in {time.monotonic() - started:.0f} s")
    return 0 if ok else 1


class _Queue:
    """The faults that are still to be proven; every lab takes the next one that suits it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = list(faults)
        self._lock = Lock()

    def take(self, suits: Callable[[Fault], bool]) -> Fault | None:
        """The first fault that `suits`, else the first; None when there is none left."""
        with self._lock:
            if not self._faults:
                return None
            chosen = next((fault for fault in self._faults if suits(fault)), self._faults[0])
            self._faults.remove(chosen)
            return chosen


def _prove_on(lab: str, site: Topology, known: Faults, queue: _Queue, changes: bool) -> list[Proof]:
    with _lab_up(lab), tempfile.TemporaryDirectory(prefix="siteproof-prove-") as directory:
        _heal_leftovers(lab, site, known)
        prover = _Prover(lab, site, known.site, Path(directory), changes)
        while (fault := queue.take(prover.suits)) is not None:
            prover.prove(fault)
        prover.settle()
        return prover.done


class _Prover:
    """Proves faults on one lab, one after the other.

    That a fault is healed shows in a run where all is held. It shows as well in the run of the next fault, if that one
    names none of the same results: so one run proves the healing of one fault and the noticing of the next.
    """

    def __init__(self, lab: str, site: Topology, exceptions: Patterns, directory: Path, changes: bool) -> None:
        self._changes = changes
        self._exceptions = exceptions
        self.done: list[Proof] = []
        self._lab = lab
        self._site = site
        self._runs = (directory / f"run-{number}" for number in itertools.count())
        self._healthy: Report | None = None
        self._pending: Proof | None = None
        """Noticed and healed, but nothing has shown yet that it is healed."""
        self._begun = time.monotonic()

    def suits(self, fault: Fault) -> bool:
        """Whether the run of `fault` would show that the fault before it is healed."""
        if self._healthy is None or self._pending is None:
            return True
        expected = fault.expected(self._healthy.plan, self._exceptions)
        return not expected.verdicts.keys() & self._pending.expected.keys()

    def prove(self, fault: Fault) -> None:
        if not self.suits(fault):
            self.settle()
        proof = self._try(fault, 1)
        if not proof.ok and self._pending is not None:
            # Perhaps it is the fault before that is not healed: see to that first, and try this one alone.
            self._heal(Proof(fault))
            self.settle()
            proof = self._try(fault, 1)
        if not proof.ok:
            # What a busy machine does to a lab is no finding; a second failure, on a new lab, is.
            print(f"{fault.id}: {'; '.join(proof.differences)}", file=sys.stderr, flush=True)
            self._renew(f"{fault.id} was not proven at the first try")
            proof = self._try(fault, 2)
        before, self._pending = self._pending, None
        if before is not None:
            self._finish(before)
        if self._heal(proof):
            self._pending = proof
        else:
            self._finish(proof)

    def _try(self, fault: Fault, number: int) -> Proof:
        proof = Proof(fault, tries=number)
        if self._is_healthy(proof):
            self._notice(proof)
        return proof

    def settle(self) -> None:
        """See that everything is held now; what is not, the last fault has left behind."""
        if self._pending is None:
            return
        proof, self._pending = self._pending, None
        self._healthy = suite.judge(self._lab, next(self._runs), self._changes)
        if trouble := _not_quiet("healed", self._healthy):
            proof.differences += trouble
            self._renew(f"it is not healthy after {proof.fault.id}")
        self._finish(proof)

    def _is_healthy(self, proof: Proof) -> bool:
        """Nothing can be learnt from breaking a lab that is not; even a new one may not be."""
        if self._healthy is None:
            self._healthy = suite.judge(self._lab, next(self._runs), self._changes)
            if _not_quiet("healthy", self._healthy):
                self._renew("it is not healthy")
                self._healthy = suite.judge(self._lab, next(self._runs), self._changes)
            proof.differences += _not_quiet("healthy", self._healthy)
            if not proof.ok:
                self._healthy = None
        return proof.ok

    def _notice(self, proof: Proof) -> None:
        if self._healthy is None:
            return
        try:
            breaking.break_faults(self._lab, [proof.fault], self._site, self._healthy.path)
            broken = suite.judge(self._lab, next(self._runs), self._changes)
            compare(proof, self._healthy, broken, self._exceptions, self._changes)
        except LabError as error:
            proof.differences.append(f"broken: {error}")

    def _heal(self, proof: Proof) -> bool:
        try:
            breaking.heal_faults(self._lab, [proof.fault], self._site)
        except LabError as error:
            proof.differences.append(f"healed: {error}")
            self._renew(f"{proof.fault.id} could not be healed")
            return False
        return True

    def _renew(self, why: str) -> None:
        print(f"the lab {self._lab} is made again, since {why}", file=sys.stderr, flush=True)
        lifecycle.down(self._lab)
        lifecycle.up(self._lab, lambda _: None)
        self._healthy = None

    def _finish(self, proof: Proof) -> None:
        self.done.append(proof)
        seconds, self._begun = time.monotonic() - self._begun, time.monotonic()
        mark = "ok  " if proof.ok else "FAIL"
        again = "  at the second try" if proof.tries > 1 else ""
        said = [f"{mark} {proof.fault.id:36} {len(proof.got):3} noticed  {seconds:5.1f} s{again}"]
        print("\n       ".join(said + proof.differences), flush=True)


def compare(proof: Proof, healthy: Report, broken: Report, exceptions: Patterns, whole: bool = True) -> None:
    """Fill the proof: every result that is not held must be expected of the fault, and the other way round."""
    fault = proof.fault
    expected = fault.expected(healthy.plan, exceptions)
    proof.expected, proof.edges, proof.got = expected.verdicts, expected.edges, broken.loud
    proof.differences += [f"expected: {said}" for said in expected.idle if whole]
    for key in sorted(healthy.results.keys() | broken.results.keys()):
        result = broken.results.get(key)
        wanted = proof.expected.get(key, suite.HELD)
        got = result.verdict if result else "missing"
        if got == wanted or (wanted == suite.HELD and got in suite.QUIET):
            continue
        message = f": {_first_line(result.message)}" if result and result.message else ""
        proof.differences.append(f"broken: {key} is {got}, expected {wanted}{message}")
    for key in proof.expected.keys() & broken.results.keys():
        result = broken.results[key]
        for pattern in fault.must_match(key):
            if not re.search(pattern, result.text):
                message = _first_line(result.message)
                proof.differences.append(f"broken: nothing of {key} matches {pattern!r}: {message}")
    exit_code = next((EXITS[v] for v in EXITS if v in proof.expected.values()), 0)
    if proof.ok and broken.exit_code != exit_code:
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
def _lab_up(lab: str) -> Iterator[None]:
    """The lab is left as it was found: up or down."""
    before = state.running(lab)
    lifecycle.up(lab, lambda text: print(text, file=sys.stderr, flush=True))
    try:
        yield
    finally:
        if before is None:
            lifecycle.down(lab)
