"""Prove the suite by the lab's faults: healthy, everything is held; broken, exactly what the fault names is not."""

from __future__ import annotations

import itertools
import json
import re
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import breaking, lifecycle, state, suite
from lab.errors import LabError
from lab.faults import Fault
from lab.suite import Report
from lab.topology import Topology

EXITS = {"violated": 1, "unknown": 6}


@dataclass
class Proof:
    fault: Fault
    expected: dict[str, str] = field(default_factory=dict)
    got: dict[str, str] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.differences

    def as_json(self) -> dict[str, Any]:
        return {"id": self.fault.id, "expected": self.expected, "got": self.got, "ok": self.ok}


def prove_all(lab: str, site: Topology, faults: Sequence[Fault], out: Path | None, labs: int = 1) -> int:
    """Prove each fault; the healed run of one is the healthy run of the next. `labs` share the faults, side by side."""
    started = time.monotonic()
    labs = max(1, min(labs, len(faults)))
    names = [lab] if labs == 1 else [f"{lab}-{number}" for number in range(1, labs + 1)]
    queue = _Queue(faults)
    with ThreadPoolExecutor(labs) as pool:
        proofs = [proof for proofs in pool.map(lambda name: _prove_on(name, site, queue), names) for proof in proofs]
    proofs.sort(key=lambda proof: faults.index(proof.fault))
    ok = all(proof.ok for proof in proofs)
    if out:
        report = {"faults": [proof.as_json() for proof in proofs], "ok": ok}
        out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    failed = sum(not proof.ok for proof in proofs)
    summary = f"{failed} of {len(proofs)} faults are not proven" if failed else f"{len(proofs)} faults proven"
    print(f"{summary} in {time.monotonic() - started:.0f} s")
    return 0 if ok else 1


class _Queue:
    """The faults that are still to be proven; every lab takes the next one."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = deque(faults)

    def __iter__(self) -> Iterator[Fault]:
        return self

    def __next__(self) -> Fault:
        try:
            return self._faults.popleft()
        except IndexError:
            raise StopIteration from None


def _prove_on(lab: str, site: Topology, faults: Iterator[Fault]) -> list[Proof]:
    proofs: list[Proof] = []
    with _lab_up(lab), tempfile.TemporaryDirectory(prefix="siteproof-prove-") as directory:
        runs = (Path(directory, f"run-{number}") for number in itertools.count())
        _heal_leftovers(lab, site)
        healthy: Report | None = None
        for fault in faults:
            begun = time.monotonic()
            healthy = healthy or _healthy(lab, runs)
            trouble = _not_quiet("healthy", healthy)
            if trouble:
                # Even a new lab is not healthy, so nothing can be learnt from breaking it.
                proofs += [Proof(left, differences=trouble) for left in (fault, *faults)]
                print("nothing is broken, and not everything is held:", *trouble, sep="\n       ", flush=True)
                break
            proof, healthy = _prove(lab, site, fault, healthy, runs)
            proofs.append(proof)
            mark = "ok  " if proof.ok else "FAIL"
            said = [f"{mark} {fault.id:36} {len(proof.got):3} noticed  {time.monotonic() - begun:5.1f} s"]
            print("\n       ".join(said + proof.differences), flush=True)
    return proofs


def _healthy(lab: str, runs: Iterator[Path]) -> Report:
    """A run with nothing broken; a lab that someone has used may need to be made again for that."""
    report = suite.judge(lab, next(runs))
    if _not_quiet("healthy", report):
        _renew(lab, "it is not healthy")
        report = suite.judge(lab, next(runs))
    return report


def _prove(
    lab: str, site: Topology, fault: Fault, healthy: Report, runs: Iterator[Path]
) -> tuple[Proof, Report | None]:
    """The proof, and the run after healing if that was healthy, else None (and the lab is a new one)."""
    proof = Proof(fault)
    try:
        breaking.break_faults(lab, [fault], site, healthy.path)
        compare(proof, healthy, suite.judge(lab, next(runs)))
    except LabError as error:
        proof.differences.append(f"broken: {error}")
    try:
        breaking.heal_faults(lab, [fault], site)
        healed = suite.judge(lab, next(runs))
    except LabError as error:
        proof.differences.append(f"healed: {error}")
        _renew(lab, f"{fault.id} could not be healed")
        return proof, None
    trouble = _not_quiet("healed", healed)
    if trouble:
        proof.differences += trouble
        _renew(lab, f"it is not healthy after {fault.id}")
        return proof, None
    return proof, healed


def compare(proof: Proof, healthy: Report, broken: Report) -> None:
    """Fill the proof: every result that is not held must be named by the fault, and the other way round."""
    fault = proof.fault
    proof.expected = fault.expected(healthy.results)
    proof.got = broken.loud
    for pattern in fault.matching_nothing(healthy.results.keys()):
        proof.differences.append(f"expected: {pattern} names no result of the healthy run")
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


def _renew(lab: str, why: str) -> None:
    print(f"the lab is made again, since {why}", file=sys.stderr, flush=True)
    lifecycle.down(lab)
    lifecycle.up(lab, lambda _: None)


def _heal_leftovers(lab: str, site: Topology) -> None:
    from lab.faults import choose, load

    broken = lifecycle.must_run(lab).broken
    if broken:
        print(f"healing what was broken before: {', '.join(broken)}", file=sys.stderr)
        breaking.heal_faults(lab, choose(load(site), broken), site)


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
