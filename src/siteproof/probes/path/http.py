"""HTTP and HTTPS asked from the host itself (requests through the SSH connection); nothing is needed there."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from siteproof.asks import ADDRESS, LARGE, PATH, URL, Ask, Host, Output, Single, Stream, bounded, name_of
from siteproof.asks.words import Address
from siteproof.errors import Unparseable

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate as a server shows it."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    valid_from: datetime
    valid_until: datetime


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came once the TCP connection stood."""

    status: int | None
    """None if no HTTP answer came."""
    headers: Mapping[str, str]
    """By name in lower case: content-type, content-length, location, server, www-authenticate and the registry's."""
    body: bytes
    cut: bool
    """The body is longer than what is kept of it."""
    failed: str
    """`tls` if the server could not prove who it is, `http` if what came is no answer, else empty."""
    failure: str
    """The words for it."""
    tls: str | None
    """The version, e.g. `TLSv1.3`; None without TLS, and where it failed."""
    chain: tuple[Certificate, ...]
    """As the server sends it, its own first; also where it was not believed."""


def http_get(
    host: Host,
    url: str,
    *,
    address: Address | None = None,
    ca: str = "",
    deadline_s: float = 8,
) -> Ask[HttpAnswer]:
    """What `url` answers to `host`; redirects are not followed.

    `address`: connect there, and not to where the host resolves the name. `ca`: a file of authorities (PEM) beside the
    checks; without it, those that requests brings. Raises Unanswered where a server refuses the connection or says
    nothing; one whose TLS or HTTP fails is an answer.
    """
    parts = urlsplit(URL(url).text)
    question = Stream(
        host=name_of(host),
        probe=f"GET {url}" + (f" at {address}" if address else ""),
        deadline_s=deadline_s,
        probe_class="sends",
        address=ADDRESS(address).text if address else str(parts.hostname),
        port=parts.port or PORTS[parts.scheme],
        protocol="https" if parts.scheme == "https" else "http",
        parameters=(("url", url), *((("ca", PATH(ca).text),) if ca else ())),
    )
    return Single(question, bounded(parse, LARGE))


def parse(output: Output) -> HttpAnswer:
    """Raises Unparseable for anything but the transport's own record."""
    try:
        found: dict[str, Any] = json.loads(output.stdout)
        return HttpAnswer(
            status=found.get("status"),
            headers=dict(found.get("headers", {})),
            body=base64.b64decode(found.get("body", "")),
            cut=bool(found.get("cut")),
            failed=found.get("failed", ""),
            failure=found.get("failure", ""),
            tls=found["tls"],
            chain=tuple(_certificate(each) for each in found["chain"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unparseable(f"not the record of an HTTP request: {type(error).__name__}: {error}") from error


def _certificate(found: Mapping[str, Any]) -> Certificate:
    return Certificate(
        subject=found["subject"],
        issuer=found["issuer"],
        names=tuple(found["names"]),
        valid_from=datetime.fromisoformat(found["from"]),
        valid_until=datetime.fromisoformat(found["until"]),
    )
