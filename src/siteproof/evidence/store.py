"""What the hosts answered, kept on disk.

A bundle has one append-only file of JSON lines per host and `hosts.jsonl` with what is known about each host. What is
read back is always what was written, so a run that has just ended and its replay judge the same bytes. A line that is
not what was written any more is one question without an answer: each ends with a sum over the rest of it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from siteproof.asks import Output, Question
from siteproof.errors import NotRecorded, ProbeError
from siteproof.machine.reading import open_regular
from siteproof.results import iso
from siteproof.text.characters import as_json
from siteproof.text.crossing import encodable, plain
from siteproof.text.redaction import Redactor

_HOSTS = "hosts"
_KEY_START = len('{"key": "')
_KEY_LENGTH = 24
_SUM = re.compile(rb', "sum": "([0-9a-f]{16})"\}\n')
_SUM_LENGTH = len(', "sum": "0123456789abcdef"}\n')


@dataclass(frozen=True)
class Attempt:
    """One time a question was asked: when, how long it took, and the answer or why there is none."""

    started: float
    """Seconds since the epoch, UTC, on the operator's clock."""
    seconds: float
    answer: Output | ProbeError

    @staticmethod
    def of(output: Output) -> Attempt:
        return Attempt(output.started, output.seconds, output)

    @property
    def output(self) -> Output | None:
        return self.answer if isinstance(self.answer, Output) else None

    @property
    def error(self) -> ProbeError | None:
        return self.answer if isinstance(self.answer, ProbeError) else None


@dataclass(frozen=True)
class Evidence:
    """A question with every attempt at it, oldest first."""

    question: Question
    attempts: tuple[Attempt, ...]

    @property
    def last(self) -> Output | ProbeError:
        return self.attempts[-1].answer


@dataclass(frozen=True)
class HostRecord:
    """How a host was met. `identity` has what it says of itself: hostname and machine_id."""

    name: str
    reached: bool
    error: ProbeError | None
    identity: Mapping[str, str]
    seconds: float
    login_user: str
    become: bool


@dataclass
class _HostFile:
    """One host's lines: where each question's are, and how far the file has been read."""

    path: Path
    lines: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    read_up_to: int = 0

    def tail(self) -> None:
        """Take note of what was appended since, by this process or another."""
        try:
            if self.path.stat().st_size == self.read_up_to:
                return
        except FileNotFoundError:
            return
        with open_regular(self.path) as file:
            file.seek(self.read_up_to)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # another process is still writing it
                key = line[_KEY_START : _KEY_START + _KEY_LENGTH].decode("ascii", "replace")
                self.lines.setdefault(key, []).append((self.read_up_to, len(line)))
                self.read_up_to += len(line)

    def find(self, question: Question, *, again: bool = False) -> list[Attempt]:
        """Every attempt at a question. `again`: also those that came since it was found."""
        try:
            return self._attempts(question.key, question.host, again=again)
        except OSError as error:
            return [_unreadable(question.host, self.path, error.strerror or str(error))]

    def _attempts(self, key: str, host: str, *, again: bool) -> list[Attempt]:
        if again or key not in self.lines:
            self.tail()
        if not (places := self.lines.get(key)):
            return []
        with open_regular(self.path) as file:
            lines = [os.pread(file.fileno(), length, offset) for offset, length in places]
        return [attempt for line in lines for attempt in _line_of_a_question(line, key, host, self.path)]

    def last(self, key: str, host: str) -> Attempt | None:
        """The last attempt; None if there is none, or none that can be read."""
        try:
            found = self._attempts(key, host, again=False)
        except OSError:
            return None
        return found[-1] if found else None


def _line_of_a_question(data: bytes, key: str, host: str, path: Path) -> list[Attempt]:
    try:
        line = _read_line(data)
        if line["key"] != key or not line["attempts"]:
            raise ValueError("another key, or no attempt")
        return [_attempt(attempt, host) for attempt in line["attempts"]]
    except _DAMAGED as error:
        return [_unreadable(host, path, f"a line of it is damaged ({type(error).__name__})")]


def _unreadable(host: str, path: Path, why: str) -> Attempt:
    """In place of an attempt of which nobody can tell any more what it was."""
    return Attempt(0.0, 0.0, NotRecorded(f"{host}: what is in {path.name} of the evidence cannot be read: {why}"))


