"""An HTTP request that leaves from the host: spoken here by requests, carried to the host by its connection.

TLS is ours, end to end: the server is verified here, by our own authorities or the declared ones.

What happens once the connection stands is an answer, also that TLS fails or that what comes is no HTTP: it is about the
server. That the connection does not stand, that nothing comes in time, or that SSH is lost, is a ProbeError.
"""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Literal
from urllib.parse import urlsplit

import requests
import urllib3
from cryptography import x509
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from siteproof.asks import Stream
from siteproof.errors import ProbeError, Unanswered, Unparseable
from siteproof.transport import channel
from siteproof.transport.channel import Carrier, Either
from siteproof.transport.wire import ConnectionLost

HEADERS = (
    "content-type",
    "content-length",
    "location",
    "server",
    "www-authenticate",
    "docker-distribution-api-version",
)
"""Those that are kept."""
BODY_BYTES = 65536
"""As much of a body is kept."""

Phase = Literal["tls", "http"]


def ask(carrier: Carrier, question: Stream) -> bytes:
    """The answer as JSON, see `probes.http`. Raises ProbeError."""
    parameters = dict(question.parameters)
    authorities = parameters.get("ca") or True
    with _Line(carrier, question) as line:
        try:
            found = _exchange(line, parameters["url"], authorities)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            line.refuse_no_answer(error)
            phase: Phase = "tls" if question.protocol == "https" and not line.secured else "http"
            if phase == "tls" and not line.chain:
                line.chain = _chain_shown(line, parameters["url"])
            found = {"failed": phase, "failure": _innermost(error)}
        except ValueError as error:  # a certificate that verifies and cannot be read, a header that is no text
            raise Unparseable(f"{channel.described(question)}: {_innermost(error)}") from error
    return json.dumps({**found, "tls": line.secured, "chain": line.chain}, sort_keys=True).encode()


class _Line:
    """The connections of one question. None outlives its deadline."""

    def __init__(self, carrier: Carrier, question: Stream) -> None:
        self._carrier = carrier
        self._question = question
        self._channels: list[Either] = []
        self._lock = threading.Lock()
        self._expired = False
        self._end = time.monotonic() + question.deadline_s
        self._timer = threading.Timer(question.deadline_s, self._expire)
        self.secured: str | None = None
        """The version of TLS, once the server has proven who it is."""
        self.chain: list[Mapping[str, Any]] = []

    def __enter__(self) -> _Line:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._hang_up()

    def open(self) -> socket.socket:
        opened = self._carrier.connect(self._question, self._end)
        with self._lock:
            self._channels.append(opened)
            expired = self._expired
        if expired:  # nobody else would hang it up before the question is done with
            channel.end(opened)
            raise self._unanswered()
        connected = channel.as_socket(opened)
        connected.settimeout(channel.left_s(self._end))
        return connected

    def shaken(self, sock: ssl.SSLSocket) -> None:
        self.secured = sock.version()
        self.chain = _chain_of(sock)

    @property
    def deadline_s(self) -> float:
        return self._question.deadline_s

    def refuse_no_answer(self, error: BaseException) -> None:
        """Raises ProbeError unless it was the server that ended it."""
        what = channel.described(self._question)
        if self._expired or time.monotonic() >= self._end:  # a socket may be late before the timer is
            raise self._unanswered() from error
        if not self._carrier.alive:
            raise ConnectionLost(f"{self._question.host}: the connection was lost") from error
        if not self._channels:
            raise ProbeError(f"{what}: nothing was sent: {_innermost(error)}") from error

    def refuse_cut_off(self) -> None:
        """Raises Unanswered where it was us who hung up: a body without a length then only looks whole."""
        if self._expired:
            raise self._unanswered()

    def _unanswered(self) -> Unanswered:
        what = channel.described(self._question)
        return Unanswered(f"{what}: connected, and no whole answer within {self.deadline_s:g} s")

    def _expire(self) -> None:
        with self._lock:
            self._expired = True
        self._hang_up()

    def _hang_up(self) -> None:
        with self._lock:
            channels = tuple(self._channels)
        for opened in channels:
            channel.end(opened)


def _exchange(line: _Line, url: str, authorities: str | bool) -> dict[str, Any]:
    with requests.Session() as session:
        session.trust_env = False  # our proxies and our .netrc are not the host's
        session.verify = authorities
        session.mount(url.partition("//")[0] + "//", _Adapter(line))
        asked = {"Accept-Encoding": "identity"}
        reply = session.get(url, headers=asked, allow_redirects=False, stream=True, timeout=line.deadline_s)
        body = b""
        while len(body) <= BODY_BYTES and (part := reply.raw.read(BODY_BYTES + 1 - len(body))):
            body += part
        if len(body) <= BODY_BYTES:
            line.refuse_cut_off()
        return {
            "status": reply.status_code,
            "headers": {name: reply.headers[name] for name in HEADERS if name in reply.headers},
            "body": base64.b64encode(body[:BODY_BYTES]).decode(),
            "cut": len(body) > BODY_BYTES,
        }


class _Adapter(HTTPAdapter):
    """requests over the channels of a line."""

    def __init__(self, line: _Line) -> None:
        self._line = line
        super().__init__()

    def init_poolmanager(self, *given: Any, **named: Any) -> None:
        super().init_poolmanager(*given, **named)
        self.poolmanager.pool_classes_by_scheme = _pools(self._line)


def _pools(line: _Line) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return line.open()

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return line.open()

        def connect(self) -> None:
            super().connect()
            if isinstance(self.sock, ssl.SSLSocket):
                line.shaken(self.sock)

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _chain_shown(line: _Line, url: str) -> list[Mapping[str, Any]]:
    """What a server shows that was not believed: asked once more, to be told in the report, for nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with context.wrap_socket(line.open(), server_hostname=urlsplit(url).hostname) as sock:
            return _chain_of(sock)
    except (ProbeError, OSError, ValueError):
        return []


def _chain_of(sock: ssl.SSLSocket) -> list[Mapping[str, Any]]:
    """The chain as the server sent it; of a Python that does not tell it, the server's own certificate."""
    unverified = getattr(getattr(sock, "_sslobj", None), "get_unverified_chain", None)
    if unverified is not None:
        sent = [ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in unverified() or ()]
    else:
        sent = [own for own in (sock.getpeercert(binary_form=True),) if own]
    return [_certificate(x509.load_der_x509_certificate(each)) for each in sent]


def _certificate(found: x509.Certificate) -> Mapping[str, Any]:
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        said = [str(name.value) for name in names]
    except x509.ExtensionNotFound:
        said = []
    return {
        "subject": found.subject.rfc4514_string(),
        "issuer": found.issuer.rfc4514_string(),
        "names": said,
        "from": _iso(found.not_valid_before_utc),
        "until": _iso(found.not_valid_after_utc),
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _innermost(error: BaseException) -> str:
    """The words of what went wrong, without those of the libraries around it."""
    inner: Any = error
    while True:
        reason = getattr(inner, "reason", None)
        wrapped = [each for each in (reason, *getattr(inner, "args", ())) if isinstance(each, BaseException)]
        if not wrapped:
            return (inner.strerror if isinstance(inner, OSError) and inner.strerror else str(inner)) or type(
                inner
            ).__name__
        inner = wrapped[0]
