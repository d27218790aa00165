"""What the hosts answered, kept on disk.

A bundle has one append-only file of JSON lines per host and `hosts.jsonl` with what is known about each host. What is
read back is always what was written, so a run that has just ended and its replay judge the same bytes.
"""

from __future__ import annotations

import base64
import json
import os
import re
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from siteproof.asks import Output, Question
from siteproof.errors import ProbeError

REDACTED = "«redacted»"
SHORTEST_SECRET = 4
_HOSTS = "hosts"
_KEY_START = len('{"key": "')
_KEY_LENGTH = 24


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


class Redactor:
    """Replaces secrets, also where they are percent-, JSON- or base64-encoded."""

    def __init__(self, secrets: Collection[str]) -> None:
        spellings = {s for secret in secrets if len(secret) >= SHORTEST_SECRET for s in _spellings(secret)}
        longest_first = sorted(spellings, key=lambda s: (-len(s), s))
        self._pattern = re.compile(b"|".join(re.escape(s) for s in longest_first)) if longest_first else None

    def __call__(self, data: bytes) -> bytes:
        return self._pattern.sub(REDACTED.encode(), data) if self._pattern else data

    def text(self, text: str) -> str:
        return self(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def everywhere(self, value: Any) -> Any:
        """The same plain data with every string in it redacted."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.everywhere(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.everywhere(item) for item in value]
        return value


def _spellings(secret: str) -> set[bytes]:
    plain = secret.encode()
    return {plain, quote(secret, safe="").encode(), json.dumps(secret)[1:-1].encode(), *_base64_spellings(plain)}


def _base64_spellings(plain: bytes) -> set[bytes]:
    """The characters that only the secret decides, wherever in a longer base64 text it starts."""
    spellings = set()
    for offset in range(3):
        first = -(-offset * 8 // 6)
        end = (offset + len(plain)) * 8 // 6
        padded = b"\0" * offset + plain
        spellings |= {encode(padded)[first:end] for encode in (base64.b64encode, base64.urlsafe_b64encode)}
    return {s for s in spellings if len(s) >= SHORTEST_SECRET}


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
        with self.path.open("rb") as file:
            file.seek(self.read_up_to)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # another process is still writing it
                key = line[_KEY_START : _KEY_START + _KEY_LENGTH].decode("ascii", "replace")
                self.lines.setdefault(key, []).append((self.read_up_to, len(line)))
                self.read_up_to += len(line)

    def find(self, key: str) -> list[dict[str, Any]]:
        if key not in self.lines:
            self.tail()
        places = self.lines.get(key)
        if not places:
            return []
        with self.path.open("rb") as file:
            return [_read_line(file.fileno(), *place) for place in places]


def _read_line(descriptor: int, offset: int, length: int) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(os.pread(descriptor, length, offset))
    return line


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
            "question": self._redactor.everywhere({f.name: getattr(question, f.name) for f in fields(question)}),
            "attempts": [self._attempt_as_json(attempt) for attempt in attempts],
        }
        with self._lock:
            _append(self._file(question.host).path, line)

    def get(self, question: Question) -> Output | ProbeError | None:
        """The last attempt's answer, as it was written; None if the question is not in the bundle."""
        with self._lock:
            lines = self._file(question.host).find(question.key)
        return _attempt(lines[-1]["attempts"][-1], question.host).answer if lines else None

    def evidence(self, question: Question) -> Evidence | None:
        """Every attempt at it; None if the question is not in the bundle."""
        with self._lock:
            file = self._file(question.host)
            file.tail()  # a live question comes again
            lines = file.find(question.key)
        attempts = tuple(_attempt(attempt, question.host) for line in lines for attempt in line["attempts"])
        return Evidence(question, attempts) if attempts else None

    def __contains__(self, question: Question) -> bool:
        with self._lock:
            file = self._file(question.host)
            if question.key not in file.lines:
                file.tail()
            return question.key in file.lines

    def as_kept(self, answer: Output | ProbeError) -> Output | ProbeError:
        """The answer as it will be read from here."""
        if isinstance(answer, ProbeError):
            return answer
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
        with self._lock:
            _append(self.directory / f"{_HOSTS}.jsonl", self._redactor.everywhere(line))

    def host_records(self) -> dict[str, HostRecord]:
        """The last record of each host, by name."""
        path = self.directory / f"{_HOSTS}.jsonl"
        if not path.exists():
            return {}
        with path.open(encoding="utf-8") as file:
            records = (_host_record(json.loads(line)) for line in file if line.endswith("\n"))
            return {record.name: record for record in records}

    def _attempt_as_json(self, attempt: Attempt) -> dict[str, Any]:
        written: dict[str, Any] = {"at": _iso(attempt.started), "seconds": round(attempt.seconds, 6)}
        answer = attempt.answer
        if isinstance(answer, ProbeError):
            error = {"kind": answer.kind, "message": self._redactor.text(answer.message)}
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
    lines = _HostFile(_path(directory, host)).find(key)
    return _attempt(lines[-1]["attempts"][-1], host) if lines else None


def _path(directory: Path, host: str) -> Path:
    name = quote(host, safe="") if host != _HOSTS else "%68osts"
    return directory / f"{name}.jsonl"


def _append(path: Path, line: Mapping[str, Any]) -> None:
    # One write per line, so that a reader in another process never sees two lines mixed.
    data = json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)


def _iso(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _as_text(data: bytes) -> tuple[str, str]:
    try:
        return data.decode("utf-8"), "text"
    except UnicodeDecodeError:
        return base64.b64encode(data).decode("ascii"), "base64"


def _as_bytes(attempt: Mapping[str, Any], stream: str) -> bytes:
    if attempt.get("encoding", {}).get(stream) == "base64":
        return base64.b64decode(attempt[stream])
    return str(attempt[stream]).encode()


def _attempt(written: Mapping[str, Any], host: str) -> Attempt:
    started, seconds = datetime.fromisoformat(written["at"]).timestamp(), float(written["seconds"])
    if written["error"]:
        return Attempt(started, seconds, ProbeError.of_kind(**written["error"], host=host))
    stdout, stderr = _as_bytes(written, "stdout"), _as_bytes(written, "stderr")
    return Attempt(started, seconds, Output(written["status"], stdout, stderr, started, seconds))


def _host_record(line: Mapping[str, Any]) -> HostRecord:
    error = line["error"] and ProbeError.of_kind(**line["error"], host=line["name"])
    return HostRecord(**{**line, "error": error})
