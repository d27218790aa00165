"""One connection per host, whoever asks and however often; and a gatherer process that never outlives its run."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from local_sshd import Sshd, free_port

from siteproof import errors
from siteproof.asks import Command, Output
from siteproof.errors import ProbeError
from siteproof.evidence.store import Store
from siteproof.gather import Gatherer, LocalGatherer, Progress, RemoteGatherer, spawn
from siteproof.transport.connection import Connection

NONCE = "abcdef012345"


def command(host: str, script: str, **fields: object) -> Command:
    return Command(host=host, probe="p", deadline_s=2, probe_class="reads", script=script, **fields)  # type: ignore[arg-type]


@pytest.fixture
def sshd() -> Iterator[Sshd]:
    server = Sshd().start()
    yield server
    server.stop()


@pytest.fixture
def connections(sshd: Sshd) -> dict[str, Connection]:
    connection = sshd.connection("cp1", sshd.let_in("user"))
    down = replace(connection, name="worker1", port=free_port())
    return {"cp1": connection, "cp2": replace(connection, name="cp2"), "worker1": down}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "evidence")


@pytest.fixture(params=["local", "remote"])
def gatherer(request: pytest.FixtureRequest, connections: dict[str, Connection], store: Store) -> Iterator[Gatherer]:
    made = (
        LocalGatherer(connections, store, NONCE)
        if request.param == "local"
        else spawn(connections, store, run_nonce=NONCE)
    )
    yield made
    made.close()


def text(store: Store, question: Command) -> str:
    answer = store.get(question)
    assert isinstance(answer, Output), answer
    return answer.text


def at_once(*calls: Callable[[], None]) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def test_rounds_share_a_connection_and_nothing_is_asked_twice(gatherer: Gatherer, store: Store, sshd: Sshd) -> None:
    first, second = command("cp1", "echo $NONCE"), command("cp1", f"echo x >>{sshd.directory}/asked")
    for questions in ([first], [first, second], [second]):
        gatherer.ask(questions)
    assert text(store, first) == f"{NONCE}\n"
    assert (sshd.directory / "asked").read_text() == "x\n"
    assert sshd.logins() == 1


def test_a_host_that_is_down_takes_nothing_from_the_others(gatherer: Gatherer, store: Store) -> None:
    up, down = command("cp1", "echo up"), [command("worker1", "echo down"), command("nowhere", "echo down")]
    gatherer.ask([up, *down])
    assert text(store, up) == "up\n"
    assert [type(store.get(question)) for question in down] == [errors.Unreachable] * 2
    records = store.host_records()
    assert (records["cp1"].reached, records["worker1"].reached) == (True, False)


def test_a_host_that_is_down_is_connected_to_once_in_a_run(connections: dict[str, Connection], store: Store) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    silent = replace(connections["cp1"], port=listener.getsockname()[1], connect_timeout_s=0.3)
    gatherer = LocalGatherer({"cp1": silent}, store, NONCE)
    questions = [command("cp1", f"echo {number}") for number in range(3)]
    for question in questions:
        gatherer.ask([question])
    gatherer.close()
    assert len({str(store.get(question)) for question in questions}) == 1
    listener.accept()
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_a_connection_lost_between_rounds_is_made_again(gatherer: Gatherer, store: Store, sshd: Sshd) -> None:
    shells_parent = "read -r _ _ _ shell _ </proc/$PPID/stat; read -r _ _ _ sshd _ </proc/$shell/stat; echo $sshd"
    who = command("cp1", shells_parent)
    gatherer.ask([who])
    os.kill(int(text(store, who)), 9)
    time.sleep(0.2)
    after = command("cp1", "echo after")
    gatherer.ask([after])
    assert text(store, after) == "after\n"
    assert sshd.logins() == 2


def test_a_live_command_has_its_status_and_both_streams(gatherer: Gatherer) -> None:
    output = gatherer.run("cp1", "echo out; echo err >&2; exit 255", 2)
    assert (output.status, output.stdout, output.stderr) == (255, b"out\n", b"err\n")
    with pytest.raises(errors.Unreachable, match="worker1"):
        gatherer.run("worker1", "true", 2)
    with pytest.raises(errors.Truncated):
        gatherer.run("cp1", "read -r _ _ _ shell _ </proc/$PPID/stat; kill -9 $shell", 2)
    assert gatherer.run("cp1", "printf '\\377'", 2).stdout == b"\xff"


def test_progress_tells_of_every_host(gatherer: Gatherer) -> None:
    seen: list[Progress] = []
    gatherer.ask([command("cp1", "echo 1"), command("cp1", "echo 2"), command("worker1", "true")], seen.append)
    by_host = {host: [(p.phase, p.done) for p in seen if p.host == host] for host in ("cp1", "worker1")}
    assert by_host["cp1"][0] == ("connecting", 0)
    assert by_host["cp1"][-1] == ("done", 2)
    assert ("asking", 0) in by_host["cp1"]
    assert by_host["worker1"][-1] == ("failed", 1)


def test_a_bug_of_ours_is_said_by_name_and_is_no_answer(
    connections: dict[str, Connection], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("forgotten")

    monkeypatch.setattr("siteproof.transport.session.batch.script", broken)
    gatherer = LocalGatherer(connections, store, NONCE)
    gatherer.ask([command("cp1", "true"), command("cp2", "true")])
    gatherer.close()
    for host in ("cp1", "cp2"):
        error = store.get(command(host, "true"))
        assert isinstance(error, ProbeError)
        assert error.message == f"siteproof failed while asking {host}: KeyError: 'forgotten'"


def test_a_gatherer_that_was_closed_asks_nobody(connections: dict[str, Connection], store: Store, sshd: Sshd) -> None:
    gatherer = LocalGatherer(connections, store, NONCE)
    gatherer.ask([command("cp1", "echo before")])
    gatherer.close()
    gatherer.ask([command("cp1", "echo after")])
    error = store.get(command("cp1", "echo after"))
    assert isinstance(error, errors.Unreachable)
    assert "the run was ended" in error.message
    assert sshd.logins() == 1


def test_two_names_for_one_machine_are_found(gatherer: Gatherer) -> None:
    gatherer.ask([command("cp1", "true"), command("cp2", "true")])
    machine_id = Path("/etc/machine-id")
    known = machine_id.exists() and machine_id.read_text().strip()
    assert gatherer.duplicates == ([("cp1", "cp2")] if known else [])


def test_workers_that_ask_the_same_have_it_asked_once(
    connections: dict[str, Connection], store: Store, sshd: Sshd
) -> None:
    controller = spawn(connections, store, run_nonce=NONCE)
    workers = [RemoteGatherer(controller.socket_path) for _ in range(3)]
    counter = sshd.directory / "asked"
    shared = [command("cp1", f"echo {number} >>{counter}; sleep 0.2; echo {number}") for number in range(3)]
    own = [command("cp1", f"echo own {number}") for number in range(3)]
    at_once(*(lambda w=worker, o=question: w.ask([*shared, o]) for worker, question in zip(workers, own, strict=True)))
    assert sorted(counter.read_text().split()) == ["0", "1", "2"]
    # Each worker finds the answers in the store by itself, as soon as its own ask returns.
    other = Store(store.directory)
    assert [text(other, question) for question in [*shared, *own]] == [
        *(f"{n}\n" for n in range(3)),
        *(f"own {n}\n" for n in range(3)),
    ]
    assert sshd.logins() == 1
    for worker in workers:
        worker.close()
    controller.close()
    assert not controller.socket_path.parent.exists()
    with pytest.raises(OSError, match="No such file"):
        RemoteGatherer(controller.socket_path)


def test_a_gatherer_that_has_ended_is_said_so(connections: dict[str, Connection], store: Store) -> None:
    controller = spawn(connections, store, run_nonce=NONCE)
    worker = RemoteGatherer(controller.socket_path)
    controller.close()
    with pytest.raises(ProbeError, match="gatherer process"):
        worker.ask([command("cp1", "true")])
    worker.close()


def test_the_gatherer_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    parent = textwrap.dedent(
        f"""
        import os, pathlib, signal
        from siteproof.evidence.store import Store
        from siteproof.gather import spawn
        gatherer = spawn({{}}, Store(pathlib.Path({str(tmp_path)!r}) / "evidence"), run_nonce="x")
        print(gatherer._process.pid, gatherer.socket_path, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    done = subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True, timeout=20, check=False)
    pid, path = done.stdout.split()
    end = time.monotonic() + 5
    while Path(path).exists() or Path(f"/proc/{pid}").exists():
        assert time.monotonic() < end, "the gatherer still runs"
        time.sleep(0.05)


