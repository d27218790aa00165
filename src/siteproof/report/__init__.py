"""What a run leaves behind for people and for machines."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from siteproof.machine import writing
from siteproof.report import document, pages, prometheus
from siteproof.results import HostResult, Result, Run, Verdict
from siteproof.text.redaction import NOTHING_SECRET, Redactor, apart

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
STEP_SUMMARY_BYTES = 900_000
"""Forges refuse a summary of more than a mebibyte."""


def _junit(run: Run) -> Iterator[str]:
    # With junitparser behind it: who only looks at what there is to check writes no report.
    from siteproof.report import junit

    return junit.pieces(run)


REPORTS: dict[str, Callable[[Run], str | Iterable[str]]] = {
    "report.json": document.render,
    "junit.xml": _junit,
    "report.md": pages.markdown,
    "report.html": pages.html,
    "metrics.prom": prometheus.render,
}
NOT_TEXT = ("started", "finished", "judged", "severity", "probe_class", "key")
"""Fields that are read by machines and hold nobody's words."""
NAMES = ("id", "subject", "host", "nodeid")
"""Fields that results are told apart by: a secret in one must not make two results of a run the same."""
PIECE = 1 << 18


def without_secrets(run: Run, redactor: Redactor) -> Run:
    """The run as it may be told: before it is laid out, since a line break would split a secret."""
    said = redactor.everywhere(run, spare=NOT_TEXT)
    if said is run:
        return run
    results = [*zip(run.results, said.results, strict=True)]
    hosts = [*zip(run.hosts, said.hosts, strict=True)]
    ids = apart({before.id: after.id for before, after in results})
    subjects = apart({before.subject: after.subject for before, after in results})
    nodeids = apart({before.nodeid: after.nodeid for before, after in results})
    asked = {before.host: after.host for before, after in results if before.host and after.host}
    named = apart(asked | {before.name: after.name for before, after in hosts})
    names = {before.name: f"{ids[before.id]}[{subjects[before.subject]}]" for before, _ in results}
    renamed = (
        replace(
            after,
            id=ids[before.id],
            subject=subjects[before.subject],
            nodeid=nodeids[before.nodeid],
            host=named.get(before.host or "", after.host),
            follows_from=names.get(before.follows_from or "", after.follows_from),
        )
        for before, after in results
    )
    met = (replace(after, name=named[before.name]) for before, after in hosts)
    return replace(said, results=tuple(renamed), hosts=tuple(met))


def write_all(run: Run, directory: Path, redactor: Redactor = NOTHING_SECRET) -> list[str]:
    """Write every report into the run's directory, then let `latest` beside it point there.

    Gives a sentence for what could not be written.
    """
    return [*write_files(run, directory, redactor), *announce(run, directory, redactor)]


def write_files(run: Run, directory: Path, redactor: Redactor = NOTHING_SECRET) -> list[str]:
    """Write every report, each on its own, the one that machines read first."""
    run = without_secrets(run, redactor)
    unwritten = []
    for name, render in REPORTS.items():
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            writing.write(directory / name, _once_more(run, render, redactor))
        except Exception as error:  # noqa: BLE001 - one report is not the others
            unwritten.append(f"{name} could not be written: {_reason(error)}")
    return unwritten


def _once_more(run: Run, render: Callable[[Run], str | Iterable[str]], redactor: Redactor) -> str | Iterator[str]:
    """The text of a report, redacted as it is written: what was put together on its way is found too."""
    rendered = render(run)
    pieces = [rendered] if isinstance(rendered, str) else rendered
    if not redactor:
        return iter(pieces)
    sparing = redactor.sparing("".join(render(_nothing_but_words(run))))
    return map(sparing.text, _in_large(pieces))


def _nothing_but_words(run: Run) -> Run:
    """A run that says nothing: what is in its report is the format's own, and keeps it readable."""
    severities = ("critical", "high", "medium", "low")
    results = [
        Result("", "", "", None, verdict, severities[i % 4], ("reads", "sends", "borrows", "changes")[i % 4], "")
        for i, verdict in enumerate(Verdict)
    ]
    host = HostResult("", False, "", {}, 0.0, ())
    return replace(
        run,
        results=tuple(results),
        hosts=(host,),
        inventory="",
        directory="",
        replayed=(),
        shortfalls=("",),
        remarks=("",),
    )


def _in_large(pieces: Iterable[str]) -> Iterator[str]:
    """The same text in pieces that end with a line, so that no line is looked at in parts."""
    waiting: list[str] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= PIECE and "\n" in piece:
            whole, _, rest = "".join(waiting).rpartition("\n")
            yield f"{whole}\n"
            waiting, size = [rest], len(rest)
    yield "".join(waiting)


def announce(run: Run, directory: Path, redactor: Redactor = NOTHING_SECRET) -> list[str]:
    """Say where the newest reports are. A replay is not the latest run, whenever it is judged."""
    run = without_secrets(run, redactor)
    unsaid = []
    try:
        if not run.replayed:
            writing.point(directory.parent / "latest", directory)
    except OSError as error:
        unsaid.append(f"{directory.parent / 'latest'} does not point to this run: {_reason(error)}")
    if target := os.environ.get(STEP_SUMMARY):
        try:
            summary = "".join(_once_more(run, pages.markdown, redactor))
            if len(summary.encode()) > STEP_SUMMARY_BYTES:
                summary = "".join(_once_more(run, pages.brief_markdown, redactor))
            _append(Path(target), summary)
        except Exception as error:  # noqa: BLE001
            unsaid.append(f"the job summary could not be made: {_reason(error)}")
    return unsaid


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or f"{type(error).__name__}: {error}"


def _append(target: Path, summary: str) -> None:
    try:
        with target.open("a", encoding="utf-8") as file:
            file.write(f"{summary}\n")
    except OSError as error:  # the reports are written; how the run ended must not hang on the forge's file
        print(f"siteproof: no job summary: {error}", file=sys.stderr)
