"""report.json: a line for each result and each host, so that a run of any length can be written, and read with grep."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from siteproof.results import Run


def render(run: Run) -> Iterator[str]:
    """The whole file, in pieces."""
    yield "{\n"
    for name, value in run.to_json().items():
        yield f"{_line(name)}: {_line(value)},\n"
    yield from _list("results", (result.to_json() for result in run.results))
    yield ",\n"
    yield from _list("hosts", map(asdict, run.hosts))
    yield "\n}\n"


def _list(name: str, items: Iterable[dict[str, Any]]) -> Iterator[str]:
    yield f"{_line(name)}: ["
    for index, item in enumerate(items):
        yield f"{',' if index else ''}\n{_line(item)}"
    yield "\n]"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