_DAMAGED = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)
"""What comes of reading a line that is not what was written."""


def _read_line(data: bytes) -> dict[str, Any]:
    """The line as it was written; ValueError if it is not. Lines of old bundles have no sum."""
    end = data[-_SUM_LENGTH:]
    if (found := _SUM.fullmatch(end)) is not None and _sum(data[:-_SUM_LENGTH]) != found[1]:
        raise ValueError("not what its sum says")
    line = json.loads(data)
    if not isinstance(line, dict):
        raise ValueError("not an object")
    return line


def _sum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:16].encode()


class Store:
    """One bundle's evidence directory. Thread-safe; other processes may read while one writes."""

    def __init__(self, directory: Path, *, secrets: Collection[str] = ()) -> None:
        self.directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._redactor = Redactor(secrets)
        self._files: dict[str, _HostFile] = {}
        self._lock = threading.Lock()

    def add(self, question: Question, *attempts: Attempt) -> None:
        """All attempts at a question at once: whoever finds it here finds its last."""
        line = {
            "key": question.key,
            "kind": type(question).__name__,
            "question": self._redactor.everywhere(plain({f.name: getattr(question, f.name) for f in fields(question)})),
            "attempts": [self._attempt_as_json(attempt) for attempt in attempts],
        }
        with self._lock:
            _append(self._file(question.host).path, line)

    def get(self, question: Question) -> Output | ProbeError | None:
        """The last attempt's answer, as it was written; None if the question is not in the bundle."""
        with self._lock:
            attempts = self._file(question.host).find(question)
        return attempts[-1].answer if attempts else None

    def evidence(self, question: Question) -> Evidence | None:
        """Every attempt at it; None if the question is not in the bundle."""
        with self._lock:
            attempts = self._file(question.host).find(question, again=True)  # a live question comes again
        return Evidence(question, tuple(attempts)) if attempts else None

    def __contains__(self, question: Question) -> bool:
        with self._lock:
            file = self._file(question.host)
            if question.key not in file.lines:
                with suppress(OSError):  # then it is not there
                    file.tail()
            return question.key in file.lines

    def as_kept(self, answer: Output | ProbeError) -> Output | ProbeError:
        """The answer as it will be read from here."""
        if isinstance(answer, ProbeError):
            return ProbeError.of_kind(answer.kind, self._redactor.text(answer.message), host=answer.host)
        return replace(answer, stdout=self._redactor(answer.stdout), stderr=self._redactor(answer.stderr))

    def file_of(self, host: str) -> Path:
        """Where the answers of a host stand."""
        with self._lock:
            return self._file(host).path

    @property
    def hosts(self) -> list[str]:
        """The hosts of which something is known, sorted."""
        return sorted(self.host_records())

    def add_host(self, record: HostRecord) -> None:
        error = record.error and {"kind": record.error.kind, "message": record.error.message}
        line = {**{f.name: getattr(record, f.name) for f in fields(record)}, "error": error}
        # A host's name is how its record is found again, and the inventory's own.
        redacted = self._redactor.everywhere(plain(line)) | {"name": record.name}
        with self._lock:
            _append(self.directory / f"{_HOSTS}.jsonl", redacted)

    def host_records(self) -> dict[str, HostRecord]:
        """The last record of each host, by name."""
        return self._host_lines()[0]

    @property
    def damaged_host_lines(self) -> int:
        """How many of the lines about hosts are not what was written any more. Whose they were is not known."""
        return self._host_lines()[1]

    def _host_lines(self) -> tuple[dict[str, HostRecord], int]:
        records: dict[str, HostRecord] = {}
        damaged = 0
        try:
            with open_regular(self.directory / f"{_HOSTS}.jsonl") as file:
                for data in file:
                    if not data.endswith(b"\n"):
                        damaged += 1
                        continue
                    try:
                        record = _host_record(_read_line(data))
                        records[record.name] = record
                    except _DAMAGED:
                        damaged += 1
        except FileNotFoundError:
            pass
        except OSError:
            damaged += 1
        return records, damaged

    def _attempt_as_json(self, attempt: Attempt) -> dict[str, Any]:
        written: dict[str, Any] = {
            "at": iso(datetime.fromtimestamp(attempt.started, UTC)),
            "seconds": round(attempt.seconds, 6),
        }
        answer = attempt.answer
        if isinstance(answer, ProbeError):
            error = {"kind": answer.kind, "message": self._redactor.text(encodable(answer.message))}
            return written | {"status": None, "stdout": None, "stderr": None, "error": error}
        stdout, stdout_is = _as_text(self._redactor(answer.stdout))
        stderr, stderr_is = _as_text(self._redactor(answer.stderr))
        written |= {"status": answer.status, "stdout": stdout, "stderr": stderr, "error": None}
        encoding = {stream: "base64" for stream, is_ in (("stdout", stdout_is), ("stderr", stderr_is)) if is_ != "text"}
        return written | ({"encoding": encoding} if encoding else {})

    def _file(self, host: str) -> _HostFile:
        if (file := self._files.get(host)) is None:
            file = self._files[host] = _HostFile(_path(self.directory, host))
        return file


