"""curl, with ss beside it: how large the segments of a real transfer are."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from siteproof.asks import LOOKUPS, SMALL, URL, Ask, Host, Output, command, controlled
from siteproof.errors import ToolFailed, Unparseable
from siteproof.probes.common.sections import END, MARK, section, split, whole_number

VERSION = {"curl": "curl --version"}

MINIMUM_BYTES = 200_000
"""Fewer do not show the segment size: the receiver's estimate starts at 536."""
SAMPLED_AFTER = 262_144
COMPLETE, TIMED_OUT = 0, 28
TIMESTAMP_OPTION = 12
LIMIT_S = 10

_WRITTEN = (
    "%{stderr}\n%{http_code} bytes=%{size_download} tls=%{time_appconnect} first=%{time_starttransfer} %{url_effective}"
)

# ss looks while curl waits for the reader of the pipe: the connection is there, and has carried enough. Two more looks,
# early and late, tell a transfer that stalled from one that is slow and from a connection that was never made, which
# curl reports alike. curl's own deadline makes a stall an answer; only the outer one is none. The connection is found
# by curl's process, since curl 8 does not say which one it was where the TLS handshake stalled. ss shows the options of
# a segment only with -o. Neither ~/.curlrc nor a proxy may change what is asked.
_SCRIPT = f"""\
look() {{
    seen=$(ss -tinopHO state established) || return
    printf '\\n%s\\n%s\\n' "{MARK}$1" "$(printf '%s\\n' "$seen" | grep -F "pid=$process,")" >&3
}}
exec 3>&1
report=$(
    {{
        {{
            sh -c 'echo "$$"; exec curl "$@" 3>&-' - -q -4sSN --noproxy '*' --max-time {LIMIT_S} \\
                -w {shlex.quote(_WRITTEN)} "$url" 2>&4
            echo " $?" >&4
        }} | {{
            read -r process
            {{ sleep 3 3>&- && look early && sleep {LIMIT_S - 5} 3>&- && look late; }} </dev/null >/dev/null 2>&1 4>&- &
            looking=$!
            head -c {SAMPLED_AFTER} >/dev/null
            look sockets
            cat >/dev/null
            kill "$looking" 2>/dev/null
        }}
    }} 4>&1
)
{section("report")}
printf '%s\\n' "${{report% *}}"
{section("status")}
printf '%s\\n' "${{report##* }}"
{END}
"""
_REPORT = re.compile(
    r"^(?P<code>[0-9]{3}) bytes=(?P<bytes>[0-9]+) tls=(?P<tls>[0-9.]+) first=(?P<first>[0-9.]+) (?P<scheme>https?)://.*\Z",
    re.MULTILINE | re.IGNORECASE,
)
_LINE = re.compile(r"[0-9]+ +[0-9]+ +(?P<local>\S+) +(?P<remote>\S+) +(?P<rest>.*)")


@dataclass(frozen=True, slots=True)
class Download:
    """A download as far as it came."""

    received_bytes: int
    stalled: bool
    """Connected, and then nothing more came for seconds, until the deadline."""
    stalled_in: str
    """`TLS handshake`, `response` or `body`; empty if it did not stall."""
    segment_bytes: int
    """The size of the TCP segments that came, options included; 0 if it stalled."""
    remote: str


def transfer(host: Host, url: str, *, control: str) -> Ask[Download]:
    """Download at least 262,144 bytes of `url` on `host` and look at the segments.

    A stall counts only if `control`, the URL of such a download that does not take the path in question, completes
    from the same host; otherwise NoControl.
    """
    return controlled(
        _download(host, url),
        _download(host, control),
        silent=lambda seen: seen.stalled,
        seen=lambda seen: not seen.stalled,
        proves=f"{control} stalls as well",
    )


def _download(host: Host, url: str) -> Ask[Download]:
    return command(
        host,
        _SCRIPT,
        probe=f"curl {url}, with ss",
        parse=parse,
        at_most=SMALL,
        given={"url": URL(url)},
        tools=("curl", "ss", "grep", "head", "cat", "sleep"),
        deadline_s=LIMIT_S + 2,
        needs=(LOOKUPS,),
        probe_class="sends",
        slow=True,
    )


def parse(output: Output) -> Download:
    """Raises ToolFailed where curl did not get as far as a transfer, Unparseable where it cannot be told."""
    sections = split(output.text, ("early", "late", "sockets"), "report", "status")
    status = whole_number(sections, "status")
    # curl's own messages, if any, stand before.
    report = _REPORT.search(sections["report"])
    if report is None:
        raise Unparseable(f"not curl's report: {sections['report'][-300:]!r}")
    received = int(report["bytes"])
    if status == TIMED_OUT:
        early, late = (_socket(sections.get(look, "")) for look in ("early", "late"))
        if early and late and early.remote == late.remote:
            if early.received != late.received:
                raise Unparseable(f"too slow to tell: {received} bytes from {late.remote} so far, and more were coming")
            return Download(received, True, _stalled_in(report), 0, late.remote)
    if status != COMPLETE:
        raise ToolFailed(f"curl ended with status {status}, which is no transfer: {sections['report'][:200].strip()}")
    if report["code"] != "200" or received < SAMPLED_AFTER:
        raise Unparseable(f"no transfer to look at: HTTP {report['code']} with {received} bytes")
    if (seen := _socket(sections["sockets"])) is None:
        raise Unparseable("ss does not show curl's connection")
    if seen.received < MINIMUM_BYTES:
        raise Unparseable(f"ss looked after {seen.received} bytes, too early to tell")
    return Download(received, False, "", seen.segment_bytes, seen.remote)


def _stalled_in(report: re.Match[str]) -> str:
    if report["scheme"].lower() == "https" and float(report["tls"]) == 0:
        return "TLS handshake"
    return "response" if float(report["first"]) == 0 else "body"


@dataclass(frozen=True, slots=True)
class _Socket:
    """curl's connection as ss shows it."""

    remote: str
    received: int
    segment_bytes: int
    """`rcvmss` is the payload of the segments that came; their options count too, and timestamps are the only ones."""


def _socket(text: str) -> _Socket | None:
    """None if curl had no connection then."""
    if not text.strip():
        return None
    if (line := _LINE.fullmatch(text.strip())) is None or "pid=" not in line["rest"]:
        raise Unparseable(f"ss does not print one connection like {text[:200]!r}")
    values = {name: int(value) for name, value in re.findall(r" ([a-z_]+):([0-9]+)(?= )", line["rest"])}
    if "rcvmss" not in values:
        raise Unparseable(f"ss shows no rcvmss: {text[:200]!r}")
    options = TIMESTAMP_OPTION if " ts " in line["rest"] else 0
    # What is 0 ss leaves out.
    return _Socket(line["remote"], values.get("bytes_received", 0), values["rcvmss"] + options)
