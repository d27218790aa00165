"""What is an answer at all: which exit statuses are, what the others say, and what was not kept as it came."""

from __future__ import annotations

from siteproof.asks.questions import Output, Question
from siteproof.asks.stderr import unknown_words
from siteproof.errors import PrivilegeRefused, ToolFailed, ToolMissing, Withheld
from siteproof.text.redaction import REDACTED

MISSING = "siteproof: not on this host: "
"""What the `need` function of the batch prints before it ends with status 127."""


def refuse_no_answer(question: Question, output: Output, answers: frozenset[int]) -> None:
    """Raise where the status says that the tool did not answer."""
    if output.status == 0 and 0 in answers:
        return
    where = f"{question.probe} on {question.host}"
    # What a tool says beside a good answer is no reason for a bad one: `find: /proc/4711: No such file` may come last.
    lines = [*unknown_words(question, output)] or output.errors.strip().splitlines()
    last = lines[-1].strip() if lines else ""
    missing = [line for line in lines if line.startswith(MISSING)]
    if output.status == 127 and missing:
        raise ToolMissing(f"{question.host} has no {missing[-1].removeprefix(MISSING)}", host=question.host)
    refused = [line for line in lines if line.startswith(("sudo:", "doas:"))]
    if output.status != 0 and refused:
        if "command not found" in refused[-1]:
            raise ToolMissing(f"{where}: {refused[-1]}", host=question.host)
        raise PrivilegeRefused(f"{where}: {refused[-1]}", host=question.host)
    if output.status in answers:
        return
    if output.status in (126, 127):
        raise ToolMissing(f"{where}: {last or f'ended with status {output.status}'}", host=question.host)
    said = f": {last}" if last else ", without a word on stderr"
    raise ToolFailed(f"{where} ended with status {output.status}, which is not an answer{said}", host=question.host)


def refuse_withheld(question: Question, output: Output) -> None:
    """Raise where the evidence has a mark in place of a secret.

    Two secrets have the same mark, which is not what any fact expects: compared, they would be equal or different
    whatever the host has. Who prints the mark itself says no more.
    """
    mark = REDACTED.encode()
    if mark in output.stdout or mark in output.stderr:
        raise Withheld(
            f"{question.probe} on {question.host}: a secret of the inventory stood in the answer, which is kept "
            "without it, so that it cannot be told",
            host=question.host,
        )
