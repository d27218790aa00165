"""Hosts behind the real `kubectl`, which speaks to a script of an API server: none of this was seen on a cluster."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_server import ApiServer
from asking import Row, gathered
from local_sshd import free_port

from siteproof.asks import MISSING, Command
from siteproof.errors import ProbeError
from siteproof.evidence.store import Store
from siteproof.transport.connection import Connection

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is the operator's, and is not here")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    server = ApiServer(tmp_path_factory.mktemp("api")).start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # kubectl keeps a cache there
    monkeypatch.delenv("KUBECONFIG", raising=False)


def connection(server: ApiServer, pod: str, **variables: Any) -> Connection:
    where = {"ansible_kubectl_kubeconfig": str(server.kubeconfig), "ansible_kubectl_context": "home"}
    return Connection.from_variables(pod, {"ansible_connection": "kubectl", **where, **variables})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "evidence")


ROWS = [
    Row("both streams", "echo out; echo err >&2; exit 3", b"out\n", b"err\n", 3),
    Row("status 255", "exit 255", status=255),
    Row("not UTF-8", r"printf '\377\376\0'", b"\xff\xfe\0"),
    Row("3 MB", "head -c 3000000 /dev/zero", bytes(3_000_000)),
    Row("a long question", f": {'x' * 100_000}; echo long", b"long\n"),
    Row("tool missing", "need nosuchtool", b"", f"{MISSING}nosuchtool\n".encode(), 127),
    Row("hangs", "sleep 60", error="TimedOut"),
    Row("never stops writing", "cat /dev/zero", error="TooLarge"),
    Row("last", "echo last", b"last\n"),
]


def test_one_round_through_kubectl(server: ApiServer, store: Store) -> None:
    asked = [Command("web", row.name, 1, "reads", row.script) for row in ROWS]
    begun = time.monotonic()
    found = gathered(connection(server, "web", ansible_kubectl_container="app"), asked, store)
    for row, each in zip(ROWS, found, strict=True):
        row.is_what_came(each)
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize(
    ("pod", "error", "says"),
    [
        ("gone", "Unreachable", 'pods "gone" not found'),
        ("done", "Unreachable", "completed pod"),
        ("forbidden", "AuthenticationRefused", "is forbidden"),
        ("unauthorized", "AuthenticationRefused", "You must be logged in"),
    ],
)
def test_what_kubectl_says_is_said(server: ApiServer, pod: str, error: str, says: str, store: Store) -> None:
    (found,) = gathered(connection(server, pod), [Command(pod, "a question", 1, "reads", "echo never")], store)
    assert isinstance(found, ProbeError)
    assert found.kind == error
    assert says in str(found)


def test_no_api_server_is_unreachable(server: ApiServer, store: Store) -> None:
    arguments = {"ansible_kubectl_extra_args": f"--server=http://127.0.0.1:{free_port()}"}
    (found,) = gathered(
        connection(server, "web", **arguments),
        [Command("web", "x", 1, "reads", "echo never")],
        store,
    )
    assert isinstance(found, ProbeError)
    assert found.kind == "Unreachable"
    assert "refused" in str(found)
