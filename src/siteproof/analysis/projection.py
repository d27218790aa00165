"""When an overlay runs out of addresses, after what earlier runs saw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

DAY_S = 86_400.0
WINDOW_DAYS = 30.0
"""Older runs say little of how a site is used now."""
ENOUGH = 4
"""Samples in the later half of the window that can speak for themselves."""


@dataclass(frozen=True, order=True)
class Sample:
    """How full an overlay was at one moment."""

    at: float
    """Seconds since the epoch."""
    used: int
    life: str
    """Which life of the daemon it was counted in: a restart gives back what was lost."""
    exact: bool = False
    """By the allocator's own count; else what could be seen, which is at most as much."""


@dataclass(frozen=True)
class Projection:
    """What the samples say."""

    per_day: float
    """Addresses taken for good, by day; never negative."""
    days: float
    """Between the first and the last sample that was looked at."""
    samples: int
    exact: bool

    def days_left(self, free: int) -> float:
        """Until `free` more addresses are gone."""
        return free / self.per_day if self.per_day > 0 else float("inf")


def project(samples: Iterable[Sample]) -> Projection:
    """The growth by day: the median of the slopes between any two samples of one life of the daemon.

    Samples of different lives say nothing of each other, since a restart gives back what was lost. The median leaves a
    run that met a deploy without weight. What happens lately counts: if the later half of the window has enough
    samples, it decides alone, so that a leak that stopped is not projected on and one that began is.
    """
    every = sorted(samples)
    if not every:
        return Projection(0.0, 0.0, 0, exact=False)
    last = every[-1]
    # The allocator's count and what could be seen differ by what is lost, so they cannot stand on one line.
    recent = [s for s in every if s.exact == last.exact and s.at >= last.at - WINDOW_DAYS * DAY_S]
    middle = (recent[0].at + last.at) / 2
    lately = [s for s in recent if s.at >= middle]
    rate = _rate(lately) if len(lately) >= ENOUGH else None
    if rate is None:
        rate = _rate(recent) or 0.0
    return Projection(max(0.0, rate), (last.at - recent[0].at) / DAY_S, len(recent), last.exact)


def _rate(samples: Sequence[Sample]) -> float | None:
    slopes = [
        (later.used - earlier.used) / (later.at - earlier.at) * DAY_S
        for earlier, later in combinations(samples, 2)
        if later.life == earlier.life and later.at > earlier.at
    ]
    return median(slopes) if slopes else None
