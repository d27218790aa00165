"""report.json: a line for each result and each host, so that a run of any length can be written, and read with grep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from siteproof.results import Run
from siteproof.text.characters import as_json


def render(run: Run) -> Iterator[str]:
    """The whole file, in pieces."""
    yield "{\n"
    for name, value in run.to_json().items():
        yield f"{as_json(name)}: {as_json(value)},\n"
    yield from _list("results", (result.to_json() for result in run.results))
    yield ",\n"
    yield from _list("hosts", map(asdict, run.hosts))
    yield "\n}\n"


def _list(name: str, items: Iterable[dict[str, Any]]) -> Iterator[str]:
    yield f"{as_json(name)}: ["
    for index, item in enumerate(items):
        yield f"{',' if index else ''}\n{as_json(item)}"
    yield "\n]"
