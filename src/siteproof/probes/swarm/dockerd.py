"""systemctl and journalctl on docker.service: how long dockerd lives, and what it logged since."""

from __future__ import annotations

import re
from dataclasses import dataclass

from siteproof.asks import SMALL, Ask, Host, Output, command
from siteproof.errors import NoControl, Unparseable
from siteproof.probes.common.sections import END, Sections, section, split

UNIT = "docker.service"

# dockerd's first words in every life, and the only proof that the journal reaches back to its start.
FIRST_WORDS = "Starting up"
EXHAUSTED = ("could not find an available IP", "task allocation failure", "Failed allocation for service")
RACED = ("key modified", "remove failed")
EXAMPLES = 20
TICKS = 100
"""Per second, in /proc/PID/stat, on every architecture of Linux."""

_SHOW = f"""\
{section("unit")}
systemctl show {UNIT} -p LoadState -p ActiveState -p InvocationID -p NRestarts -p ActiveEnterTimestampMonotonic || exit
{section("process")}
pid=$(systemctl show {UNIT} -p MainPID) || exit
pid=${{pid#MainPID=}}
case $pid in '' | 0 | *[!0-9]*) echo none ;; *) cat "/proc/$pid/stat" || exit ;; esac
{section("uptime")}
cat /proc/uptime || exit
"""
_DAEMON = f"{_SHOW}{END}"

# The lines are counted on the host: a daemon that retries for weeks logs more than anybody wants to carry. Each start
# begins the count anew.
_JOURNAL = rf"""\
{_SHOW}
{section("log")}
{{ $ROOT journalctl --quiet --no-pager -o cat -u {UNIT}; printf 'siteproof status %s\n' $?; }} | awk '
    /^siteproof status [0-9]+$/ {{ status = $3; next }}
    /msg="{FIRST_WORDS}"/ {{ first = $0; lines = exhausted = raced = shown = 0 }}
    {{ lines++ }}
    /{"|".join(EXHAUSTED)}/ {{ exhausted++; example[shown++ % {EXAMPLES}] = substr($0, 1, 400) }}
    /{"|".join(RACED)}/ {{ raced++; example[shown++ % {EXAMPLES}] = substr($0, 1, 400) }}
    END {{
        print "first " first; print "lines " lines; print "exhausted " exhausted + 0; print "raced " raced + 0
        for (i = 0; i < shown && i < {EXAMPLES}; i++) print "example " example[i]
        exit status == "" ? 1 : status
    }}' || exit
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


def daemon(node: Host) -> Ask[Daemon]:
    """The running dockerd of `node`."""
    return command(
        node,
        _DAEMON,
        probe=f"systemctl show {UNIT}",
        parse=lambda output: parse_daemon(split(output.text, "unit", "process", "uptime")),
        at_most=SMALL,
        tools=("systemctl", "cat"),
    )


def allocator_log(node: Host) -> Ask[AllocatorLog]:
    """What the dockerd of `node` logged about addresses in this life.

    Its first words are the control: a journal that does not reach back to them is NoControl.
    """
    return command(
        node,
        _JOURNAL,
        probe=f"journalctl of {UNIT} since its start",
        parse=parse_log,
        at_most=SMALL,
        tools=("systemctl", "cat", "journalctl", "awk"),
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
    now, started = float(sections["uptime"].split()[0]), int(shown["ActiveEnterTimestampMonotonic"]) / 1e6
    if started <= 0 or started > now:
        raise Unparseable(f"{UNIT} started {started:.0f} s after a boot that was {now} s ago")
    if "process" in sections:
        started = _of_kernel(sections["process"], now)
    return Daemon(shown["InvocationID"], now - started, int(shown["NRestarts"]))


def _of_kernel(stat: str, now: float) -> float:
    """When the process began, in seconds since the boot, suspended ones too: systemd's monotonic clock leaves them out.

    Raises NoControl where the process that systemd names is not a dockerd: then systemd's answer is an old one.
    """
    match = re.fullmatch(r"\d+ \((?P<name>.*)\) [A-Z](?: -?\d+){18} (?P<ticks>\d+)(?: -?\d+)*", stat.strip())
    if match is None or "dockerd" not in match["name"]:
        raise NoControl(f"the process that systemd says {UNIT} is, is no dockerd: {stat.strip()[:80]!r}")
    return min(int(match["ticks"]) / TICKS, now)


def parse_log(output: Output) -> AllocatorLog:
    """The counts hold only if the journal begins where the daemon does, and the lines are those counted."""
    sections = split(output.text, "unit", "process", "uptime", "log")
    alive = parse_daemon(sections)
    told = [line.partition(" ")[::2] for line in sections["log"].splitlines()]
    if [name for name, _ in told[:4]] != ["first", "lines", "exhausted", "raced"]:
        raise Unparseable(f"the journal was not counted: {sections['log'][:200]!r}")
    first, *numbers = (value for _, value in told[:4])
    if f'msg="{FIRST_WORDS}"' not in first:
        raise NoControl("the journal does not reach back to the start of dockerd, so what it lacks was not seen")
    lines, exhausted, raced = map(int, numbers)
    examples = tuple(value for name, value in told[4:] if name == "example")
    if lines < 1 or len(examples) != min(exhausted + raced, EXAMPLES) or len(told) != 4 + len(examples):
        raise Unparseable(f"the journal has {exhausted} and {raced} such lines of {lines}, and shows {len(examples)}")
    return AllocatorLog(alive, exhausted, raced, examples)
