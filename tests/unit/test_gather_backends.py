"""Hosts that are not behind SSH: the same questions, the same answers, the same errors.

`local` is this machine, for real. docker is asked for real in tests/lab; here a tool of that name is a script, which
runs the shell that it is told to run, or says what the real one says when it cannot.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from test_gather_sshd import ANSWERS, FAILS, NONCE, Answers, Fails, assert_siblings_are_intact, by_name, questions
from test_gather_streams import answer as answer_dns

from siteproof.asks import Command, Output, Stream
from siteproof.errors import ProbeError
from siteproof.evidence.store import Store
from siteproof.gather import LocalGatherer
from siteproof.plugin import host_fixture
from siteproof.transport.connection import Connection

HERE_TOO: list[Answers | Fails] = [
    # There is no sshd above the shell here: what that row kills would be the tests.
    row
    for rows in (ANSWERS, FAILS)
    for row in rows
    if row.host == "plain" and row.name != "kills the connection"
]
TOOL = r"""#!/bin/sh
printf '%s\n' "$*" >>"$0.log"
case $* in
*' gone '*) echo 'Error response from daemon: No such container: gone' >&2; exit 1 ;;
*' down '*) echo 'Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?' >&2; exit 1 ;;
*' not-let-in '*) echo 'permission denied while trying to connect to the Docker daemon socket at unix:///x' >&2
    exit 1 ;;
*' no-shell '*) echo 'OCI runtime exec failed: exec: "/bin/sh": stat /bin/sh: no such file or directory: unknown'
    exit 126 ;;
*' mute '*) exit 3 ;;
*' hangs '*) exec sleep 60 ;;
*' chatty '*) echo 'Defaulted container "app" out of: app, proxy (init)' >&2 ;;
esac
while [ "$1" != /bin/sh ]; do shift; done
# As in a container: the shell does not end with the tool, and leads no group of its own.
[ "${0##*/}" = podman ] && exec setsid --wait sh -c '"$@"; exit $?' - "$@"
exec "$@"
"""


def connection(name: str, kind: str, **variables: Any) -> Connection:
    return Connection.from_variables(name, {"ansible_connection": kind, **variables})


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tools")
    for name in ("docker", "podman", "kubectl"):
        (directory / name).write_text(TOOL)
        (directory / name).chmod(0o755)
    return directory


@pytest.fixture(autouse=True)
def _on_path(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")


def store(directory: Path) -> Store:
    return Store(directory / "evidence")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The tables of the SSH tests, asked of this machine in one round."""
    kept = store(tmp_path_factory.mktemp("here"))
    hosts = {row.name: connection(row.name, "local") for row in HERE_TOO}
    with closing(LocalGatherer(hosts, kept, NONCE)) as gatherer:
        gatherer.ask([question for row in HERE_TOO for question in questions(row)])
        yield kept


@by_name(HERE_TOO)
def test_this_machine_is_asked_as_if_over_ssh(here: Store, row: Answers | Fails) -> None:
    found = here.get(questions(row)[1])
    if isinstance(row, Answers):
        assert isinstance(found, Output), found
        assert (found.status, found.stdout, found.stderr) == (row.status, row.stdout, row.stderr)
    else:
        assert isinstance(found, ProbeError), found
        assert (found.kind, found.host) == (row.error, row.name)
        assert row.says in found.message
    assert_siblings_are_intact(here, row)


def test_this_machine_says_who_it_is(here: Store) -> None:
    record = here.host_records()["both streams"]
    assert record.reached
    assert record.identity["hostname"] == os.uname().nodename
    assert record.login_user


@dataclass(frozen=True)
class Far:
    """A container, as the tool speaks of it, and what comes of asking there."""

    target: str
    error: str | None
    says: str = ""
    kind: str = "docker"


FAR = [
    Far("web", None),
    Far("web", None, kind="podman"),
    Far("web", None, kind="kubectl"),
    Far("chatty", None, kind="kubectl"),
    Far("gone", "Unreachable", "x (docker://gone): Error response from daemon: No such container: gone"),
    Far("down", "Unreachable", "Is the docker daemon running?"),
    Far("not-let-in", "AuthenticationRefused", "x (docker://not-let-in): permission denied"),
    Far("no-shell", "Unreachable", "no such file or directory", kind="podman"),
    Far("mute", "Unreachable", "x (kubectl://mute): its shell ended with status 3 before", kind="kubectl"),
    Far("hangs", "Unreachable", "no shell has started within 1 s"),
]


