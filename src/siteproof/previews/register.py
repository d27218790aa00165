"""The register: every invariant with what it asks, where its facts stand, and the faults that prove it.

Made from the code of the checks and from the lab's faults, never kept by hand.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from siteproof.errors import BadInput
from siteproof.facts import FAMILIES, PREFIX
from siteproof.invariants import Invariant, SeenCheck


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
            "class": found.probe_class,
            "gate": found.gate,
            "incident": found.incident,
            "asks": list(self.check.asks),
            "facts": [PREFIX + found.family],
            "remedy": found.remedy,
            "follows": list(found.follows),
            "faults": list(self.faults),
            "unproven_because": found.unproven_because,
        }


def entries(checks: Mapping[str, SeenCheck], faults: Sequence[Path]) -> list[Entry]:
    """The register of `checks`, by id. `faults` are the lab's files.

    Raises BadInput if a fault names a check that is not there.
    """
    named = {fault: patterns for file in faults for fault, patterns in _violated_by(file).items()}
    known = [id for id, check in checks.items() if check.invariant.family]
    for fault, patterns in named.items():
        for pattern in patterns:
            if not any(fnmatchcase(id, pattern) for id in known):
                raise BadInput(f"the fault {fault} expects something of {pattern}, which no check is called")
    return [
        Entry(
            check=checks[id],
            faults=tuple(f for f, patterns in named.items() if any(fnmatchcase(id, p) for p in patterns)),
        )
        for id in sorted(known, key=lambda id: (list(FAMILIES).index(checks[id].invariant.family), id))
    ]


def _violated_by(path: Path) -> dict[str, list[str]]:
    """Fault -> the ids of the checks that it must violate; patterns of ids stay patterns."""
    found: dict[str, list[str]] = {}
    try:
        faults = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: not the faults of a lab: {error}") from None
    for fault, said in faults.items():
        expected = said.get("expect", {}) if isinstance(said, dict) else {}
        found[fault] = [name.partition("[")[0] for name, verdict in expected.items() if verdict == "violated"]
    return found


def written(path: Path, register: Sequence[Entry]) -> str:
    """As Markdown where the name ends so, else as JSON."""
    if path.suffix == ".md":
        return _markdown(register)
    return json.dumps([entry.to_json() for entry in register], indent=1, ensure_ascii=False) + "\n"


def unproven(register: Iterable[Entry], proof: Mapping[str, Any] | None = None) -> list[str]:
    """A sentence for each check that nothing proves; `proof` is what `python -m lab prove --json` wrote."""
    ran = None if proof is None else {fault["id"] for fault in proof["faults"] if fault["ok"]}
    said = []
    for entry in register:
        id = entry.invariant.id
        if entry.unproven:
            said.append(f"{id}: no fault of the lab violates it, and it does not say why (unproven_because)")
        elif ran is not None and entry.faults and not ran & set(entry.faults):
            said.append(f"{id}: none of its faults was proven in this run: {', '.join(entry.faults)}")
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
