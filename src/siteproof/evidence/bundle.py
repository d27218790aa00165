"""Bundles: what a run leaves behind to be judged again, and several of them judged as one.

A run directory is a bundle: `evidence/` has the answers, `run.json` what the run knew of itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from siteproof.asks import Output, Question
from siteproof.errors import BadInput, ProbeError
from siteproof.evidence.store import Attempt, Evidence, HostRecord, Store
from siteproof.machine.reading import read_regular
from siteproof.machine.writing import write
from siteproof.text.characters import as_json
from siteproof.text.redaction import NOTHING_SECRET, Redactor

FILE = "run.json"
SCHEMA = 1


@dataclass(frozen=True)
class RunRecord:
    """A run, as it wrote itself down when it began and again when it ended."""

    started: str
    """ISO 8601, UTC: the clock of whatever is judged on this evidence."""
    finished: str | None
    """None while it runs, and where it was killed."""
    nonce: str
    inventory: str
    hosts: tuple[str, ...]
    """All hosts of the inventory."""
    selected: tuple[str, ...]
    """Those that --limit and --shard left."""
    options: Mapping[str, bool]
    """The options that leave out whole classes of checks: gate, read_only, changes."""
    versions: Mapping[str, str]
    """Ours: siteproof, python, pytest."""
    planned: tuple[str, ...] = ()
    """`id[subject]`."""


def new_directory(reports: Path, started: datetime) -> Path:
    """`<reports>/<UTC to ms>-<pid>`. What is made here is its owner's alone, whatever the umask. Raises BadInput."""
    stamp = started.strftime("%Y%m%dT%H%M%S.") + f"{started.microsecond // 1000:03d}Z"
    directory = reports / f"{stamp}-{os.getpid()}"
    try:
        for missing in [path for path in (reports, *reports.parents) if not path.exists()][::-1]:
            missing.mkdir(mode=0o700)
        directory.mkdir(mode=0o700)
    except (OSError, RuntimeError) as error:  # Python 3.11 has a RuntimeError for a loop of links
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise BadInput(f"--reports {reports}: no run can be kept there: {reason}") from None
    return directory


def write_record(directory: Path, record: RunRecord, redactor: Redactor = NOTHING_SECRET) -> None:
    # What hosts are called is how a replay finds them.
    said = redactor.everywhere(record, spare=("started", "finished", "nonce", "hosts", "selected"))
    write(directory / FILE, as_json({"schema": SCHEMA, **asdict(said)}, indent=2) + "\n")


