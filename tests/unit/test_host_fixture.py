"""The `host` fixture on a real sshd: testinfra never gets an answer that nobody gave."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import testinfra.host
from local_sshd import Sshd, free_port
from operators_project import Project

from siteproof.errors import ProbeError
from siteproof.evidence.store import Store
from siteproof.gather import LocalGatherer
from siteproof.plugin import host_fixture
from siteproof.transport.connection import Connection

pytest_plugins = "pytester"

CAP = 1 << 20
SESSION = "read -r _ _ _ shell _ </proc/$PPID/stat"


@dataclass(frozen=True)
class Row:
    """A command on a host, and what testinfra gets: a result, or why there is none."""

    name: str
    command: str = "echo never"
    error: str | None = None
    says: str = ""
    status: int = 0
    stdout: bytes = b""
    host: str = "plain"
    seconds: float = 6.0
    connection: Mapping[str, Any] = field(default_factory=dict)


ROWS = [
    Row("answers", "echo out", stdout=b"out\n"),
    Row("says no", "exit 1", status=1),
    Row("exits 255", "exit 255", status=255),
    Row("is killed", "kill -9 $$", status=137),
    Row("not UTF-8", r"printf '\377\376'", stdout=b"\xff\xfe"),
    Row("leaves a child behind", "sleep 20 & echo out", stdout=b"out\n"),
    Row("reads stdin", "cat; echo out", stdout=b"out\n"),
    Row("no such command", "no-such-command", "ToolMissing", "no-such-command"),
    Row("hangs", "sleep 20", "TimedOut", "not finished within 1 s"),
    Row("one line of 50 MB", "head -c 50000000 /dev/zero", "TooLarge"),
    Row("5 MB of stderr", "head -c 5000000 /dev/zero >&2", "TooLarge"),
    Row("session killed", f"{SESSION}; kill -9 $shell; sleep 9", "Truncated", "before its end marker"),
    Row("channel refused", error="ProbeError", host="no session"),
    Row("refused", error="Unreachable", says="refused", host="refused"),
    Row("never speaks", error="Unreachable", says="no SSH handshake", host="mute"),
    Row("unknown key", error="HostKeyUnknown", says="ssh-keyscan", host="stranger"),
    Row("login refused", error="AuthenticationRefused", host="no key"),
    Row("not in the inventory", error="Unreachable", says="no connection is known", host="nobody"),
]


@dataclass
class Site:
    connections: dict[str, Connection]
    store: Store
    gatherer: LocalGatherer

    def host(self, name: str) -> testinfra.host.Host:
        return host_fixture.live_host(name, self.gatherer, self.store, listen=lambda question: None)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    server, few = Sshd().start(), Sshd(MaxSessions="0").start()
    key, mute = server.let_in("live"), socket.create_server(("127.0.0.1", 0))
    connections = {
        "plain": server.connection("plain", key),
        "no session": few.connection("no session", few.let_in("live")),
        "refused": server.connection("refused", key, port=free_port()),
        "mute": server.connection("mute", key, port=mute.getsockname()[1], connect_timeout_s=1.0),
        "stranger": server.connection("stranger", key, options=(("userknownhostsfile", str(server.log)),)),
        "no key": server.connection("no key", server.new_key("uninvited")),
    }
    store = Store(tmp_path_factory.mktemp("live") / "evidence")
    gatherer = LocalGatherer(connections, store, "abcdef012345", byte_cap=CAP)
    with closing(gatherer), mute:
        yield Site(connections, store, gatherer)
    server.stop()
    few.stop()


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_fixture, "LIVE_DEADLINE_S", 1.0)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_a_plain_check_gets(site: Site, row: Row) -> None:
    host, begun = site.host(row.host), time.monotonic()
    if row.error is None:
        result = host.run(row.command)
        assert (result.rc, result.stdout_bytes) == (row.status, row.stdout)
    else:
        with pytest.raises(ProbeError) as raised:
            host.run(row.command)
        assert row.error in (raised.value.kind, "ProbeError")
        assert row.says in str(raised.value)
    assert time.monotonic() - begun < row.seconds * 3  # promptly, on a machine that is busy too
    assert site.host("plain").run("echo fine").stdout == "fine\n"


Ask = Callable[[testinfra.host.Host], object]
HELPERS: list[tuple[str, Ask, dict[str, str]]] = [
    (
        "ping cannot resolve",
        lambda h: h.addr("no-such.invalid").is_reachable,
        {"ping": "echo unknown host >&2; exit 2"},
    ),
    ("ping may not", lambda h: h.addr("127.0.0.1").is_reachable, {"ping": "echo Operation not permitted >&2; exit 1"}),
    ("nc prints help", lambda h: h.addr("127.0.0.1").port(1).is_reachable, {"nc": "echo usage: nc >&2; exit 1"}),
    ("ss fails", lambda h: h.socket("tcp://127.0.0.1:1").is_listening, {"ss": "exit 255"}),
]


@pytest.mark.parametrize(("ask", "tools"), [row[1:] for row in HELPERS], ids=[row[0] for row in HELPERS])
def test_a_helper_that_could_not_look_does_not_say_no(
    site: Site, tmp_path: Path, ask: Ask, tools: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = site.gatherer.run
    for tool, script in tools.items():
        (tmp_path / tool).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / tool).chmod(0o755)
    tmp_path.chmod(0o755)
    monkeypatch.setattr(
        site.gatherer, "run", lambda host, command, s: run(host, f"PATH={tmp_path}:$PATH; export PATH\n{command}", s)
    )
    with pytest.raises(ProbeError):
        ask(site.host("plain"))


def test_a_helper_that_looked_says_no(site: Site) -> None:
    assert not site.host("plain").file("/no/such/file").exists
    assert not site.host("plain").addr("127.0.0.1").port(free_port()).is_reachable


PLAIN = """
import pytest
testinfra_hosts = ["one"]

def test_it_changes(host):
    seen = [host.run("cat {directory}/mtu; echo >>{directory}/mtu").stdout for _ in range(3)]
    assert len(set(seen)) == 3

def test_it_is_not_there(host):
    assert host.file("{directory}/no-such").exists
"""


def test_a_plain_check_is_in_the_bundle_and_replayed(project: Project) -> None:
    project.checks(PLAIN)
    assert project.run().ret == 1
    verdicts = project.verdicts()
    assert verdicts == {"it-changes[one]": "held", "it-is-not-there[one]": "violated"}
    assert project.report["results"][0]["evidence"]
    before = project.sshd.logins()
    ran = project.run("--replay", str(project.runs[0]))
    assert ran.ret == 1, ran.stdout.str()
    assert project.verdicts() == verdicts
    assert project.sshd.logins() == before