def test_hosts_behind_a_jump_host_share_its_connection(
    connections: dict[str, Connection], store: Store, sshd: Sshd
) -> None:
    jump = ("proxyjump", f"localhost:{sshd.port}")  # by another name: ssh takes its own for a loop
    behind = {
        name: replace(connections["cp1"], name=name, options=(jump, *connections["cp1"].options))
        for name in ("a", "b", "c")
    }
    gatherer = LocalGatherer(behind, store, NONCE)
    questions = [command(name, f"echo {name}") for name in behind]
    gatherer.ask(questions)
    gatherer.close()
    assert [text(store, question) for question in questions] == ["a\n", "b\n", "c\n"]
    assert sshd.logins() == 4


def test_a_proxy_command_carries_the_connection(
    connections: dict[str, Connection], store: Store, sshd: Sshd, tmp_path: Path
) -> None:
    relay = tmp_path / "relay.py"
    relay.write_text(
        "import os, select, socket, sys\n"
        "peer = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "while True:\n"
        "    for ready in select.select([0, peer], [], [])[0]:\n"
        "        data = os.read(0, 65536) if ready == 0 else peer.recv(65536)\n"
        "        if not data: sys.exit()\n"
        "        os.write(1, data) if ready is peer else peer.sendall(data)\n"
    )
    command_line = ("proxycommand", f"{sys.executable} {relay} %h %p")
    through = replace(connections["cp1"], options=(command_line, *connections["cp1"].options))
    gatherer = LocalGatherer({"cp1": through}, store, NONCE)
    question = command("cp1", "echo through")
    gatherer.ask([question])
    gatherer.close()
    assert text(store, question) == "through\n"


