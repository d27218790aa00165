"""One run in one process, and the parts that it is made of. pytest knows nothing of this; `plugin` connects the two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

from siteproof.evidence.bundle import Replay
from siteproof.evidence.known_machines import Known
from siteproof.evidence.store import Store
from siteproof.facts import Site
from siteproof.gather.base import Gatherer
from siteproof.judging.conclude import Concluder
from siteproof.judging.excerpts import Excerpts
from siteproof.judging.judge import Judge
from siteproof.judging.ledger import Ledger
from siteproof.judging.plan import Plan
from siteproof.judging.selection import Selection
from siteproof.text.redaction import Redactor


@dataclass(frozen=True)
class Suite:
    """What a run was opened with, and its parts, each of which alone writes what it holds.

    Under xdist each worker has one, and the controller has one.
    """

    site: Site
    directory: Path
    nonce: str
    store: Store
    gatherer: Gatherer | None
    """None where nobody is asked."""
    checks: Path
    """The directory of the checks: an AssertionError from below it is a violation."""
    started: datetime
    """The clock of the run; of a replay, that of its bundles."""
    selection: Selection
    redactor: Redactor
    plan: Plan
    ledger: Ledger
    lost: tuple[str, ...] = ()
    """The controller's alone: hosts that the run before this one looked at and that the inventory has no more, as a
    sentence."""

    known_machines: Mapping[str, Known] = field(default_factory=dict)
    """What the hosts were in earlier runs. A lab's are new each time, and a replay's were judged then."""

    @cached_property
    def judge(self) -> Judge:
        return Judge(self.site, self.store, self.selection, self.known_machines)

    @cached_property
    def concluder(self) -> Concluder:
        return Concluder(self.site, self.checks, Excerpts(self.store, self.directory, self.redactor))

    @property
    def replayed(self) -> tuple[Path, ...]:
        """The bundles that are judged instead of hosts asked."""
        return self.store.directories if isinstance(self.store, Replay) else ()
