"""The register: every invariant with what it asks, where its facts stand, and the faults that prove it.

Made from the code of the checks and from what the lab says of its faults, never kept by hand.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siteproof.errors import BadInput
from siteproof.facts import FAMILIES, PREFIX
from siteproof.invariants import Invariant, SeenCheck

LAB_SECONDS = 60


@dataclass(frozen=True)
class Entry:
    """One invariant."""

    check: SeenCheck
    faults: tuple[str, ...]
    """The faults that it must notice as violated."""

    @property
    def invariant(self) -> Invariant:
        return self.check.invariant

    @property
    def unproven(self) -> bool:
        """Nothing shows that it can fail, and it does not say why."""
        return not self.faults and not self.invariant.unproven_because

    def to_json(self) -> dict[str, Any]:
        found = self.invariant
        return {
            "id": found.id,
            "also": list(found.also),
            "check": self.check.function,
            "sentence": found.sentence,
            "severity": found.severity,
            "class": self.check.probe_class,
            "gate": found.gate,
            "incident": found.incident,
            "asks": list(self.check.asks),
            "facts": [PREFIX + found.family],
            "remedy": found.remedy,
            "follows": list(found.follows),
            "subjects": [
                {"subject": subject, "host": host, "among": list(among)} for subject, host, among in self.check.subjects
            ],
            "faults": list(self.faults),
            "unproven_because": found.unproven_because,
            "witness": found.witness,
            "unwitnessed_because": found.unwitnessed_because,
        }


@dataclass(frozen=True)
class Proofs:
    """What the lab's faults prove, as the lab itself says."""

    violated: Mapping[str, tuple[str, ...]]
    """Fault -> the ids of the checks that it must violate."""
    edges: frozenset[tuple[str, str]]
    """(root, follower): some fault must violate both, and the one brings the other along."""


def ask_lab(command: Sequence[str], checks: Mapping[str, SeenCheck], directory: Path) -> Proofs:
    """Give `command` the checks as the register has them, on its stdin, and read which faults it says.

    Without a command there are no faults. The word `python` at its beginning is this Python. Raises BadInput with the
    command's own words if it refuses the checks, or a fault.
    """
    if not command:
        return Proofs({}, frozenset())
    line = [sys.executable, *command[1:]] if command[0] == "python" else list(command)
    asked = written(Path("-"), entries(checks, Proofs({}, frozenset())))
    try:
        done = subprocess.run(
            line, input=asked, capture_output=True, text=True, errors="replace", timeout=LAB_SECONDS, cwd=directory
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BadInput(f"{shlex.join(command)}: {error}") from None
    if done.returncode:
        said = done.stderr.strip() or f"it ended with {done.returncode} and said nothing"
        raise BadInput(f"{shlex.join(command)}: {said}")
    try:
        faults = json.loads(done.stdout)["faults"]
        violated = {
            str(fault["id"]): tuple({key.partition("[")[0] for key, v in fault["expected"].items() if v == "violated"})
            for fault in faults
        }
        edges = frozenset((str(root), str(follower)) for fault in faults for root, follower in fault["edges"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(f"{shlex.join(command)}: what it said is no list of faults ({type(error).__name__})") from None
    return Proofs(violated, edges)


def entries(checks: Mapping[str, SeenCheck], proofs: Proofs) -> list[Entry]:
    """The register of `checks`, by id."""
    known = [id for id, check in checks.items() if check.invariant.family]
    return [
        Entry(check=checks[id], faults=tuple(fault for fault, ids in proofs.violated.items() if id in ids))
        for id in sorted(known, key=lambda id: (list(FAMILIES).index(checks[id].invariant.family), id))
    ]


def written(path: Path, register: Sequence[Entry]) -> str:
    """As Markdown where the name ends so, else as JSON."""
    if path.suffix == ".md":
        return _markdown(register)
    return json.dumps([entry.to_json() for entry in register], indent=1, ensure_ascii=False) + "\n"


def unproven(register: Sequence[Entry], proofs: Proofs, proof: Mapping[str, Any] | None = None) -> list[str]:
    """A sentence for each check and each edge that nothing proves.

    `proof` is what `python -m lab prove --json` wrote.
    """
    ran = None if proof is None else {fault["id"] for fault in proof["faults"] if fault["ok"]}
    said = []
    for entry in register:
        id = entry.invariant.id
        if entry.unproven:
            said.append(f"{id}: no fault of the lab violates it, and it does not say why (unproven_because)")
        elif ran is not None and entry.faults and not ran & set(entry.faults):
            said.append(f"{id}: none of its faults was proven in this run: {', '.join(entry.faults)}")
    return said + _unproven_edges(register, proofs)


def _unproven_edges(register: Iterable[Entry], proofs: Proofs) -> list[str]:
    """Where the lab cannot violate one of the two checks, it cannot show the edge either."""
    known = {entry.invariant.id: entry.invariant for entry in register}
    said = []
    for id, root in ((id, root) for id, found in known.items() for root in found.follows):
        if root not in known:
            said.append(f"{id}: it follows from {root}, which no check is called")
        elif (root, id) not in proofs.edges and not (known[id].unproven_because or known[root].unproven_because):
            said.append(f"{id}: that it follows from {root} is shown by no fault: none violates both")
    return said


def _markdown(register: Sequence[Entry]) -> str:
    import jinja2  # few runs write a register

    loader = jinja2.PackageLoader("siteproof.report")
    environment = jinja2.Environment(  # Markdown for readers of this repository, not HTML  # noqa: S701  # nosec B701
        loader=loader,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    families = {name: [e for e in register if e.invariant.family == name] for name in FAMILIES}
    sentences = {name: (model.__doc__ or "").strip().splitlines()[0] for name, model in FAMILIES.items()}
    return environment.get_template("register.md").render(families=families, sentences=sentences, count=len(register))
