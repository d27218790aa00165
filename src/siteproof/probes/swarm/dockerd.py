"""systemctl and journalctl on docker.service: how long dockerd lives, and what it logged since."""

from __future__ import annotations

import re
from dataclasses import dataclass

from siteproof.asks import SMALL, Ask, Host, Output, command
from siteproof.errors import NoControl, Unparseable
from siteproof.probes.common.log_words import EXAMPLES, FORGET, Dialect, LogWords, Said, print_counts
from siteproof.probes.common.sections import END, Sections, section, split

UNIT = "docker.service"

# dockerd's first words in every life, and the only proof that the journal reaches back to its start. Soon after them it
# says its version: so the words that follow are that version's, whatever has been installed since.
FIRST_WORDS = "Starting up"
VERSION_WORDS = "Docker daemon"
EXHAUSTED = LogWords(
    "dockerd",
    "no address was left",
    (
        Dialect(
            (20, 10),
            (30, 0),
            ("could not find an available IP", "task allocation failure", "Failed allocation for service"),
            "https://github.com/moby/swarmkit/blob/master/manager/allocator/network.go and moby's cnmallocator, "
            "read in 20.10.27, 23.0, 24.0, 25.0, 26.1, 27.5, 28.0, 28.5, 29.0 and 29.7",
        ),
    ),
)
_REMOVED = ("key modified", "remove failed")
# Up to 28.0 a removed network's count of endpoints was taken out of the store only if nobody had changed it meanwhile.
# Since there is no such count, removals that meet show where one address has two endpoints for a moment.
RACED = LogWords(
    "dockerd",
    "two removals met",
    (
        Dialect(
            (20, 10),
            (28, 1),
            _REMOVED,
            "https://github.com/moby/moby/blob/v28.0.4/libnetwork/endpoint_cnt.go, and deleteFromStore in store.go; "
            "read in 20.10.27, 23.0, 25.0, 27.5 and 28.0, seen on 20.10.24",
        ),
        Dialect(
            (28, 1),
            (30, 0),
            (*_REMOVED, "rmServiceBinding [^ ]+ possible transient state"),
            "https://github.com/moby/moby/blob/docker-v29.7.2/daemon/libnetwork/service_common.go; "
            "read in 28.1, 28.5, 29.0 and 29.7, seen on 29.0",
        ),
    ),
)
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

_COUNTED = (*EXHAUSTED.names("exhausted"), *RACED.names("raced"))

# The lines are counted on the host: a daemon that retries for weeks logs more than anybody wants to carry. Each start
# begins the count anew.
_JOURNAL = rf"""\
{_SHOW}
{section("log")}
{{ $ROOT journalctl --quiet --no-pager -o cat -u {UNIT}; printf 'siteproof status %s\n' $?; }} | awk '
/^siteproof status [0-9]+$/ {{ status = $3; next }}
/msg="{FIRST_WORDS}"/ {{ first = $0; daemon = version = ""; lines = 0; {FORGET} }}
/msg="{VERSION_WORDS}"/ {{ daemon = version = $0; sub(/.* version="?/, "", version); sub(/[" ].*/, "", version) }}
{{ lines++ }}
{EXHAUSTED.awk("exhausted")}
{RACED.awk("raced")}
END {{
print "first " first; print "daemon " daemon; print "version " version; print "lines " lines + 0
{print_counts(*_COUNTED)}exit status == "" ? 1 : status
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
    version: str
    """Its own, as it said it at its start."""
    exhausted: Said
    """That no address was left."""
    raced: Said
    """That two removals met; a symptom of lost addresses, not their number."""


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
    head = ("first", "daemon", "version", "lines", *_COUNTED, "all")
    if tuple(name for name, _ in told[: len(head)]) != head:
        raise Unparseable(f"the journal was not counted: {sections['log'][:200]!r}")
    first, said, version, *numbers = (value for _, value in told[: len(head)])
    if f'msg="{FIRST_WORDS}"' not in first:
        raise NoControl("the journal does not reach back to the start of dockerd, so what it lacks was not seen")
    if not version or not re.search(rf' version="?{re.escape(version)}"?(?: |$)', said):
        raise NoControl(f"dockerd does not say in the journal which version it is, so nobody knows its words: {said!r}")
    lines, *counts, total = map(int, numbers)
    counted = dict(zip(_COUNTED, counts, strict=True))
    shown = told[len(head) :]
    wanted = [f"example-{name}" for name in _COUNTED for _ in range(min(counted[name], EXAMPLES))]
    if lines < 1 or sum(counts) != total or [name for name, _ in shown] != wanted:
        raise Unparseable(f"the journal has {counted} such lines of {lines}, and shows {len(shown)}")

    def of(words: LogWords, name: str) -> Said:
        found = [
            Said(counted[each], tuple(line for kind, line in shown if kind == f"example-{each}"))
            for each in words.names(name)
        ]
        return words.said(version, found)

    return AllocatorLog(alive, version, of(EXHAUSTED, "exhausted"), of(RACED, "raced"))
