"""What a run of tox counted, as its last line: `N passed, N failed`.

    python3 .ci/tally.py .tox/proof

The folder holds what the environments wrote: `tox.json` is tox's own `--result-json`, a JUnit file
`<environment>.xml` or `<environment>-part-<part>.xml` is pytest's, `proof.json` is from `python -m lab prove --json`.
A test counts once, and so does a fault; an environment that counts nothing itself (lint, types) is one. An environment
that failed though nothing that it counted did is one more failure, and so is a tox that did not come to its end: what
broke off is never counted as passed. Takes nothing but Python, since it speaks also where nothing could be installed.
"""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ElementTree  # noqa: S405 (the files are our own tests')
from dataclasses import dataclass
from pathlib import Path

FAULTS = {"prove": "proof.json"}
"""Environments that count faults, and where."""


@dataclass(frozen=True)
class Count:
    passed: int = 0
    failed: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.passed + other.passed, self.failed + other.failed)


def of_tests(path: Path) -> Count:
    passed = failed = 0
    for case in ElementTree.parse(path).iter("testcase"):  # noqa: S314
        outcomes = {child.tag for child in case}
        if outcomes & {"failure", "error"}:
            failed += 1
        elif "skipped" not in outcomes:
            passed += 1
    return Count(passed, failed)


def of_faults(path: Path) -> Count:
    proven = [bool(fault["ok"]) for fault in json.loads(path.read_text(encoding="utf-8"))["faults"]]
    return Count(proven.count(True), proven.count(False))


def counted(folder: Path) -> dict[str, Count]:
    """By environment, what its files count. Raises what a damaged one makes of it: OSError, ValueError …"""
    found: dict[str, Count] = {}
    for path in sorted(folder.glob("*.xml")):
        name = path.stem.partition("-part-")[0]
        found[name] = found.get(name, Count()) + of_tests(path)
    for name, file in FAULTS.items():
        if (folder / file).exists():
            found[name] = of_faults(folder / file)
    return found


def ended(folder: Path) -> dict[str, bool]:
    """Which environments ran, and whether each came to a good end. Raises likewise, where tox itself did not."""
    environments = json.loads((folder / "tox.json").read_text(encoding="utf-8"))["testenvs"]
    return {name: bool(found["result"]["success"]) for name, found in environments.items() if "result" in found}


def main(folder: Path) -> int:
    counts: dict[str, Count] = {}
    try:
        counts = counted(folder)
        for name, succeeded in ended(folder).items():
            count = counts.get(name, Count())
            if not succeeded and not count.failed:
                counts[name] = count + Count(failed=1)
            elif count == Count():
                counts[name] = Count(passed=1)
    except (OSError, ValueError, KeyError, TypeError, ElementTree.ParseError) as error:
        print(f"tox did not come to its end, or what it counted cannot be read: {error}")
        counts["tox"] = Count(failed=1)
    for name, count in counts.items():
        print(f"{name:14} {count.passed} passed, {count.failed} failed")
    total = sum(counts.values(), Count())
    print(f"{total.passed} passed, {total.failed} failed")
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
