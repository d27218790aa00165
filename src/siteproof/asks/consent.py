"""What an operator allows to be asked. It hangs on the class of each question, never on what a check says of itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

from siteproof.asks.questions import ProbeClass, Question

CLASSES: tuple[ProbeClass, ...] = get_args(ProbeClass)
"""From the lightest to the heaviest."""


@dataclass(frozen=True)
class Consent:
    """What the command line says: `--read-only`, `--changes`. Nothing is changed where nobody said anything."""

    read_only: bool = False
    changes: bool = False

    def against(self, probe_class: ProbeClass) -> str | None:
        """Why questions of this class are not asked; None if they are."""
        if probe_class == "changes" and not self.changes:
            return "it changes something on the host, which --changes allows"
        if probe_class in ("borrows", "changes") and self.read_only:
            return "--read-only"
        return None


def heaviest(questions: Iterable[Question]) -> ProbeClass:
    """The class of a check that asks these: the heaviest of theirs."""
    return max((question.probe_class for question in questions), key=CLASSES.index, default="reads")
