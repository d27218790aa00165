"""Where answers are found: in the evidence of this run or of another, or in a part of it."""

from __future__ import annotations

from typing import Protocol

from siteproof.asks.questions import Question, Recorded


class Answers(Protocol):
    """What a check is judged on."""

    def get(self, question: Question) -> Recorded | None:
        """The Output, or the ProbeError recorded instead; None if it was never asked."""
