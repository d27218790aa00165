"""What the lab says when it cannot do what it was asked."""

from difflib import get_close_matches


class LabError(Exception):
    """The lab could not be brought up, kept, broken or healed: one sentence, exit 3."""

    status = 3


class UsageError(LabError):
    """The caller named something that does not exist: one sentence, exit 4."""

    status = 4


def nearest(word: str, known: list[str]) -> str:
    """A hint for a misspelt word, as the end of a sentence."""
    close = get_close_matches(word, known, 1, 0.5)
    return f" (did you mean {close[0]}?)" if close else f" (known: {', '.join(known)})"
