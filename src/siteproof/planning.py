"""`--plan`: what would be asked. `--check-access`: whether it could be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from siteproof import rounds
from siteproof.asks import Command, Output, Question, Stream
from siteproof.errors import HostError, ProbeError
from siteproof.progress import Progress
from siteproof.results import ExitCode
from siteproof.selection import Make
from siteproof.suite import Suite


def plan(suite: Suite, checks: Sequence[Make]) -> Iterator[str]:
    """The questions of the first round, host by host. Later rounds depend on the answers."""
    _, questions = rounds.next_questions(checks, suite.store)
    by_host: dict[str, list[Question]] = {}
    for question in questions.values():
        by_host.setdefault(question.host, []).append(question)
    yield f"round 1: {len(questions)} questions on {len(by_host)} hosts; later rounds depend on the answers"
    for host, asked in by_host.items():
        yield ""
        yield f"{host}"
        for question in asked:
            yield f"  {question.probe}"
            yield f"      {_terms(question)}"
            if isinstance(question, Command):
                yield from (f"      | {line}" for line in question.script.splitlines())


def _terms(question: Question) -> str:
    terms = [question.probe_class, f"deadline {question.deadline_s:g} s"]
    if isinstance(question, Command):
        terms.append("as root" if question.root else "as the login user")
        if question.slow:
            terms.append("on a channel of its own")
    elif isinstance(question, Stream):
        terms.append(f"TCP to {question.address}:{question.port} through the host")
    return ", ".join(terms)


def _access_questions(host: str, tools: Sequence[str]) -> list[Command]:
    script = "".join(f"command -v {tool} >/dev/null || echo {tool}\n" for tool in tools)
    return [
        Command(host, "which tools are there", 5, "reads", f"{script}echo end"),
        Command(host, "sudo", 5, "reads", "$ROOT id -u", root=True),
    ]


def check_access(suite: Suite, progress: Progress, checks: Sequence[Make]) -> list[str]:
    """Ask each host of the plan whether it lets us in, as root too, and which tools it lacks; the lines of a table."""
    _, questions = rounds.next_questions(checks, suite.store)
    needed: dict[str, list[Command]] = {host: [] for host in suite.site.inventory.selected}
    for question in questions.values():
        needed.setdefault(question.host, [])
        if isinstance(question, Command):
            needed[question.host].append(question)
    asked = {host: _access_questions(host, _tools(commands)) for host, commands in sorted(needed.items())}
    if suite.gatherer is not None:
        progress.round(1, [q for questions in asked.values() for q in questions], suite.gatherer.ask)
    rows = [_row(suite, host, asked[host], any(c.root for c in needed[host])) for host in asked]
    suite.access_failed = any(not ok for *_, ok in rows)
    return _table(rows)


def _tools(commands: Sequence[Command]) -> list[str]:
    return sorted({tool for command in commands for tool in command.tools})


Row = tuple[str, str, str, str, bool]


def _row(suite: Suite, host: str, questions: Sequence[Command], needs_root: bool) -> Row:
    """Host, how it was reached, sudo, missing tools, and whether everything the plan needs is there."""
    tools, root = (suite.store.get(question) for question in questions)
    record = suite.store.host_records().get(host)
    user = f" as {record.login_user}" if record and record.login_user else ""
    if isinstance(tools, HostError):
        return host, f"{tools.kind}: {tools}", "-", "-", False
    if not isinstance(tools, Output) or not tools.text.endswith("end\n"):
        return host, f"unknown: {tools if isinstance(tools, ProbeError) else 'no answer'}", "-", "-", False
    missing = tools.text.split()[:-1]
    is_root = isinstance(root, Output) and root.status == 0 and root.text.strip() == "0"
    said = "root" if is_root else "refused" if needs_root else "not needed"
    return host, f"reached{user}", said, ", ".join(missing) or "none", (is_root or not needs_root) and not missing


def _table(rows: Sequence[Row]) -> list[str]:
    header = ("host", "access", "root", "missing tools")
    cells: list[Sequence[str]] = [header, *(row[:4] for row in rows)]
    widths = [max(len(row[column]) for row in cells if len(row[column]) < 40) for column in range(4)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def access_exit_code(suite: Suite) -> int:
    """As for a run: what cannot be asked is unknown."""
    return ExitCode.UNKNOWN if suite.access_failed else ExitCode.HELD