@pytest.mark.parametrize("row", FAR, ids=lambda row: f"{row.kind}-{row.target}")
def test_a_tool_leads_there_or_says_why_not(row: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siteproof.transport.backends.backend_session.START_S", 1.0)
    monkeypatch.setattr("siteproof.transport.session.START_S", 1.0)
    kept = store(tmp_path)
    asked = [Command("x", f"question {n}", 5, "reads", f"echo {n}; echo e{n} >&2; exit {n}") for n in range(3)]
    with closing(LocalGatherer({"x": connection("x", row.kind, ansible_host=row.target)}, kept, NONCE)) as gatherer:
        gatherer.ask(asked)
    found = [kept.get(question) for question in asked]
    record = kept.host_records()["x"]
    if row.error is None:
        said = [(each.status, each.stdout, each.stderr) for each in found if isinstance(each, Output)]
        assert said == [(n, b"%d\n" % n, b"e%d\n" % n) for n in range(3)]
        assert (record.reached, record.error) == (True, None)
        assert record.identity["machine_id"] == ""
        return
    for each in found:
        assert isinstance(each, ProbeError), each
        assert each.kind == row.error
        assert row.says in each.message
    assert not record.reached


def test_a_round_is_one_command_and_a_declared_name_is_compared(tools: Path, tmp_path: Path) -> None:
    log = tools / "docker.log"
    log.write_text("")
    hosts = {"x": connection("x", "docker"), "y": connection("y", "docker", siteproof_hostname="another")}
    kept = store(tmp_path)
    asked = [Command(host, f"question {n}", 5, "reads", f"echo {n}") for n in range(40) for host in hosts]
    with closing(LocalGatherer(hosts, kept, NONCE)) as gatherer:
        gatherer.ask(asked)
    assert sorted(log.read_text().splitlines()) == [
        "exec -i x /bin/sh -c echo $$; exec sh -s",
        "exec -i y /bin/sh -c echo $$; exec sh -s",
    ]
    assert isinstance(kept.get(asked[0]), Output)
    wrong = kept.get(asked[1])
    assert isinstance(wrong, ProbeError)
    assert wrong.kind == "WrongHost"
    assert "y at docker://y is another host: its hostname is" in str(wrong)


def test_what_hangs_is_ended_there_too(tools: Path, tmp_path: Path) -> None:
    """A container's shell does not end with the tool that led to it."""
    (tools / "podman.log").write_text("")
    kept = store(tmp_path)
    # `timeout` as busybox has it is not used in a container, so that it is we who count.
    asked = [
        Command("x", "hangs", 1, "reads", f"echo $$ >{tmp_path}/pid; sleep 60; echo never >{tmp_path}/pid"),
        Command("x", "next", 1, "reads", "echo fine"),
    ]
    (tmp_path / "timeout").write_text("#!/bin/sh\necho 'BusyBox v1.36.1 multi-call binary.'\n")
    (tmp_path / "timeout").chmod(0o755)
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{tmp_path}:{before}"
    try:
        with closing(LocalGatherer({"x": connection("x", "podman")}, kept, NONCE)) as gatherer:
            gatherer.ask(asked)
    finally:
        os.environ["PATH"] = before
    hung, then = kept.get(asked[0]), kept.get(asked[1])
    assert isinstance(hung, ProbeError)
    assert hung.kind == "TimedOut"
    assert isinstance(then, Output)
    assert then.stdout == b"fine\n"
    assert not is_running(int((tmp_path / "pid").read_text()))
    assert "kill -s KILL" in (tools / "podman.log").read_text()


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_an_end_of_the_run_ends_what_was_started(tmp_path: Path) -> None:
    kept = store(tmp_path)
    gatherer = LocalGatherer({"x": connection("x", "local")}, kept, NONCE)
    question = Command("x", "hangs", 30, "reads", f"echo $$ >{tmp_path}/pid; sleep 60")
    thread = threading.Thread(target=gatherer.ask, args=([question],))
    thread.start()
    end = time.monotonic() + 10
    while not (tmp_path / "pid").exists() and time.monotonic() < end:
        time.sleep(0.02)
    gatherer.close()
    thread.join(10)
    assert not thread.is_alive()
    assert isinstance(kept.get(question), ProbeError)


def answer_once(listener: socket.socket) -> None:
    with suppress(OSError):  # nobody may come
        answer_dns(listener.accept()[0])


@pytest.mark.parametrize(
    ("kind", "error", "says"),
    [
        ("local", None, ""),
        ("docker", "ChannelRefused", "x: no stream through docker://x"),
        ("kubectl", "ChannelRefused", "x: no stream through kubectl://x"),
    ],
)
def test_a_stream_leaves_from_this_machine_and_from_no_container(
    kind: str, error: str | None, says: str, tmp_path: Path
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=answer_once, args=(listener,), daemon=True).start()
    kept = store(tmp_path)
    question = Stream("x", "a name", 2, "sends", address="127.0.0.1", port=listener.getsockname()[1])
    question = replace(question, parameters=(("name", "forgejo.home.example"), ("type", "A")))
    with closing(LocalGatherer({"x": connection("x", kind)}, kept, NONCE)) as gatherer, listener:
        gatherer.ask([question])
    found = kept.get(question)
    if error is None:
        assert isinstance(found, Output), found
        assert b"forgejo" in found.stdout
    else:
        assert isinstance(found, ProbeError)
        assert (found.kind, found.host) == (error, "x")
        assert says in str(found)


@pytest.mark.parametrize("address", ["198.51.100.7", "203.0.113.10", "www.example"])
def test_nothing_leaves_this_machine_for_what_documentation_uses(address: str, tmp_path: Path) -> None:
    kept = store(tmp_path)
    question = Stream("x", "a page", 1, "sends", address=address, port=9, protocol="http")
    question = replace(question, parameters=(("url", f"http://{address}/"),))
    with closing(LocalGatherer({"x": connection("x", "local")}, kept, NONCE)) as gatherer:
        gatherer.ask([question])
    assert "documentation" in str(kept.get(question))


@pytest.mark.parametrize("kind", ["local", "docker", "podman", "kubectl"])
def test_the_host_fixture_is_asked_the_same_way(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_fixture, "LIVE_DEADLINE_S", 1.0)
    kept = store(tmp_path)
    with closing(LocalGatherer({"x": connection("x", kind)}, kept, NONCE, byte_cap=1 << 20)) as gatherer:
        host = host_fixture.live_host("x", gatherer, kept, listen=lambda question: None)
        assert host.run("echo out; exit 3").rc == 3
        assert host.file("/").is_directory
        assert not host.file("/no/such").exists
        for command, error in (
            ("sleep 20", "TimedOut"),
            ("head -c 5000000 /dev/zero", "TooLarge"),
            ("no-such-command", "ToolMissing"),
        ):
            with pytest.raises(ProbeError) as raised:
                host.run(command)
            assert raised.value.kind == error
        assert host.run("echo fine").stdout == "fine\n"