class Blank(Store):
    """The evidence of a run that asks nothing."""

    def __init__(self) -> None:
        self.directory = Path(os.devnull)

    def get(self, question: Question) -> Output | ProbeError | None:
        return None

    def evidence(self, question: Question) -> Evidence | None:
        return None

    def host_records(self) -> dict[str, HostRecord]:
        return {}


def last_attempt(directory: Path, host: str, key: str) -> Attempt | None:
    """The last attempt at a question in the evidence of another run; None if it was not asked then."""
    return _HostFile(_path(directory, host)).last(key, host)


def _path(directory: Path, host: str) -> Path:
    name = quote(host, safe="") if host != _HOSTS else "%68osts"
    return directory / f"{name}.jsonl"


def _append(path: Path, line: Mapping[str, Any]) -> None:
    # One write per line, so that a reader in another process never sees two lines mixed.
    body = as_json(line).encode()[:-1]
    data = body + b', "sum": "' + _sum(body) + b'"}\n'
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)


def _as_text(data: bytes) -> tuple[str, str]:
    try:
        return data.decode("utf-8"), "text"
    except UnicodeDecodeError:
        return base64.b64encode(data).decode("ascii"), "base64"


def _as_bytes(attempt: Mapping[str, Any], stream: str) -> bytes:
    said, encoding = attempt[stream], attempt.get("encoding", {}).get(stream)
    if not isinstance(said, str) or encoding not in (None, "base64"):
        raise TypeError(f"{stream} is not a text")
    return base64.b64decode(said, validate=True) if encoding else said.encode()


def _attempt(written: Mapping[str, Any], host: str) -> Attempt:
    """Raises one of _DAMAGED."""
    started, seconds = datetime.fromisoformat(written["at"]).timestamp(), float(written["seconds"])
    if (error := written["error"]) is not None:
        return Attempt(started, seconds, _error(error, host))
    status = written["status"]
    if type(status) is not int:
        raise TypeError("its status is not a number")
    stdout, stderr = _as_bytes(written, "stdout"), _as_bytes(written, "stderr")
    return Attempt(started, seconds, Output(status, stdout, stderr, started, seconds))


def _error(written: Mapping[str, Any], host: str) -> ProbeError:
    kind, message = written["kind"], written["message"]
    if not isinstance(kind, str) or not isinstance(message, str):
        raise TypeError("an error without its words")
    return ProbeError.of_kind(kind, message, host=host)


def _host_record(line: Mapping[str, Any]) -> HostRecord:
    """Raises one of _DAMAGED."""
    name, identity = line["name"], line["identity"]
    texts = (name, line["login_user"], *identity, *identity.values())
    if not all(isinstance(text, str) for text in texts) or type(line["reached"]) is not bool:
        raise TypeError("not the record of a host")
    error = None if line["error"] is None else _error(line["error"], name)
    "".join((*texts, str(error))).encode()  # what cannot be written again, no run has written
    return HostRecord(
        name=name,
        reached=line["reached"],
        error=error,
        identity=identity,
        seconds=float(line["seconds"]),
        login_user=line["login_user"],
        become=bool(line["become"]),
    )
