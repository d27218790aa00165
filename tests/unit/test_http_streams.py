"""HTTP requests that leave from the host, through a real sshd to small real servers on loopback."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from asking import Speak, gathered, listening
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from local_sshd import Sshd, free_port

from siteproof.asks import Recorded
from siteproof.errors import NotRecorded, ProbeError, Unparseable
from siteproof.evidence.bundle import Replay, RunRecord, write_record
from siteproof.evidence.store import Store
from siteproof.probes.path.http import HttpAnswer, http_get

NAME = "registry.example"
LOOPBACK = IPv4Address("127.0.0.1")
DEADLINE_S = 3.0
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Other: no\r\nContent-Length: 5\r\n\r\nhello"
MOVED = b"HTTP/1.1 301 Moved\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n"
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000
SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot so much"


class Authority:
    """A certificate authority, and the servers it vouches for."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = directory / f"{name}.pem"
        own = self._signed(self._name, self._key.public_key(), 10, x509.BasicConstraints(ca=True, path_length=None))
        self.file.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, days: int, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        until = datetime.now(UTC) + timedelta(days=days)
        builder = x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number())
        builder = builder.not_valid_before(until - timedelta(days=20)).not_valid_after(until)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self._key, hashes.SHA256())

    def context(self, name: str, days: int = 10) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        signed = self._signed(subject, key.public_key(), days, names)
        file = self._directory / f"{name}{days}.pem"
        plain = serialization.NoEncryption()
        file.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
            + signed.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def says(reply: bytes) -> Speak:
    def speak(client: socket.socket) -> None:
        while b"\r\n\r\n" not in client.recv(65536):
            pass
        client.sendall(reply)

    return speak


def drips(client: socket.socket) -> None:
    """A body without a length ends with its connection."""
    says(b"HTTP/1.1 200 OK\r\n\r\nno end")(client)
    for _ in range(300):
        client.sendall(b".")
        time.sleep(0.1)


def over_tls(context: ssl.SSLContext, speak: Speak) -> Speak:
    def secured(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True) as inner:
            speak(inner)

    return secured


def resets(client: socket.socket) -> None:
    client.recv(1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "ca")


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    server = Sshd().start()
    yield server
    server.stop()


def ask(sshd: Sshd, store: Store, url: str, ca: str = "", options: str = "") -> Recorded:
    key = sshd.let_in(f"http{len(list(sshd.directory.iterdir()))}", options)
    connection = sshd.connection("host", key)
    asked = http_get("host", url, address=LOOPBACK, ca=ca, deadline_s=DEADLINE_S)
    found = gathered(connection, asked.questions, store)[0]
    assert found is not None
    return found


def read(recorded: Recorded, url: str, ca: str = "") -> HttpAnswer:
    return http_get("host", url, address=LOOPBACK, ca=ca, deadline_s=DEADLINE_S).read(lambda _: recorded)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "run" / "evidence")


def test_http(sshd: Sshd, store: Store) -> None:
    url = f"http://{NAME}:{listening(says(OK))}/v2/"
    answer = read(ask(sshd, store, url), url)
    assert (answer.status, answer.body, answer.failed, answer.tls, answer.chain) == (200, b"hello", "", None, ())
    assert answer.headers == {"content-type": "text/plain", "content-length": "5"}


def test_https_is_verified_by_the_declared_authority(sshd: Sshd, store: Store, authority: Authority) -> None:
    context, seen = authority.context(NAME), list[str | None]()
    context.sni_callback = lambda _, name, __: seen.append(name)
    url = f"https://{NAME}:{listening(over_tls(context, says(OK)))}/"
    answer = read(ask(sshd, store, url, str(authority.file)), url, str(authority.file))
    assert (answer.status, answer.body, answer.failed) == (200, b"hello", "")
    assert answer.tls == "TLSv1.3"
    assert seen == [NAME]
    assert answer.chain[0].names == (NAME,)
    assert answer.chain[0].issuer == "CN=ca"
    assert timedelta(days=9) < answer.chain[0].valid_until - datetime.now(UTC) < timedelta(days=11)


@dataclass(frozen=True)
class Fails:
    name: str
    make: Callable[[Authority], Speak]
    failed: str
    says: str
    chain: int = 0


