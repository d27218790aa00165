"""Which exit statuses are answers, and what the others say."""

from __future__ import annotations

from siteproof.asks.questions import Output, Question
from siteproof.errors import PrivilegeRefused, ToolFailed, ToolMissing

MISSING = "siteproof: not on this host: "
"""What the `need` function of the batch prints before it ends with status 127."""


def refuse_no_answer(question: Question, output: Output, answers: frozenset[int]) -> None:
    """Raise where the status says that the tool did not answer."""
    where = f"{question.probe} on {question.host}"
    errors = output.errors.strip()
    last = errors.splitlines()[-1] if errors else ""
    if output.status == 127 and last.startswith(MISSING):
        raise ToolMissing(f"{question.host} has no {last.removeprefix(MISSING)}", host=question.host)
    if output.status != 0 and last.startswith(("sudo:", "doas:")):
        if "command not found" in last:
            raise ToolMissing(f"{where}: {last}", host=question.host)
        raise PrivilegeRefused(f"{where}: {last}", host=question.host)
    if output.status in answers:
        return
    if output.status in (126, 127):
        raise ToolMissing(f"{where}: {last or f'ended with status {output.status}'}", host=question.host)
    said = f": {last}" if last else ", without a word on stderr"
    raise ToolFailed(f"{where} ended with status {output.status}, which is not an answer{said}", host=question.host)
