"""Old bundles, judged by today's checks: as then, or unknown where a probe asks in other words now."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[2]
BUNDLES = PROJECT / "tests/bundles"


def judged(bundle: str, reports: Path) -> dict[str, Any]:
    line = [sys.executable, "-m", "pytest", "-p", "no:hypothesispytest"]
    line += ["tests_infra/test_path.py", "tests_infra/test_edge.py"]
    options = ["--hosts=inventories/lab", f"--replay={BUNDLES / bundle}", f"--reports={reports}"]
    done = subprocess.run([*line, *options], cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    (run,) = reports.iterdir()
    report: dict[str, Any] = json.loads((run / "report.json").read_text())
    assert done.returncode == report["exit_code"], done.stdout
    return report


@pytest.mark.parametrize(
    ("bundle", "violated"), [("healthy", set()), ("node-mtu-1500", {"mtu-node[worker1]"})], ids=lambda value: str(value)
)
def test_an_old_bundle_is_judged_as_then(bundle: str, violated: set[str], tmp_path: Path) -> None:
    report = judged(bundle, tmp_path / "reports")
    verdicts = {f"{r['id']}[{r['subject']}]": r["verdict"] for r in report["results"]}
    assert {name for name, verdict in verdicts.items() if verdict == "violated"} == violated
    assert verdicts["mtu-node[cp1]"] == "held"
    unknown = [r for r in report["results"] if r["verdict"] == "unknown"]
    assert all("not in the evidence" in r["message"] for r in unknown)
    assert report["started"] == json.loads((BUNDLES / bundle / "run.json").read_text())["started"]
