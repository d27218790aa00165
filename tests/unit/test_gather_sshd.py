"""Every way an answer can fail to come, against a real sshd: the right error or the right answer, and promptly.

Each row of the tables is a host of its own on one sshd, and all rows are gathered in one round. On every host a
question before and one after the row's own must be answered as if nothing had happened.
"""

from __future__ import annotations

import operator
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from asking import listening
from local_sshd import Sshd, free_port

from siteproof import errors
from siteproof.asks import MISSING, Command, Output, Question
from siteproof.errors import ProbeError
from siteproof.evidence.store import Attempt, Store
from siteproof.gather import LocalGatherer
from siteproof.transport.connection import Connection

ROOT = os.getuid() == 0
NONCE = "abcdef012345"
DEADLINE_S = 1.0
PROMPT_S = 5.0
KILLED_S = 8.0
"""Deadline, margin, the second that a command has to end in after it was told to, and our own load."""


def command(host: str, script: str, **fields: object) -> Command:
    given = {"probe": script.split()[0], "deadline_s": DEADLINE_S, "probe_class": "reads", **fields}
    return Command(host=host, script=script, **given)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Answers:
    """A command that is answered, whatever it does."""

    name: str
    script: str
    stdout: bytes = b""
    stderr: bytes = b""
    status: int = 0
    host: str = "plain"


@dataclass(frozen=True)
class Fails:
    """A command that has no answer."""

    name: str
    script: str
    error: str
    says: str
    within_s: float = PROMPT_S
    host: str = "plain"
    slow: bool = False


GRANDPARENT = "read -r _ _ _ shell _ </proc/$PPID/stat"
ANSWERS = [
    Answers("both streams", "echo out; echo err >&2; exit 3", b"out\n", b"err\n", 3),
    Answers("no newline at the end", "printf out; printf err >&2", b"out", b"err"),
    Answers("nothing", ":"),
    Answers("status 255", "exit 255", status=255),
    Answers("status 124 of its own", "exit 124", status=124),
    Answers("not UTF-8", "printf '\\377\\376\\0'", b"\xff\xfe\0"),
    Answers("empty stdin", "cat; read -r x || echo end", b"end\n"),
    Answers("kills its own shell", "echo so far; kill -9 $$", b"so far\n", status=137),
    Answers("a child keeps stdout", "sleep 30 & echo now", b"now\n"),
    Answers("a child writes late", "(sleep 0.3; echo late; echo late >&2) & echo now", b"now\n"),
    Answers("3 MB", "head -c 3000000 /dev/zero", bytes(3_000_000)),
    Answers("tool missing", "need nosuchtool; nosuchtool | cat", b"", f"{MISSING}nosuchtool\n".encode(), 127),
    Answers("its environment", 'echo "$NONCE $DEADLINE $LC_ALL"', f"{NONCE} 1 C\n".encode()),
    Answers("a noisy login", "echo quiet", b"quiet\n", host="noisy login"),
]
FAILS = [
    Fails("hangs", "sleep 60", "TimedOut", "not finished within 1 s", KILLED_S),
    Fails("hangs, ignores TERM", "trap '' TERM; while :; do sleep 1; done", "TimedOut", "not finished", KILLED_S),
    Fails("hangs, no timeout there", "sleep 60", "TimedOut", "not finished", KILLED_S, host="no timeout"),
    Fails("hangs on its own channel", "sleep 60", "TimedOut", "not finished", KILLED_S, slow=True),
    Fails("hangs and writes", "while :; do echo x; sleep 0.1; done", "TimedOut", "not finished", KILLED_S),
    Fails("50 MB on one line", "head -c 50000000 /dev/zero | tr '\\0' x", "TooLarge", "more output"),
    Fails("5 MB of stderr", "head -c 5000000 /dev/zero >&2; echo after", "TooLarge", "more output"),
    Fails("never stops writing", "cat /dev/zero", "TooLarge", "more output"),
    Fails("kills the session", f"{GRANDPARENT}; kill -9 $shell; sleep 9", "Truncated", "before its end marker"),
    Fails(
        "kills the connection",
        f"{GRANDPARENT}; read -r _ _ _ sshd _ </proc/$shell/stat; sleep 0.5; kill -9 $sshd; sleep 9",
        "Truncated",
        "connection was lost",
    ),
]


@dataclass(frozen=True)
class Host:
    """A host on which nothing can be asked."""

    name: str
    error: str
    says: str
    change: Callable[[Sshd, Connection], Connection]
    within_s: float = PROMPT_S


