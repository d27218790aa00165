"""curl: whether the router reflects connections to the site's own public address back inside (hairpin NAT)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from siteproof.asks import ADDRESS, SMALL, Ask, Host, Output, command, controlled
from siteproof.asks.words import Address
from siteproof.errors import ToolFailed, Unparseable
from siteproof.probes.common.sections import END, split
from siteproof.probes.pulls.registry import url_answers

TRIES = 3
_SCRIPT = f"""\
for number in 1 2 3; do
    printf '\\n== siteproof try %s\\n' "$number"
    curl -q -4sk -o /dev/null --connect-timeout 2 --max-time 3 -w '%{{time_connect}}' "https://$address/"
    printf ' %s\\n' "$?"
done
{END}
"""
# It connected, or it did not: what happens to TLS and HTTP after that is not asked.
_ANSWERS = frozenset({0, 7, 28, 35, 52, 56})


@dataclass(frozen=True, slots=True)
class Reflection:
    """Connections to a public address of one's own."""

    tried: int
    connected: int

    def __str__(self) -> str:
        return f"{self.connected} of {self.tried} connections came about"


def reflection(host: Host, address: Address, *, control: str) -> Ask[Reflection]:
    """Connect three times from `host` to port 443 of `address`.

    Silence counts only if `control`, a URL elsewhere, answers from the same host; otherwise NoControl.
    """
    return controlled(
        command(
            host,
            _SCRIPT,
            probe=f"curl https://{address}/, {TRIES} times",
            parse=parse,
            at_most=SMALL,
            given={"address": ADDRESS(address)},
            tools=("curl",),
            deadline_s=TRIES * 3 + 1,
            probe_class="sends",
            slow=True,
        ),
        url_answers(host, control),
        silent=lambda seen: seen.connected == 0,
        seen=lambda answer: not answer.failure,
        proves=f"{control} does not answer either",
    )


def parse(output: Output) -> Reflection:
    """Three times `0.002217 0`: the seconds until the connection was there (0 if it never was), and curl's status."""
    tries = list(split(output.text, "try ").values())
    matches = [re.fullmatch(r"(\d+\.\d+) (\d+)\n*", text) for text in tries]
    if len(tries) != TRIES or not all(matches):
        raise Unparseable(f"not what curl was to write: {tries!r}")
    found = [(float(match[1]), int(match[2])) for match in matches if match]
    if odd := {status for _, status in found} - _ANSWERS:
        raise ToolFailed(f"curl ended with status {odd.pop()}, which says nothing of the connection")
    return Reflection(TRIES, sum(seconds > 0 for seconds, _ in found))
