"""Failures by their causes, in the words of containerd and dockerd."""

from __future__ import annotations

import pytest

from siteproof.runtimes.pull_failure import cause

REFERENCE = 'failed to pull and unpack image "r.example/a:1": failed to resolve reference "r.example/a:1": '
HEAD = f'{REFERENCE}failed to do request: Head "https://r.example/v2/a/manifests/1": '


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("", ""),
        (f"{HEAD}dial tcp 198.51.100.76:443: i/o timeout", "dial timeout"),
        (f"{HEAD}net/http: TLS handshake timeout", "TLS handshake timeout"),
        (f"{HEAD}dial tcp: lookup r.example on 127.0.0.53:53: no such host", "no such host"),
        (f"{HEAD}dial tcp: lookup r.example: server misbehaving", "no such host"),
        (f"{HEAD}tls: failed to verify certificate: x509: certificate signed by unknown authority", "x509"),
        (f"{HEAD}dial tcp 10.0.20.203:443: connect: connection refused", "connection refused"),
        (f"{HEAD}dial tcp 10.0.20.203:443: connect: no route to host", "no route"),
        (f"{REFERENCE}r.example/a:1: not found", "404"),
        (f"{REFERENCE}unexpected status code [manifests 1]: 401 Unauthorized", "401"),
        (f"{REFERENCE}pull access denied, repository does not exist or may require authorization", "403"),
        (f"{REFERENCE}failed to authorize: failed to fetch anonymous token: unexpected status: 401", "token refused"),
        (
            f"{REFERENCE}pulling from host r.example failed with status code [manifests 1]: 502 Bad Gateway",
            "server error",
        ),
        ("toomanyrequests: You have reached your pull rate limit", "rate limit"),
        ("429 Too Many Requests - Server message: toomanyrequests", "rate limit"),
        ('failed to copy: httpReadSeeker: failed open: Get "https://cdn.example/": unexpected EOF', "connection broke"),
        ("write /var/lib/containerd/ingest/x: no space left on device", "disk"),
        ("something new", "other"),
    ],
)
def test_a_failure_has_a_cause(said: str, expected: str) -> None:
    assert cause(said) == expected
