"""curl, with ss beside it: how large the segments of a real transfer are."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Any

from siteproof.asks import Ask, Output, command, controlled
from siteproof.errors import ToolFailed, Unparseable
from siteproof.probes.sections import END, MARK, Sections, from_json, section, split, whole_number, words

MINIMUM_BYTES = 200_000
"""Fewer do not show the segment size: the receiver's estimate starts at 536."""
SAMPLED_AFTER = 262_144
COMPLETE, TIMED_OUT = 0, 28
TIMESTAMP_OPTION = 12

# ss looks while curl waits for the reader of the pipe: the connection is there, and has carried enough. Two more looks,
# early and late, tell a transfer that stalled from one that is slow and from a connection that was never made, which
# curl reports alike. curl's own deadline makes a stall an answer; only the outer one is none. ss shows the options of a
# segment only with -o. Neither ~/.curlrc nor a proxy may change what is asked.
_SCRIPT = """\
look() {{ seen=$(ss -tinoHO state established) && printf '\\n%s\\n%s\\n' "{mark}$1" "$seen" >&3; }}
exec 3>&1
metrics=$(
    {{
        {{
            curl -q -4sSN --noproxy '*' --max-time {limit_s} -w '%{{stderr}}%{{json}}' {url} 2>&4
            echo " $?" >&4
        }} | {{
            {{ sleep 3 3>&- && look early && sleep {between_s} 3>&- && look late; }} </dev/null >/dev/null 2>&1 4>&- &
            looking=$!
            head -c {enough} >/dev/null
            look sockets
            cat >/dev/null
            kill "$looking" 2>/dev/null
        }}
    }} 4>&1
)
{metrics}
printf '%s\\n' "${{metrics% *}}"
{status}
printf '%s\\n' "${{metrics##* }}"
{end}
"""


@dataclass(frozen=True, slots=True)
class Transfer:
    """A download as far as it came."""

    received_bytes: int
    stalled: bool
    """Connected, and then nothing more came for seconds, until the deadline."""
    stalled_in: str
    """`TLS handshake`, `response` or `body`; empty if it did not stall."""
    segment_bytes: int
    """The size of the TCP segments that came, options included; 0 if it stalled."""
    remote: str


def transfer(host: str, url: str, *, control: str) -> Ask[Transfer]:
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


def _download(host: str, url: str, limit_s: int = 10) -> Ask[Transfer]:
    return command(
        host,
        _SCRIPT.format(
            url=shlex.quote(url),
            limit_s=limit_s,
            enough=SAMPLED_AFTER,
            between_s=limit_s - 5,
            mark=MARK,
            metrics=section("metrics"),
            status=section("status"),
            end=END,
        ),
        probe=f"curl {url}, with ss",
        parse=parse,
        tools=("curl", "ss", "head", "cat", "sleep"),
        deadline_s=limit_s + 2,
        probe_class="sends",
        slow=True,
    )


def parse(output: Output) -> Transfer:
    """Raises ToolFailed where curl did not get as far as a transfer, Unparseable where it cannot be told."""
    sections = split(output.text)
    status, metrics = whole_number(sections, "status"), _metrics(sections)
    received = int(metrics["size_download"])
    remote = f"{metrics['remote_ip']}:{metrics['remote_port']}"
    if status == TIMED_OUT:
        early, late = (_received(sections.get(look, ""), metrics) for look in ("early", "late"))
        if early is not None and early == late:
            return Transfer(received, True, _stalled_in(metrics), 0, remote)
        if early is not None and late is not None:
            raise Unparseable(f"the transfer from {remote} was too slow to tell: {received} bytes, and they still came")
    if status != COMPLETE:
        raise ToolFailed(f"curl ended with status {status}, which is no transfer: {metrics.get('errormsg')}")
    if int(metrics["response_code"]) != 200 or received < SAMPLED_AFTER:
        raise Unparseable(
            f"no transfer to look at: HTTP {metrics['response_code']} with {received} bytes from {remote}"
        )
    return Transfer(received, False, "", _segment_bytes(sections["sockets"], metrics), remote)


def _stalled_in(metrics: dict[str, Any]) -> str:
    if metrics["scheme"] in ("HTTPS", "https", None, "") and float(metrics["time_appconnect"]) == 0:
        return "TLS handshake"
    return "response" if float(metrics["time_starttransfer"]) == 0 else "body"


def _metrics(sections: Sections) -> dict[str, Any]:
    """curl's own messages, if any, stand before its JSON."""
    text = sections["metrics"]
    found = from_json(text[max(text.find("{"), 0) :], "curl")
    wanted = words("""
        size_download response_code scheme local_ip local_port remote_ip remote_port time_appconnect
        time_starttransfer
    """)
    if not isinstance(found, dict) or wanted - set(found):
        raise Unparseable(f"not curl's report: {text[:200]!r}")
    return found


def _segment_bytes(sockets: str, metrics: dict[str, Any]) -> int:
    """`rcvmss` is the payload of the segments that came; their options count too, and timestamps are the only ones."""
    line = _line(sockets, metrics)
    values = _values(line or "")
    if line is None or not {"rcvmss", "bytes_received"} <= set(values):
        raise Unparseable(f"ss does not show the connection from port {metrics['local_port']}, or no rcvmss: {line!r}")
    if values["bytes_received"] < MINIMUM_BYTES:
        raise Unparseable(f"ss looked after {values['bytes_received']} bytes, too early to tell")
    return values["rcvmss"] + (TIMESTAMP_OPTION if re.search(r"\sts\s", line) else 0)


def _received(sockets: str, metrics: dict[str, Any]) -> int | None:
    """How many bytes curl's connection had received when ss looked; None if it was not there."""
    line = _line(sockets, metrics)
    # ss leaves out what is 0.
    return None if line is None else _values(line).get("bytes_received", 0)


def _values(line: str) -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(r"\b([a-z_]+):([0-9]+)\b", line)}


def _line(sockets: str, metrics: dict[str, Any]) -> str | None:
    """What ss says of curl's own connection."""
    local = rf"\s{re.escape(str(metrics['local_ip']))}:{metrics['local_port']}\s+"
    remote = rf"{re.escape(str(metrics['remote_ip']))}:{metrics['remote_port']}\s"
    lines = [line for line in sockets.splitlines() if re.search(local + remote, line)]
    if len(lines) > 1:
        raise Unparseable(f"ss shows one connection twice: {lines}")
    return lines[0] if lines else None
