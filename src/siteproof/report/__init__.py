"""What a run leaves behind for people and for machines."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from siteproof import files
from siteproof.report import document, junit, pages, prometheus
from siteproof.results import Run

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
STEP_SUMMARY_BYTES = 900_000
"""Forges refuse a summary of more than a mebibyte."""


def write_all(run: Run, directory: Path) -> None:
    """Write every report into the run's directory, then let `latest` beside it point there.

    A replay is not the latest run, whenever it is judged.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    summary = pages.markdown(run)
    files.write(directory / "report.json", document.render(run))
    files.write(directory / "junit.xml", junit.pieces(run))
    files.write(directory / "report.md", summary)
    files.write(directory / "report.html", pages.html_pieces(run))
    files.write(directory / "metrics.prom", prometheus.render(run))
    if not run.replayed:
        files.point(directory.parent / "latest", directory)
    if target := os.environ.get(STEP_SUMMARY):
        _append(Path(target), summary if len(summary.encode()) <= STEP_SUMMARY_BYTES else _short(run))


def _short(run: Run) -> str:
    return pages.markdown(run, details=False)


def _append(target: Path, summary: str) -> None:
    try:
        with target.open("a", encoding="utf-8") as file:
            file.write(f"{summary}\n")
    except OSError as error:  # the reports are written; how the run ended must not hang on the forge's file
        print(f"siteproof: no job summary: {error}", file=sys.stderr)