def test_a_host_that_opens_no_session_says_so(store: Store) -> None:
    sshd = Sshd(MaxSessions="0").start()
    questions = [command("cp1", "echo batch"), *(command("cp1", f"echo {n}", slow=True) for n in range(20))]
    begun = time.monotonic()
    try:
        gatherer = LocalGatherer({"cp1": sshd.connection("cp1", sshd.let_in("user"))}, store, NONCE)
        gatherer.ask(questions)
        with pytest.raises(errors.Unreachable):
            gatherer.run("cp1", "true", 2)
        gatherer.close()
    finally:
        sshd.stop()
    answers = {str(store.get(question)) for question in questions}
    assert len(answers) == 1 and "opens no session" in (said := answers.pop()) and "MaxSessions" in said
    assert time.monotonic() - begun < 8


def test_one_session_at_a_time_is_enough(store: Store) -> None:
    sshd = Sshd(MaxSessions="1").start()
    try:
        gatherer = LocalGatherer({"cp1": sshd.connection("cp1", sshd.let_in("user"))}, store, NONCE)
        questions = [command("cp1", f"echo {n}; sleep 0.1", slow=n % 2 == 1) for n in range(6)]
        gatherer.ask(questions)
        gatherer.close()
    finally:
        sshd.stop()
    assert [text(store, question) for question in questions] == [f"{n}\n" for n in range(6)]
