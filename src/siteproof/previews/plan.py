"""`--plan`: what would be asked. `--sudoers`: what of it needs root. `--check-access`: whether it could be."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from siteproof.asks import Command, Output, Question, Stream
from siteproof.errors import BadInput, HostError, ProbeError
from siteproof.gather.connections import connections_of
from siteproof.judging import rounds
from siteproof.judging.plan import Plan
from siteproof.judging.stand_ins import foreseen
from siteproof.judging.suite import Suite
from siteproof.previews import sudoers
from siteproof.probes.common import versions
from siteproof.results import ExitCode
from siteproof.text.characters import printable
from siteproof.transport.connection import Connection
from siteproof.transport.ssh import ssh_config

_AT_ONCE = 8
"""So many processes of ssh, which take little but time."""


def plan(suite: Suite) -> Iterator[str]:
    """The questions of the first round, host by host, then the templates of later ones, check by check."""
    _, questions = rounds.next_questions(suite.plan.starts, suite.store)
    connections = connections_of(suite.site.inventory)
    by_host: dict[str, list[Question]] = {}
    for question in [*questions.values(), *versions.Asking().beside(questions.values())]:
        by_host.setdefault(question.host, []).append(question)
    yield f"round 1: {len(questions)} questions on {len(by_host)} hosts; later rounds depend on the answers"
    for host, asked in by_host.items():
        yield ""
        yield f"{host}{_through(connections.get(host))}"
        for question in asked:
            yield f"  {question.probe}"
            yield f"      {_terms(question)}{_not_carried(question, connections.get(host))}"
            if isinstance(question, Command):
                # Before it is cut into lines, over which a secret may go.
                yield from (f"      | {line}" for line in suite.redactor.text(question.script).splitlines())
    yield from _later(suite.plan)


def _through(connection: Connection | None) -> str:
    return f", through {connection.backend.url}" if connection and connection.backend else ""


def _not_carried(question: Question, connection: Connection | None) -> str:
    backend = connection.backend if connection else None
    if backend is None or backend.carries_streams or not isinstance(question, Stream):
        return ""
    return ": there is no stream through it, this will be unknown"


def _later(plan: Plan) -> Iterator[str]:
    """‹probe› stands for what that probe's answer will tell."""
    templates: dict[str, dict[tuple[str, str], dict[str, None]]] = {}
    incomplete: dict[str, None] = {}
    for planned, make in plan.asking:
        found = foreseen(make)
        for question in found.later:
            asked = templates.setdefault(planned.invariant.id, {})
            asked.setdefault((question.probe, _terms(question)), {})[question.host] = None
        if not found.complete:
            incomplete[planned.invariant.id] = None
    if templates or incomplete:
        yield from ("", "later rounds, as far as they can be known before the answers")
    for id in sorted(templates.keys() | incomplete.keys()):
        yield from ("", id)
        for (probe, terms), hosts in templates.get(id, {}).items():
            yield f"  {probe}"
            yield f"      {terms}, on {', '.join(hosts)}"
        if id in incomplete:
            yield f"  whether it asks more depends on the answers; its probes: {', '.join(plan.seen[id].asks)}"


def sudoers_fragment(suite: Suite) -> str:
    """The sudoers fragment for this plan. Raises BadInput where it could not be exact."""
    _, first = rounds.next_questions(suite.plan.starts, suite.store)
    later = [question for make in suite.plan.starts for question in foreseen(make).later]
    connections = connections_of(suite.site.inventory)
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # ssh may be asked for each
        users = dict(zip(connections, pool.map(_login_user, connections.values()), strict=True))
    asked = [q for q in (*first.values(), *later) if isinstance(q, Command) and users[q.host] != "root"]
    granted = sudoers.grants(asked)
    if nobody := [host for host in granted if not users[host]]:
        raise BadInput(f"--sudoers: which user {', '.join(nobody)} runs commands as is only known there: ansible_user")
    if with_password := [host for host in granted if connections[host].become_password is not None]:
        raise BadInput(
            f"--sudoers: {', '.join(with_password)} has a password for sudo, so that everything goes through one root "
            "shell, for which no fragment can be exact; leave the password out where the fragment is installed"
        )
    if by_doas := [host for host in granted if connections[host].become_method != "sudo"]:
        raise BadInput(f"--sudoers: {', '.join(by_doas)} has doas, which reads no sudoers (ansible_become_method)")
    fragment = sudoers.fragment(granted, users, {h: connections[h].expected_hostname or h for h in granted})
    if suite.redactor.text(fragment) != fragment:
        raise BadInput(
            "--sudoers: a command that runs as root has a secret of the inventory in it, which no file may show"
        )
    return fragment


def _login_user(connection: Connection) -> str:
    """Empty where only the host knows."""
    if connection.backend is not None:
        return connection.backend.user or ""
    return ssh_config.login_user(connection)


def _terms(question: Question) -> str:
    terms = [question.probe_class, f"deadline {question.deadline_s:g} s"]
    if isinstance(question, Command):
        terms.append("as root" if question.root else "as the login user")
        if question.slow:
            terms.append("on a channel of its own")
    elif isinstance(question, Stream):
        terms.append(f"TCP to {question.address}:{question.port} through the host")
    return ", ".join(terms)


