"""Why a pull failed, from the runtime's own words: few causes, so that many failures can be told as a few."""

from __future__ import annotations

import re

RATE_LIMIT = "rate limit"

# The first that matches. A runtime names only one of the endpoints that it tried: before containerd 2 the first that
# failed otherwise than with 404, later the one that got furthest.
_CAUSES = (
    ("dial timeout", r"dial tcp \S+ i/o timeout|\A(?>.*?dial tcp).*deadline exceeded"),
    ("TLS handshake timeout", r"TLS handshake timeout"),
    ("x509", r"x509:|certificate"),
    ("no such host", r"no such host|server misbehaving"),
    ("connection refused", r"connection refused"),
    ("no route", r"no route to host|network is unreachable"),
    (RATE_LIMIT, r"toomanyrequests|429 Too Many Requests"),
    ("token refused", r"failed to fetch (oauth|anonymous) token|failed to authorize"),
    ("401", r"\b401\b|[Uu]nauthorized|authorization failed|authentication required"),
    ("403", r"\b403\b|[Ff]orbidden|denied"),
    ("404", r"\b404\b|not found|manifest unknown|name unknown"),
    ("server error", r"\b5\d\d\b"),
    ("timeout", r"timeout|timed out|deadline exceeded|had not ended"),
    ("connection broke", r"unexpected EOF|connection reset|broken pipe"),
    ("disk", r"no space left"),
)


def cause(failure: str) -> str:
    """One or two words for it; empty for no failure."""
    if not failure:
        return ""
    return next((name for name, pattern in _CAUSES if re.search(pattern, failure)), "other")
