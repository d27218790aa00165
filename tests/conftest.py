"""What all tests share: the helpers of the unit tests, and the count of corruptions at the end of a run with some."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "unit"))

from shared_fixtures import key, project, sshd  # noqa: E402, F401

KINDS = ("tried", "unknown", "unchanged", "misread")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """From the reports' properties, so that it is right under xdist too; as JSON where SITEPROOF_CORRUPTION says."""
    counts: dict[str, Counter[str]] = {"corruption": Counter(), "corrupted verdicts": Counter()}
    probes: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", []):
        for name, value in getattr(report, "user_properties", []):
            if name in counts and report.when == "call":
                counts[name].update({kind: value[kind] for kind in KINDS})
                probes.update([value["probe"]] if value.get("probe") else [])
    if not counts["corruption"]:
        return
    terminalreporter.section("corruption")
    for name, what in (("corruption", "damaged answers"), ("corrupted verdicts", "verdicts on them")):
        if found := counts[name]:
            terminalreporter.write_line(
                f"{what}: {found['tried']} tried, {found['unknown']} unknown, {found['unchanged']} unchanged, "
                f"{found['misread']} misread"
            )
    terminalreporter.write_line(f"of {sum(probes.values())} recordings of {len(probes)} probes")
    if file := os.environ.get("SITEPROOF_CORRUPTION"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(
            json.dumps(
                {
                    "answers": {kind: counts["corruption"][kind] for kind in KINDS},
                    "verdicts": {kind: counts["corrupted verdicts"][kind] for kind in KINDS},
                    "recordings": sum(probes.values()),
                    "probes": len(probes),
                },
                indent=1,
            )
            + "\n"
        )
