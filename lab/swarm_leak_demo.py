"""The runbook's "empirical before and after": removals of stacks lose addresses of an overlay, and what a /16 changes.

Before: `proxy` as the incident had it, made without --subnet. After: `proxy` pinned to a /16. Each is put through the
same cycles of stacks deployed and removed at once, and gets a table.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab import lifecycle, state
from lab.enter import command_on
from lab.errors import LabError
from lab.state import State

OVERLAY = "proxy"
STACKS = 8
CYCLES = 3
COUNTABLE = 300
"""Addresses that can be taken one by one to count them; of a /16 that would be 65,000 tasks."""
RACES = "key modified|remove failed"
WORKERS = ("swarm1", "swarm2", "swarm3")


@dataclass(frozen=True)
class Row:
    """What is known after so many cycles."""

    cycle: int
    visible: int
    """Addresses that the API shows as held."""
    free: int | None
    """Addresses that the allocator still gives; None where there are too many to count."""
    races: int
    leftovers: int
    """Overlays of stacks that are gone."""


def demonstrate(lab: str, cycles: int = CYCLES, say: Callable[[str], None] = print) -> int:
    """Run both halves and print their tables. The lab is left as it was found."""
    with _lab_up(lab, say) as current:
        try:
            before = _half(current, "docker network create --driver overlay --attachable proxy", cycles, say)
            after = _half(current, "swarm-overlays", cycles, say)
            pruned = _on(current, "docker network prune --force").splitlines()
        finally:
            _reset(current)
    for title, subnet, rows in (("BEFORE: no --subnet", *before), ("AFTER: pinned", *after)):
        say("")
        say(f"{title}: {OVERLAY} is {subnet}, {capacity(subnet):,} addresses; {STACKS} stacks a cycle")
        for line in table(capacity(subnet), rows):
            say(line)
    say("")
    say(f"`docker network prune` then removed {sum(n.endswith('_int') for n in pruned)} overlays of removed stacks.")
    for line in verdict(capacity(before[0]), capacity(after[0]), before[1]):
        say(line)
    return 0


def capacity(subnet: str) -> int:
    """Without network address, broadcast address and gateway."""
    return int(2 ** (32 - int(subnet.partition("/")[2])) - 3)


def table(total: int, rows: list[Row]) -> Iterator[str]:
    """`lost` is what is neither shown as held nor given any more."""
    yield f"  {'cycle':>5}  {'held':>6}  {'free':>6}  {'lost':>6}  {'race lines':>10}  {'leftover overlays':>17}"
    for row in rows:
        free, lost = ("-", "-") if row.free is None else (str(row.free), str(total - row.visible - row.free))
        yield f"  {row.cycle:>5}  {row.visible:>6}  {free:>6}  {lost:>6}  {row.races:>10}  {row.leftovers:>17}"


def verdict(before: int, after: int, rows: list[Row]) -> Iterator[str]:
    """What the loss by cycle means for both sizes."""
    first, last = rows[0], rows[-1]
    if first.free is None or last.free is None or last.cycle == 0:
        return
    lost = (first.free + first.visible) - (last.free + last.visible)
    if lost <= 0:
        yield "No address was lost this time; the race is one of timing, so run it again."
        return
    rate = lost / last.cycle
    yield f"{lost} addresses were lost in {last.cycle} cycles, {rate:.1f} a cycle, and the API shows none of them."
    yield f"At that rate {before:,} addresses last {before / rate:,.0f} cycles, {after:,} last {after / rate:,.0f}."


def _half(current: State, create: str, cycles: int, say: Callable[[str], None]) -> tuple[str, list[Row]]:
    _reset(current)
    _on(current, f"swarm-down; {create}; swarm-overlays; until swarm-settled; do sleep 0.2; done")
    subnet = _on(current, f"docker network inspect {OVERLAY} --format '{{{{(index .IPAM.Config 0).Subnet}}}}'")
    began = sum(_races(current))
    rows = []
    for cycle in range(cycles + 1):
        if cycle:
            begun = time.monotonic()
            _on(current, f"swarm-churn {OVERLAY} {STACKS} 1; until swarm-settled; do sleep 0.2; done")
            say(f"{subnet}: cycle {cycle} of {cycles} took {time.monotonic() - begun:.0f} s")
        rows.append(_row(current, cycle, capacity(subnet), began))
    return subnet, rows


def _row(current: State, cycle: int, total: int, races_before: int) -> Row:
    free = int(_on(current, f"swarm-count {OVERLAY} {total}")) if total <= COUNTABLE else None
    shown = "{{range .Containers}}{{.IPv4Address}} {{end}}"
    held = {a for host in WORKERS for a in _on(current, f"docker network inspect {OVERLAY} -f '{shown}'", host).split()}
    virtual = _on(
        current, "docker service inspect web --format '{{range .Endpoint.VirtualIPs}}{{.Addr}} {{end}}'"
    ).split()
    network = _on(current, f"docker network inspect {OVERLAY} --format '{{{{(index .IPAM.Config 0).Subnet}}}}'")
    held |= {a for a in virtual if a.endswith("/" + network.partition("/")[2])}
    leftovers = _on(current, "docker network ls --format '{{.Name}}' | grep -c '^throwaway' || true")
    return Row(cycle, len(held), free, sum(_races(current)) - races_before, int(leftovers))


def _races(current: State) -> Iterator[int]:
    for host in WORKERS:
        yield int(_on(current, f"journalctl -u docker -o cat | grep -cE '{RACES}' || true", host))


def _reset(current: State) -> None:
    """Everything off the overlays, and dockerd's bookkeeping built anew."""
    _on(current, "swarm-down")
    for host in WORKERS:
        _on(current, "systemctl restart docker swarm", host)
    _on(current, "until swarm-settled; do sleep 0.2; done")


def _on(current: State, script: str, host: str = "swarm1") -> str:
    done = command_on(current, host, ["sh", "-euc", script], timeout=180)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise LabError(f"on {host}: {script}: {said[-1]}")
    return done.stdout.strip()


@contextmanager
def _lab_up(lab: str, say: Callable[[str], None]) -> Iterator[State]:
    before = state.running(lab)
    try:
        yield lifecycle.up(lab, say)
    finally:
        if before is None:
            lifecycle.down(lab)
