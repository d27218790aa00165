"""systemctl and journalctl on docker.service: how long dockerd lives, and what it logged since."""

from __future__ import annotations

import re
from dataclasses import dataclass

from siteproof.asks import Ask, Output, command
from siteproof.errors import NoControl, Unparseable
from siteproof.probes.sections import END, Sections, section, split, whole_number

UNIT = "docker.service"

# dockerd's first words in every life, and the only proof that the journal reaches back to its start.
FIRST_WORDS = "Starting up"
EXHAUSTED = ("could not find an available IP", "task allocation failure", "Failed allocation for service")
RACED = ("key modified", "remove failed")

_SHOW = f"""\
{section("unit")}
systemctl show {UNIT} -p LoadState -p ActiveState -p InvocationID -p NRestarts -p ActiveEnterTimestampMonotonic || exit
{section("uptime")}
cat /proc/uptime || exit
"""

# The lines are counted on the host: a daemon that retries for weeks logs more than anybody wants to carry.
_JOURNAL = f"""\
{_SHOW}
id=$(systemctl show {UNIT} -p InvocationID --value) || exit
case $id in ''|*[!0-9a-f]*) exit 1 ;; esac
log() {{ $ROOT journalctl --quiet --no-pager -o short-iso-precise "_SYSTEMD_INVOCATION_ID=$id" "$@"; }}
{section("first")}
log 2>/dev/null | head -n 3
{section("lines")}
log | grep -c ''
{section("found")}
log | grep -E '{"|".join((*EXHAUSTED, *RACED))}' | cut -c 1-400 | tail -n 200
{section("exhausted")}
log | grep -c -E '{"|".join(EXHAUSTED)}'
{section("raced")}
log | grep -c -E '{"|".join(RACED)}'
{END}
"""

_FIELDS = ("LoadState", "ActiveState", "InvocationID", "NRestarts", "ActiveEnterTimestampMonotonic")


@dataclass(frozen=True, slots=True)
class Daemon:
    """One life of dockerd."""

    life: str
    """systemd's id of this start."""
    up_s: float
    restarts: int
    """How often systemd had to start it again by itself since somebody last did."""

    @property
    def up_days(self) -> float:
        return self.up_s / 86_400


@dataclass(frozen=True, slots=True)
class AllocatorLog:
    """What dockerd logged about addresses since it started."""

    daemon: Daemon
    exhausted: int
    """Lines that say that no address was left."""
    raced: int
    """Lines that say that two removals met; a symptom of lost addresses, not their number."""
    examples: tuple[str, ...]


def daemon(node: str) -> Ask[Daemon]:
    """The running dockerd of `node`."""
    return command(
        node,
        f"{_SHOW}{END}",
        probe=f"systemctl show {UNIT}",
        parse=lambda output: parse_daemon(split(output.text)),
        tools=("systemctl", "cat"),
    )


def allocator_log(node: str) -> Ask[AllocatorLog]:
    """What the dockerd of `node` logged about addresses in this life.

    Its first words are the control: a journal that does not reach back to them is NoControl.
    """
    return command(
        node,
        _JOURNAL,
        probe=f"journalctl of {UNIT} since its start",
        parse=parse_log,
        tools=("systemctl", "cat", "journalctl", "grep", "head", "tail", "cut"),
        root=True,
        deadline_s=30,
    )


def parse_daemon(sections: Sections) -> Daemon:
    """systemctl prints NRestarts=0 for a unit that does not exist, so LoadState decides whether it says anything."""
    shown = dict(line.split("=", 1) for line in sections["unit"].splitlines() if "=" in line)
    if set(shown) != set(_FIELDS):
        raise Unparseable(f"systemctl does not show {UNIT}: {sections.get('unit', '')[:200]!r}")
    if shown["LoadState"] != "loaded" or shown["ActiveState"] != "active":
        raise NoControl(f"{UNIT} is {shown['LoadState']} and {shown['ActiveState']}, so it has nothing to tell")
    if not re.fullmatch(r"[0-9a-f]{32}", shown["InvocationID"]):
        raise Unparseable(f"{shown['InvocationID']!r} is no invocation id")
    now, started = sections["uptime"].split()[0], int(shown["ActiveEnterTimestampMonotonic"])
    up_s = float(now) - started / 1e6
    if started <= 0 or up_s < 0:
        raise Unparseable(f"{UNIT} started {started / 1e6:.0f} s after a boot that was {now} s ago")
    return Daemon(shown["InvocationID"], up_s, int(shown["NRestarts"]))


def parse_log(output: Output) -> AllocatorLog:
    """The counts hold only if the journal begins where the daemon does, and the lines are those counted."""
    sections = split(output.text)
    alive = parse_daemon(sections)
    if f'msg="{FIRST_WORDS}"' not in sections["first"]:
        raise NoControl("the journal does not reach back to the start of dockerd, so what it lacks was not seen")
    examples = tuple(line for line in sections["found"].splitlines() if line.strip())
    exhausted, raced = whole_number(sections, "exhausted"), whole_number(sections, "raced")
    matching = [sum(any(word in line for word in words) for line in examples) for words in (EXHAUSTED, RACED)]
    if whole_number(sections, "lines") < max(1, exhausted, raced) or (
        len(examples) < 200 and [exhausted, raced] != matching
    ):
        raise Unparseable(f"the journal was counted as {exhausted} and {raced} lines, but shows {matching}")
    return AllocatorLog(alive, exhausted, raced, examples)
