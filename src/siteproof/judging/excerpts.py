"""What a result shows of the evidence that it rests on."""

from __future__ import annotations

import os
from pathlib import Path

from siteproof.asks import Output, Question
from siteproof.evidence.store import Store
from siteproof.judging.rounds import Trace
from siteproof.results import EvidenceRef
from siteproof.text.crossing import encodable
from siteproof.text.redaction import Redactor

SHOWN_CHARACTERS = 2000


class Excerpts:
    """Cuts answers to a screenful, and says where the whole of each stands."""

    def __init__(self, store: Store, directory: Path, redactor: Redactor) -> None:
        """`directory` is the run's, from which the files of the evidence are named."""
        self._store = store
        self._directory = directory
        self._redactor = redactor
        self._files: dict[str, str] = {}
        """Host -> its file of evidence, from the run's directory."""

    def of(self, question: Question, trace: Trace) -> EvidenceRef:
        """The answer to a question, taken out of the trace: it may be large."""
        answer = trace.recorded.pop(question.key, None) or self._store.get(question)
        if isinstance(answer, Output):
            text = answer.text if answer.stdout.isascii() or _is_text(answer.stdout) else f"{len(answer.stdout)} bytes"
            text = "\n".join(part for part in (text.strip("\n"), answer.errors.strip("\n")) if part)
        else:
            text = str(answer or "never asked")
        text = self._redactor.text(text)  # before it is cut: a bundle may be older than the vault
        if len(text) > SHOWN_CHARACTERS:
            text = f"{text[:SHOWN_CHARACTERS]}\n… {len(text) - SHOWN_CHARACTERS} more characters in the evidence file"
        return EvidenceRef(question.host, encodable(question.probe), self._file_of(question.host), question.key, text)

    def tries(self, question: Question, trace: Trace) -> tuple[int, float]:
        """How often a question was asked, and how many seconds that took in all."""
        answer = trace.recorded.get(question.key)
        if isinstance(answer, Output) and not question.retries:
            return 1, answer.seconds
        found = self._store.evidence(question)
        attempts = found.attempts if found else ()
        return len(attempts) if question.retries else 1, sum(attempt.seconds for attempt in attempts)

    def _file_of(self, host: str) -> str:
        if host not in self._files:
            self._files[host] = os.path.relpath(self._store.file_of(host), self._directory)
        return self._files[host]


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in data
