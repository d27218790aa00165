"""What is an answer at all: which exit statuses are, what the others say, and what was not kept as it came."""

from __future__ import annotations

import re

from siteproof.asks.questions import Command, Output, Question
from siteproof.asks.stderr import unknown_words
from siteproof.errors import PrivilegeRefused, ToolFailed, ToolMissing, Withheld
from siteproof.text.redaction import REDACTED

MISSING = "siteproof: not on this host: "
"""What the `need` function of the batch prints before it ends with status 127."""

# coreutils' timeout and env, busybox's, sudo, sudo-rs, doas.
_ROOT_LACKS = re.compile(
    r"^(?:(?:timeout|env): (?:failed to run command |can't execute )?['‘](?P<by_timeout>[^\s'’/]+)['’]: No such file.*|"
    r"(?:sudo|doas): ['‘]?(?P<by_sudo>[^\s'’:/]+)['’]?: command not found)$",
    re.MULTILINE,
)

# A busybox that does not know an option says which, in most applets, and then how it is used.
_BUSYBOX = re.compile(
    r"^(?:(?P<tool>[\w.+-]+): (?P<said>(?:unrecognized|unrecognised|invalid option|unknown|bad)\b[^\n]*)\n)?"
    r"(?P<version>BusyBox v[\w.]+)[^\n]*multi-call binary\.\n+Usage: (?P<usage>[\w.+-]+)",
    re.MULTILINE,
)


def refuse_no_answer(question: Question, output: Output, answers: frozenset[int]) -> None:
    """Raise where the status says that the tool did not answer."""
    if output.status == 0 and 0 in answers:
        return
    where = f"{question.probe} on {question.host}"
    # What a tool says beside a good answer is no reason for a bad one: `find: /proc/4711: No such file` may come last.
    unknown = [*unknown_words(question, output)]
    lines = unknown or output.errors.strip().splitlines()
    last = lines[-1].strip() if lines else ""
    missing = [line for line in lines if line.startswith(MISSING)]
    if output.status == 127 and missing:
        raise ToolMissing(f"{question.host} has no {missing[-1].removeprefix(MISSING)}", host=question.host)
    if output.status not in answers and (small := _BUSYBOX.search(output.errors)):
        tool = small["tool"] or small["usage"]
        raise ToolMissing(
            f"{where}: {tool} there is that of {small['version']}, which does not know what is asked"
            f"{': ' + small['said'].strip() if small['said'] else ''} (docs/hosts.md says which tools know it)",
            host=question.host,
        )
    as_root = isinstance(question, Command) and question.root
    lacks = _ROOT_LACKS.search(output.errors) if output.status != 0 else None
    if lacks and (as_root or lacks["by_sudo"]):
        raise ToolMissing(
            f"{where}: root has no {lacks['by_timeout'] or lacks['by_sudo']} on the PATH that sudo or doas gives it "
            "(secure_path); the login user may have it: --check-access says where, and a link in /usr/local/bin mends "
            "it, if root alone may write there",
            host=question.host,
        )
    # sudo's words that mean nothing may be all that stands beside a tool's own failure, which is an answer.
    refused = [line for line in unknown if line.startswith(("sudo:", "doas:"))]
    if output.status != 0 and refused:
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
