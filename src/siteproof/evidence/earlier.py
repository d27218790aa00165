"""What earlier runs were answered: evidence like any other, found in their bundles instead of on a host.

It is written into this run's own bundle, so that a check that looks back is judged on one bundle alone, then and later.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from siteproof.asks import Earlier, Output
from siteproof.asks.past import RUN, encoded
from siteproof.evidence.store import Attempt, Store, last_attempt

MOST = 60
"""Runs that are looked back on: the last one of each day."""


def answer(question: Earlier, store: Store) -> Attempt:
    """Look into the bundles beside the one that `store` belongs to."""
    began = time.time()
    own = store.directory.parent
    runs = _runs(Path(question.path) if question.path else own.parent, question.since)
    attempts = [(run.name, last_attempt(run / "evidence", question.host, question.of)) for run in runs if run != own]
    # Redacted before it is packed: nothing that comes later can look into that.
    kept = [(name, store.as_kept(a.output)) for name, a in attempts if a is not None and a.output is not None]
    found = [(name, output) for name, output in kept if isinstance(output, Output)]
    latest = {name[:8]: encoded(name, output) for name, output in found}
    stdout = "".join(f"{line}\n" for line in [*latest.values()][-MOST:])
    return Attempt.of(Output(0, stdout.encode(), b"", began, time.time() - began))


def _runs(directory: Path, since: str) -> Iterator[Path]:
    """The run directories, oldest first. `latest` is a link to one of them."""
    first = since.replace("-", "")
    for path in sorted(directory.glob("*Z-*")):
        if RUN.fullmatch(path.name) and path.name[:8] >= first:
            yield path