def options(connection: Connection, **changes: str) -> Connection:
    return replace(connection, options=tuple({**dict(connection.options), **changes}.items()))


def another_protocol(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    time.sleep(30)


def knows(sshd: Sshd, text: str) -> str:
    path = sshd.directory / f"known_hosts_{abs(hash(text))}"
    path.write_text(text)
    return str(path)


HOSTS = [
    Host("refused port", "Unreachable", "refused", lambda sshd, c: replace(c, port=free_port())),
    Host(
        "accepts and never speaks",
        "Unreachable",
        "no SSH handshake within 1 s",
        lambda sshd, c: replace(c, port=listening(lambda client: time.sleep(30)), connect_timeout_s=1.0),
    ),
    Host(
        "accepts and hangs up",
        "Unreachable",
        "without an SSH banner",
        lambda sshd, c: replace(c, port=listening(lambda client: client.close())),
    ),
    Host(
        "holds this address off",
        "Unreachable",
        '"Not allowed at this time": it holds this machine',
        lambda sshd, c: replace(c, port=listening(lambda client: client.sendall(b"Not allowed at this time\r\n"))),
    ),
    Host(
        "too many logins at once",
        "Unreachable",
        "more logins at once",
        lambda sshd, c: replace(c, port=listening(lambda client: client.sendall(b"Exceeded MaxStartups\r\n"))),
    ),
    Host(
        "says why and hangs up",
        "Unreachable",
        r'with the words "no more \x1b[31mtoday"',
        lambda sshd, c: replace(c, port=listening(lambda client: client.sendall(b"no more \x1b[31mtoday"))),
    ),
    Host(
        "speaks something else",
        "Unreachable",
        "no SSH handshake",
        lambda sshd, c: replace(c, port=listening(another_protocol), connect_timeout_s=1.0),
    ),
    Host(
        "unknown key",
        "HostKeyUnknown",
        "ssh-keyscan -p ",
        lambda sshd, c: options(c, userknownhostsfile=knows(sshd, "[127.0.0.1]:1 ssh-ed25519 AAAA\n")),
    ),
    Host(
        "no known_hosts at all",
        "HostKeyUnknown",
        "remove UserKnownHostsFile",
        lambda sshd, c: options(c, userknownhostsfile=os.devnull, globalknownhostsfile=os.devnull),
    ),
    Host(
        "wrong key",
        "HostKeyMismatch",
        "is not the one",
        lambda sshd, c: options(
            c,
            userknownhostsfile=knows(
                sshd, f"[127.0.0.1]:{sshd.port} {sshd.new_key('other').with_suffix('.pub').read_text()}"
            ),
        ),
    ),
    Host(
        "revoked key",
        "HostKeyMismatch",
        "revoked",
        lambda sshd, c: options(
            c,
            userknownhostsfile=knows(
                sshd, sshd.known_hosts.read_text() + "@revoked * " + sshd.known_hosts.read_text().split(" ", 1)[1]
            ),
        ),
    ),
    Host(
        "key not let in",
        "AuthenticationRefused",
        "does not let",
        lambda sshd, c: replace(c, key_files=(str(sshd.new_key("stranger")),)),
    ),
    Host(
        "key file missing",
        "AuthenticationRefused",
        "which does not exist",
        lambda sshd, c: replace(c, key_files=("/nonexistent/key",)),
    ),
    Host("no such user", "AuthenticationRefused", "nobody-here", lambda sshd, c: replace(c, user="nobody-here")),
    Host("another hostname", "WrongHost", "declared is cp9", lambda sshd, c: replace(c, expected_hostname="cp9")),
    Host("another machine", "WrongHost", "declared is 0123", lambda sshd, c: replace(c, expected_machine_id="0123")),
    Host(
        "no login shell",
        "Unreachable",
        "not available",
        lambda sshd, c: replace(
            c, key_files=(str(sshd.let_in("nologin", 'command="echo This account is not available.; exit 1"')),)
        ),
    ),
]


ROWS: list[Answers | Fails | Host] = [*ANSWERS, *FAILS, *HOSTS]


def tools_without(sshd: Sshd, name: str, *without: str) -> str:
    """A directory for PATH with what the batch needs and not more."""
    directory = sshd.directory / name
    directory.mkdir()
    for tool in {"sh", "id", "timeout", "uname", "cat", "sleep", "head", "tr", "setpriv"} - set(without):
        if found := shutil.which(tool):
            (directory / tool).symlink_to(found)
    return str(directory)


def plain_hosts(sshd: Sshd) -> dict[str, Connection]:
    plain = sshd.let_in("plain")
    noisy = sshd.let_in("noisy", 'command="echo Welcome!; echo Beware! >&2; eval \\"$SSH_ORIGINAL_COMMAND\\""')
    path = tools_without(sshd, "no_timeout", "timeout")
    no_timeout = sshd.let_in("no_timeout_key", f'environment="PATH={path}"')
    return {
        "plain": sshd.connection("plain", plain),
        "noisy login": sshd.connection("noisy login", noisy),
        "no timeout": sshd.connection("no timeout", no_timeout),
    }


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    server = Sshd().start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def gathered(sshd: Sshd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """All tables, asked in one round."""
    kinds = plain_hosts(sshd)
    connections = {row.name: replace(kinds[row.host], name=row.name) for row in ROWS if not isinstance(row, Host)}
    connections |= {row.name: row.change(sshd, replace(kinds["plain"], name=row.name)) for row in HOSTS}
    store = Store(tmp_path_factory.mktemp("run") / "evidence")
    gatherer = LocalGatherer(connections, store, NONCE)
    gatherer.ask([question for row in ROWS for question in questions(row)])
    yield store
    gatherer.close()


def questions(row: Answers | Fails | Host) -> list[Command]:
    """The row's own question between its siblings."""
    before, after = command(row.name, "echo before"), command(row.name, "sleep 0.5; echo after")
    if isinstance(row, Host):
        return [before, after]
    return [before, command(row.name, row.script, slow=isinstance(row, Fails) and row.slow), after]


def assert_siblings_are_intact(store: Store, row: Answers | Fails) -> None:
    siblings = [store.get(question) for question in (questions(row)[0], questions(row)[2])]
    seen = [(s.status, s.stdout, s.stderr) if isinstance(s, Output) else s for s in siblings]
    assert seen == [(0, b"before\n", b""), (0, b"after\n", b"")]


def by_name(rows: Sequence[object]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=operator.attrgetter("name"))


@by_name(ANSWERS)
def test_an_answer_is_what_the_host_said(gathered: Store, row: Answers) -> None:
    answer = gathered.get(questions(row)[1])
    assert isinstance(answer, Output), answer
    assert (answer.status, answer.stdout, answer.stderr) == (row.status, row.stdout, row.stderr)
    assert answer.seconds < PROMPT_S
    assert_siblings_are_intact(gathered, row)


@by_name(FAILS)
def test_no_answer_is_the_right_error_for_that_question_alone(gathered: Store, row: Fails) -> None:
    question = questions(row)[1]
    evidence = gathered.evidence(question)
    assert evidence is not None
    (attempt,) = evidence.attempts
    assert isinstance(attempt.error, ProbeError), attempt.output
    assert (attempt.error.kind, attempt.error.host) == (row.error, row.name)
    assert row.says in attempt.error.message
    assert attempt.seconds < row.within_s
    assert_siblings_are_intact(gathered, row)


@by_name(HOSTS)
def test_a_host_that_cannot_be_asked_fails_all_its_questions_alike(gathered: Store, row: Host) -> None:
    answers = [gathered.get(question) for question in questions(row)]
    first = answers[0]
    assert isinstance(first, errors.HostError), first
    assert first.kind == row.error
    assert row.says in first.message
    assert row.name in first.message
    assert {str(answer) for answer in answers} == {first.message}
    record = gathered.host_records()[row.name]
    assert record.error is not None
    assert (record.error.kind, record.error.message) == (first.kind, first.message)
    assert record.seconds < row.within_s


def test_who_answered_is_on_record(gathered: Store) -> None:
    record = gathered.host_records()["both streams"]
    assert record.reached
    assert record.error is None
    assert record.identity["hostname"] == os.uname().nodename
    assert set(record.identity) == {"hostname", "machine_id"}


def test_who_answers_is_on_record_before_any_answer_is(sshd: Sshd, tmp_path: Path) -> None:
    """Other processes judge as soon as they find the answers, and must know whose they are."""
    known: list[str] = []

    class Watched(Store):
        def add(self, question: Question, *attempts: Attempt) -> None:
            known.append(self.host_records()["watched"].identity["hostname"])
            super().add(question, *attempts)

    connections = {"watched": sshd.connection("watched", sshd.let_in("watched"))}
    gatherer = LocalGatherer(connections, Watched(tmp_path / "evidence"), NONCE)
    gatherer.ask([command("watched", "echo one"), command("watched", "echo two", slow=True)])
    gatherer.close()
    assert known == [os.uname().nodename] * 2