def read_record(directory: Path) -> RunRecord:
    """Raises BadInput where the directory is not a run's."""
    path = directory / FILE
    try:
        found = json.loads(read_regular(path))
        if found.pop("schema") != SCHEMA:
            raise BadInput(f"{path}: written by another version of siteproof, its schema is not {SCHEMA}")
        return _record(found)
    except OSError as error:
        raise BadInput(f"--replay {directory}: not the directory of a run ({path.name}: {error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise BadInput(f"{path}: not the record of a run: {type(error).__name__}: {error}") from None


def _record(found: Mapping[str, Any]) -> RunRecord:
    """Raises ValueError, KeyError, TypeError, AttributeError or OverflowError where it is not what a run writes."""
    lists = {name: tuple(found[name]) for name in ("hosts", "selected", "planned")}
    texts = (found["nonce"], found["inventory"], *lists["hosts"], *lists["selected"], *lists["planned"])
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a name that is not a text")
    if any(isinstance(found[name], str) for name in lists):
        raise TypeError("a text instead of a list")
    if not all(isinstance(value, bool) for value in found["options"].values()):
        raise TypeError("an option that is neither true nor false")
    for moment in (found["started"], *([found["finished"]] if found["finished"] is not None else [])):
        if (time := datetime.fromisoformat(moment)).tzinfo is None:
            raise ValueError("a time without its zone")
        time.astimezone(UTC)  # reports are in UTC, and at the ends of the calendar not every zone's time is one
    return RunRecord(**{**found, **lists})


class Replay(Store):
    """The evidence of several runs, as if it were one's. Nothing is added to it."""

    def __init__(self, directories: Sequence[Path]) -> None:
        """Raises BadInput."""
        found = [(read_record(path), path) for path in directories]  # first: it may be a loop of links
        records = {path.resolve(): record for record, path in found}
        newest_first = sorted(records, key=lambda path: (records[path].started, str(path)), reverse=True)
        if missing := [path for path in newest_first if not (path / "evidence").is_dir()]:
            raise BadInput(f"--replay {missing[0]}: it has no folder evidence/")
        self.directories = tuple(newest_first)
        self.records = tuple(records[path] for path in newest_first)
        self.hosts_asked = frozenset(host for record in self.records for host in record.selected)
        self._stores = tuple(Store(path / "evidence") for path in newest_first)
        self.directory = newest_first[0] / "evidence"

    @property
    def started(self) -> datetime:
        """The clock: when the first of the runs began."""
        return min(datetime.fromisoformat(record.started) for record in self.records)

    @property
    def finished(self) -> datetime:
        """When the last of them ended; one that was killed counts as ended when it began."""
        return max(datetime.fromisoformat(record.finished or record.started) for record in self.records)

    def all_had(self, option: str) -> bool:
        return all(record.options.get(option, False) for record in self.records)

    def get(self, question: Question) -> Output | ProbeError | None:
        """Of a question that several of the runs have asked, the newest run's answer."""
        found = (store.get(question) for store in self._stores)
        return next((answer for answer in found if answer is not None), None)

    def evidence(self, question: Question) -> Evidence | None:
        found = (store.evidence(question) for store in self._stores)
        return next((evidence for evidence in found if evidence is not None), None)

    def file_of(self, host: str) -> Path:
        files = [store.file_of(host) for store in self._stores]
        return next((file for file in files if file.exists()), files[0])

    def host_records(self) -> dict[str, HostRecord]:
        records: dict[str, HostRecord] = {}
        for store in reversed(self._stores):
            records |= store.host_records()
        return dict(sorted(records.items()))

    @property
    def unknown_hosts(self) -> dict[str, str]:
        """The hosts of which the bundles do not say any more who they were, with why."""
        unknown: dict[str, str] = {}
        for record, store, path in zip(self.records, self._stores, self.directories, strict=True):
            if store.damaged_host_lines or not (path / "evidence" / "hosts.jsonl").exists():
                said = f"{path.name}/evidence/hosts.jsonl is not whole, and does not say who"
                missing = set(record.selected) - store.host_records().keys()
                unknown |= {host: f"{said} {host} was" for host in missing if store.file_of(host).exists()}
        return unknown

    def remarks(self) -> list[str]:
        """What the reader has to know of the bundles."""
        said = [
            f"{path.name} was never ended: what it had not asked by then is not in it"
            for path, record in zip(self.directories, self.records, strict=True)
            if record.finished is None
        ]
        several = [h for h in sorted(self.hosts_asked) if sum(h in record.selected for record in self.records) > 1]
        for path, store in zip(self.directories, self._stores, strict=True):
            if damaged := store.damaged_host_lines:
                lines = "a line" if damaged == 1 else f"{damaged} lines"
                said.append(f"{path.name}/evidence/hosts.jsonl: {lines} of it cannot be read")
        if several:
            said.append(f"asked in more than one of the bundles, where the newest answer counts: {', '.join(several)}")
        return said

    def __contains__(self, question: Question) -> bool:
        return any(question in store for store in self._stores)

    def add(self, question: Question, *attempts: Attempt) -> NoReturn:
        raise TypeError("a replay adds nothing to a bundle")

    def add_host(self, record: HostRecord) -> NoReturn:
        raise TypeError("a replay adds nothing to a bundle")
