"""What a run leaves behind for people and for machines."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from siteproof import files
from siteproof.report import document, junit, pages, prometheus
from siteproof.results import Run

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
STEP_SUMMARY_BYTES = 900_000
"""Forges refuse a summary of more than a mebibyte."""


def write_all(run: Run, directory: Path) -> list[str]:
    """Write every report into the run's directory, then let `latest` beside it point there.

    Gives a sentence for what could not be written.
    """
    return [*write_files(run, directory), *announce(run, directory)]


def write_files(run: Run, directory: Path) -> list[str]:
    """Write every report, each on its own, the one that machines read first."""
    reports: dict[str, Callable[[Run], str | Iterable[str]]] = {
        "report.json": document.render,
        "junit.xml": junit.pieces,
        "report.md": pages.markdown,
        "report.html": pages.html_pieces,
        "metrics.prom": prometheus.render,
    }
    unwritten = []
    for name, render in reports.items():
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.write(directory / name, render(run))
        except Exception as error:  # noqa: BLE001 - one report is not the others
            unwritten.append(f"{name} could not be written: {_reason(error)}")
    return unwritten


def announce(run: Run, directory: Path) -> list[str]:
    """Say where the newest reports are. A replay is not the latest run, whenever it is judged."""
    unsaid = []
    try:
        if not run.replayed:
            files.point(directory.parent / "latest", directory)
    except OSError as error:
        unsaid.append(f"{directory.parent / 'latest'} does not point to this run: {_reason(error)}")
    if target := os.environ.get(STEP_SUMMARY):
        try:
            summary = pages.markdown(run)
            _append(Path(target), summary if len(summary.encode()) <= STEP_SUMMARY_BYTES else _short(run))
        except Exception as error:  # noqa: BLE001
            unsaid.append(f"the job summary could not be made: {_reason(error)}")
    return unsaid


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or f"{type(error).__name__}: {error}"


def _short(run: Run) -> str:
    return pages.markdown(run, details=False)


def _append(target: Path, summary: str) -> None:
    try:
        with target.open("a", encoding="utf-8") as file:
            file.write(f"{summary}\n")
    except OSError as error:  # the reports are written; how the run ended must not hang on the forge's file
        print(f"siteproof: no job summary: {error}", file=sys.stderr)
