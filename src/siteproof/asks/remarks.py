"""What a check says beside its verdict."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class Remarks:
    """What a check says beside its verdict."""

    notes: list[str] = field(default_factory=list)


REMARKS: ContextVar[Remarks | None] = ContextVar("siteproof_remarks", default=None)


def note(text: str) -> None:
    """Add a sentence to the result of the check that is being judged."""
    if (remarks := REMARKS.get()) is not None and text not in remarks.notes:
        remarks.notes.append(text)
