"""curl, as a container runtime: what a registry's endpoint says to the first question of a pull."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from siteproof.asks import LOOKUPS, NOTHING, NUMBER, PATH, PROXY, SMALL, URL, Ask, Host, Output, command, controlled
from siteproof.asks.words import Address
from siteproof.errors import ToolFailed, Unparseable
from siteproof.probes.common.sections import END, MARK, section, split, whole_number
from siteproof.runtimes.pull_route import MANIFEST_TYPES, NO_PROXIES, Image, Proxies, RegistryEndpoint

# curl's statuses that say something of the endpoint, where it can tell in the words of runtimes.pull_failure.
FAILURES = {
    6: "no such host",
    7: "no connection",  # refused, or no way there from this host: curl says the same of both
    28: "timeout",
    35: "TLS handshake failed",
    51: "x509",
    52: "empty reply",
    56: "connection reset",
    60: "x509",
}
_WRITTEN = f"\n{MARK}written\n%{{response_code}} %{{remote_ip}}\n"
LIMIT_S = 6
_CURL = f"curl -q -4sS -o /dev/null -D - --max-time {LIMIT_S} -w {shlex.quote(_WRITTEN)}"
_ACCEPT = f"Accept: {', '.join((*MANIFEST_TYPES, '*/*'))}"
_ENDED = f"""\
ended=$?
{section("status")}
printf '%s\\n' "$ended"
{END}
"""
_ANYTHING = f"""\
{section("headers")}
{_CURL} "$url"
{_ENDED}"""
_MANIFEST = f"""\
if [ -n "$proxy" ]; then set -- --proxy "$proxy"; else set -- --noproxy '*'; fi
[ -z "$unverified" ] || set -- "$@" -k
[ -z "$ca" ] || set -- "$@" --cacert "$ca"
[ -z "$patience" ] || set -- "$@" --connect-timeout "$patience"
{section("headers")}
{_CURL} -I -H {shlex.quote(_ACCEPT)} "$@" "$url"
{_ENDED}"""
_SCHEME = re.compile(r"(Bearer|Basic)\s", re.IGNORECASE)
_REALM = re.compile(r'realm="([^"]*)"', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RegistryAnswer:
    """What came back."""

    status: int
    """HTTP's; 0 if there was none."""
    failure: str
    """Why there was none, in one or two words."""
    realm: str
    """The token service that it sends to; empty if it asks for no token."""
    api: bool
    """It says that it is a registry: by its version header, or by its challenge."""
    remote: Address | None
    """Where it came from."""

    @property
    def serves(self) -> bool:
        """It is a registry that has the image or wants a token first."""
        return self.status == 200 or (self.status == 401 and self.api)

    def __str__(self) -> str:
        if self.failure:
            return self.failure
        return f"HTTP {self.status}" + ("" if self.api or self.status == 200 else ", not by a registry")


def registry_answer(
    host: Host, endpoint: RegistryEndpoint, image: Image, *, control: str, proxies: Proxies = NO_PROXIES
) -> Ask[RegistryAnswer]:
    """Ask `endpoint` from `host` for the manifest of `image`, without a token, as a runtime does first.

    An address is asked as one: no server name in TLS, and the address as HTTP's host. No connection and a timeout count
    only if `control`, a URL that does not take the way in question, answers from the same host; otherwise NoControl. So
    is an endpoint that the runtime asks in a way that cannot be said to curl.
    """
    endpoint.refuse_unless_askable()
    url = endpoint.manifest_url(image.registry, image.repository, image.reference)
    proxy = proxies.proxy(url)
    given = {
        "url": URL(url),
        "proxy": PROXY(proxy) if proxy else NOTHING,
        "unverified": NUMBER(1) if endpoint.skip_verify else NOTHING,
        "ca": PATH(endpoint.ca[0]) if endpoint.ca else NOTHING,
        "patience": NUMBER(max(1, round(dial))) if (dial := endpoint.dial_timeout_s) is not None else NOTHING,
    }
    asked = command(
        host,
        _MANIFEST,
        probe=f"curl {url}",
        parse=parse,
        at_most=SMALL,
        given=given,
        tools=("curl",),
        deadline_s=LIMIT_S + 2,
        probe_class="sends",
        waits_for=_server(proxy or url),
        needs=(LOOKUPS,),
    )
    return controlled(
        asked,
        url_answers(host, control),
        silent=lambda answer: answer.failure in (FAILURES[7], FAILURES[28]),
        seen=lambda answer: not answer.failure,
        proves=f"{control} does not answer either",
    )


def _server(url: str) -> str:
    """Without what a proxy's URL may have in it to log in with."""
    return urlsplit(url).netloc.rpartition("@")[2]


def url_answers(host: Host, url: str) -> Ask[RegistryAnswer]:
    """Whether anything answers at `url` from `host`: the control of a silence."""
    return command(
        host,
        _ANYTHING,
        probe=f"curl {url}",
        parse=parse,
        at_most=SMALL,
        given={"url": URL(url)},
        tools=("curl",),
        deadline_s=LIMIT_S + 2,
        probe_class="sends",
        waits_for=_server(url),
        needs=(LOOKUPS,),
    )


def parse(output: Output) -> RegistryAnswer:
    """Raises ToolFailed for a status of curl that is about curl, Unparseable where its own words are missing."""
    sections = split(output.text, "headers", "written", "status")
    ended = whole_number(sections, "status")
    if ended and ended not in FAILURES:
        said = output.errors.strip().splitlines()[-1:] or ["nothing"]
        raise ToolFailed(f"curl ended with status {ended}, which says nothing of the registry: {said[0]}")
    match = re.fullmatch(r"(\d{3}) (\S*)", sections["written"].strip("\n"))
    if match is None:
        raise Unparseable(f"not what curl was to write: {sections['written'][:200]!r}")
    remote = ip_address(match[2]) if match[2] else None
    if ended:
        return RegistryAnswer(0, FAILURES[ended], "", False, remote)
    status, headers = int(match[1]), _headers(sections["headers"], match[1])
    realm = _realm(headers.get("www-authenticate", ""))
    if not headers or status == 0:
        raise Unparseable("curl ended well, and no HTTP answer came")
    return RegistryAnswer(
        status=status,
        failure="",
        realm=realm or "" if status == 401 else "",
        api="docker-distribution-api-version" in headers or realm is not None,
        remote=remote,
    )


def _realm(challenge: str) -> str | None:
    """The realm behind the first scheme; None without one. One pattern for both takes the square of a long text."""
    scheme = _SCHEME.search(challenge)
    realm = _REALM.search(challenge, scheme.end()) if scheme else None
    return realm[1] if realm else None


def _headers(text: str, status: str) -> dict[str, str]:
    """Of the last answer, where there were several (100, or a proxy's own). It is the one with this status."""
    *_, last = re.split(r"(?m)^(?=HTTP/)", text)
    first, *lines = last.strip().splitlines() or [""]
    if not re.match(rf"HTTP/[0-9.]+ {status}\b", first) or not all(re.match(r"[!-9;-~]+:", line) for line in lines):
        raise Unparseable(f"not the headers of an answer with the status {status}: {text[:200]!r}")
    return {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