@dataclass(frozen=True)
class Access:
    """What `--check-access` found."""

    lines: tuple[str, ...]
    """Of a table."""
    failed: bool
    """Some host lacks something that the plan needs."""


_ROOTS_TOOLS = """\
each='for tool; do command -v "$tool" >/dev/null || echo "$tool"; done; echo end'
lacking=$($ROOT sh -c "$each" sh {tools} 2>/dev/null)
case $lacking in *end) ;; *) exit 0 ;; esac
for tool in ${{lacking%end}}; do echo "$tool $(command -v "$tool")"; done
echo end"""
"""Which tools root's PATH lacks there, each with where the login user has it. A fragment of ours lets nobody ask, and
has a PATH of its own."""


def _access_questions(host: str, commands: Sequence[Command]) -> list[Command]:
    script = "".join(f"command -v {tool} >/dev/null || echo {tool}\n" for tool in _tools(commands))
    return [
        Command(host, "which tools are there", 5, "reads", f"{script}echo end"),
        Command(host, "sudo", 5, "reads", "$ROOT id -u", root=True),
        Command(
            host,
            "which tools root has",
            5,
            "reads",
            _ROOTS_TOOLS.format(tools=" ".join(_roots_tools(commands))),
            root=True,
        ),
    ]


def check_access(suite: Suite, ask: Callable[[int, Collection[Question]], None]) -> Access:
    """Ask each host of the plan whether it lets us in, as root too, and which tools it lacks."""
    _, questions = rounds.next_questions(suite.plan.starts, suite.store)
    needed: dict[str, list[Command]] = {host: [] for host in suite.site.inventory.selected}
    for question in questions.values():
        needed.setdefault(question.host, [])
        if isinstance(question, Command):
            needed[question.host].append(question)
    asked = {host: _access_questions(host, commands) for host, commands in sorted(needed.items())}
    if suite.gatherer is not None:
        ask(1, [q for questions in asked.values() for q in questions])
    connections = connections_of(suite.site.inventory)
    rows = [_row(suite, host, asked[host], any(c.root for c in needed[host]), connections.get(host)) for host in asked]
    return Access(tuple(_table(rows)), any(not ok for *_, ok in rows))


def _tools(commands: Sequence[Command]) -> list[str]:
    return sorted({tool for command in commands for tool in command.tools})


def _roots_tools(commands: Sequence[Command]) -> list[str]:
    found = {"id"}
    for command in commands:
        found |= set(re.findall(r"\$(?:ROOT|\{ROOT\})[ \t]+([A-Za-z][\w.-]*)", command.script))
        with suppress(BadInput):  # --sudoers says what is wrong with it
            found |= {words[0] for words in sudoers.root_commands(command) if re.fullmatch(r"[\w.-]+", words[0])}
    return sorted(found)


Row = tuple[str, str, str, str, bool]


def _row(suite: Suite, host: str, questions: Sequence[Command], needs_root: bool, connection: Connection | None) -> Row:
    """Host, how it was reached, sudo, missing tools, and whether everything the plan needs is there."""
    tools, root, roots = (suite.store.get(question) for question in questions)
    record = suite.store.host_records().get(host)
    user = f" as {record.login_user}" if record and record.login_user else ""
    if isinstance(tools, HostError):
        return host, f"{tools.kind}: {tools}", "-", "-", False
    if not isinstance(tools, Output) or not tools.text.endswith("end\n"):
        return host, f"unknown: {tools if isinstance(tools, ProbeError) else 'no answer'}", "-", "-", False
    missing = tools.text.split()[:-1]
    lacks: list[str] = []
    if needs_root and isinstance(roots, Output) and roots.text.endswith("end\n"):
        for tool, _, place in (line.partition(" ") for line in roots.text.splitlines()[:-1]):
            if tool not in missing:
                has = f"; the login user has {place}" if place else ""
                lacks.append(f"{tool} (not on the PATH that root gets by sudo or doas, secure_path{has})")
    is_root = isinstance(root, Output) and root.status == 0 and root.text.strip() == "0"
    said = "root" if is_root else "refused" if needs_root else "not needed"
    return (
        host,
        f"reached{user}{_through(connection)}",
        said,
        ", ".join([*missing, *lacks]) or "none",
        (is_root or not needs_root) and not missing and not lacks,
    )


def _table(rows: Sequence[Row]) -> list[str]:
    header = ("host", "access", "root", "missing tools")
    # One line a host, whatever the host said.
    cells = [[" ".join(printable(cell).split()) for cell in row] for row in (header, *(row[:4] for row in rows))]
    widths = [max(len(row[column]) for row in cells if len(row[column]) < 40) for column in range(4)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def access_exit_code(found: Access | None, shortfalls: Sequence[str]) -> int:
    """As for a run: what cannot be asked is unknown. `found` is None where it was not come to that."""
    if found is None:
        return ExitCode.FAILED_INSIDE
    if found.failed:
        return ExitCode.UNKNOWN
    return ExitCode.SHORTFALL if shortfalls else ExitCode.HELD
