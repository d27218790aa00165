"""What runs of tox counted, as its last line: `N passed, N failed`.

    python3 .ci/tally.py .tox/proof

The folder holds what the environments wrote: `tox.json` and `tox-proof.json` are tox's own `--result-json`, of
`tox run` and of `tox run -e proof`. A JUnit file `<environment>.xml` or `<environment>-part-<part>.xml` is pytest's,
`sample.json`, `proof.json` and `other.json` are from `python -m lab prove --json`, `replays.json` is from `python -m
lab replays`. A test counts once, and so does a fault, however often it was tried: it passed if it never failed. An
environment that counts nothing itself (lint, types) is one. An environment that failed though
nothing that it counted did is one more failure, and so is a tox that did not come to its end: what broke off is never
counted as passed. Takes nothing but Python, since it speaks also where nothing could be installed.
"""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ElementTree  # noqa: S405 (the files are our own tests')
from collections.abc import Mapping
from pathlib import Path

RUNS = ("tox.json", "tox-proof.json")
FAULTS = {"sample.json": "sample", "proof.json": "proof", "replays.json": "proof", "other.json": "proof"}
"""Files that count faults, and of which environment."""

Outcomes = dict[str, bool]
"""What was tried -> whether it passed."""


def add(found: Outcomes, more: Mapping[str, bool]) -> None:
    for what, passed in more.items():
        found[what] = found.get(what, True) and passed


def of_tests(path: Path) -> Outcomes:
    """Without those that were skipped."""
    found: Outcomes = {}
    for number, case in enumerate(ElementTree.parse(path).iter("testcase")):  # noqa: S314
        outcomes = {child.tag for child in case}
        name = f"{case.get('classname')}::{case.get('name')}" if case.get("name") else f"{path.name}: {number}"
        if failed := bool(outcomes & {"failure", "error"}):
            found[name] = not failed
        elif "skipped" not in outcomes:
            # An error of its teardown is a case of its own, of the same name.
            found.setdefault(name, True)
    return found


def of_faults(path: Path) -> Outcomes:
    told = json.loads(path.read_text(encoding="utf-8"))
    where = f" on {told['site']}" if path.stem == "other" else ""
    return {f"the fault {fault['id']}{where}": bool(fault["ok"]) for fault in told["faults"]}


def counted(folder: Path) -> dict[str, Outcomes]:
    """By environment, what its files count. Raises what a damaged one makes of it: OSError, ValueError …"""
    found: dict[str, Outcomes] = {}
    for path in sorted(folder.glob("*.xml")):
        add(found.setdefault(path.stem.partition("-part-")[0], {}), of_tests(path))
    for file, name in FAULTS.items():
        if (folder / file).exists():
            add(found.setdefault(name, {}), of_faults(folder / file))
    return found


def ended(path: Path) -> dict[str, bool]:
    """Which environments ran, and whether each came to a good end. Raises likewise, where tox itself did not."""
    environments = json.loads(path.read_text(encoding="utf-8"))["testenvs"]
    return {name: bool(found["result"]["success"]) for name, found in environments.items() if "result" in found}


def main(folder: Path) -> int:
    counts: dict[str, Outcomes] = {}
    broken: list[str] = []
    try:
        counts = counted(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ElementTree.ParseError) as error:
        broken.append(f"what was counted cannot be read: {error}")
    for run in RUNS:
        try:
            for name, succeeded in ended(folder / run).items():
                own = counts.setdefault(name, {})
                # Nor is one that counts nothing taken for passed where it cannot be read what was counted.
                if (not own and not broken) or (not succeeded and all(own.values())):
                    own[f"the environment {name}"] = succeeded
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            broken.append(f"tox did not come to its end: {error}")
    total: Outcomes = {f"{number}: {line}": False for number, line in enumerate(broken)}
    for name, own in counts.items():
        print(f"{name:14} {_said(own)}")
        add(total, own)
    for line in broken:
        print(line)
    print(_said(total))
    return 0 if total and all(total.values()) else 1


def _said(outcomes: Outcomes) -> str:
    passed = sum(outcomes.values())
    return f"{passed} passed, {len(outcomes) - passed} failed"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