FAILS = [
    Fails("expired", lambda ca: over_tls(ca.context(NAME, -1), says(OK)), "tls", "expired", 1),
    Fails("another name", lambda ca: over_tls(ca.context("other.example"), says(OK)), "tls", "mismatch", 1),
    Fails("no TLS", lambda ca: lambda client: client.sendall(OK), "tls", ""),
    Fails("resets the handshake", lambda ca: resets, "tls", ""),
    Fails("no HTTP", lambda ca: over_tls(ca.context(NAME), says(b"SSH-2.0-x\r\n\r\n")), "http", "SSH-2.0-x", 1),
    Fails("hangs up", lambda ca: over_tls(ca.context(NAME), lambda c: c.recv(1)), "http", "", 1),
    Fails("half a body", lambda ca: over_tls(ca.context(NAME), says(SHORT)), "http", "", 1),
]


@pytest.mark.parametrize("row", FAILS, ids=lambda row: row.name)
def test_what_fails_once_it_is_connected_is_an_answer(
    sshd: Sshd, store: Store, authority: Authority, row: Fails
) -> None:
    url, ca = f"https://{NAME}:{listening(row.make(authority))}/", str(authority.file)
    answer = read(ask(sshd, store, url, ca), url, ca)
    assert (answer.status, answer.failed, len(answer.chain)) == (None, row.failed, row.chain), answer
    assert row.says in answer.failure


def test_an_authority_that_is_not_ours_is_not_believed(sshd: Sshd, store: Store, authority: Authority) -> None:
    url = f"https://{NAME}:{listening(over_tls(authority.context(NAME), says(OK)))}/"
    answer = read(ask(sshd, store, url), url)
    assert (answer.failed, answer.tls) == ("tls", None)
    assert "certificate verify failed" in answer.failure
    assert [each.names for each in answer.chain] == [(NAME,)]


@dataclass(frozen=True)
class Silent:
    name: str
    port: Callable[[], int]
    error: str
    options: str = ""
    ca: str = ""


SILENT = [
    Silent("accepts and never speaks", lambda: listening(lambda _: time.sleep(30)), "Unanswered"),
    Silent("speaks and is never done", lambda: listening(drips), "Unanswered"),
    Silent("nobody listens", free_port, "Unanswered"),
    Silent("forwarding refused", lambda: listening(says(OK)), "ChannelRefused", "no-port-forwarding"),
    Silent("no authorities", lambda: listening(says(OK)), "ProbeError", ca="/no/such/ca.pem"),
]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("row", SILENT, ids=lambda row: row.name)
def test_what_was_not_answered_is_none(sshd: Sshd, store: Store, row: Silent, scheme: str) -> None:
    if row.ca and scheme == "http":
        return
    begun = time.monotonic()
    error = ask(sshd, store, f"{scheme}://{NAME}:{row.port()}/", row.ca, row.options)
    assert isinstance(error, ProbeError)
    assert error.kind == row.error, error
    assert time.monotonic() - begun < DEADLINE_S * 4


def test_a_body_is_kept_up_to_the_cap_and_redirects_are_not_followed(sshd: Sshd, store: Store) -> None:
    large, moved = (f"http://{NAME}:{listening(says(reply))}/" for reply in (LARGE, MOVED))
    answer = read(ask(sshd, store, large), large)
    assert (len(answer.body), answer.cut) == (65536, True)
    answer = read(ask(sshd, store, moved), moved)
    assert (answer.status, answer.headers["location"]) == (301, "https://elsewhere.example/")


def test_an_answer_is_read_from_its_bundle(sshd: Sshd, store: Store, tmp_path: Path) -> None:
    url = f"http://{NAME}:{listening(says(OK))}/"
    answer = read(ask(sshd, store, url), url)
    record = RunRecord("2026-09-21T14:13:20Z", None, "", "inventories/site", ("host",), ("host",), {}, {})
    write_record(tmp_path / "run", record)
    replay = Replay([tmp_path / "run"])
    asked = http_get("host", url, address=LOOPBACK, deadline_s=DEADLINE_S)
    assert asked.read(lambda q: replay.get(q) or NotRecorded("no")) == answer


@pytest.mark.parametrize("url", ["ftp://registry.example/", "registry.example", "https://"])
def test_another_url_is_not_asked(url: str) -> None:
    with pytest.raises(Unparseable, match="not an http"):
        http_get("host", url)
