"""When an overlay runs out, on histories that were made up."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from siteproof.analysis.projection import DAY_S, Sample, project


def nightly(used: Sequence[int | None], life: str = "a", first_day: int = 0) -> list[Sample]:
    """One run a night; None is a night without one."""
    days = enumerate(used, first_day)
    return [Sample(day * DAY_S, count, life) for day, count in days if count is not None]


def test_nothing_is_no_trend() -> None:
    assert project([]).days == 0


def test_one_run_is_no_trend() -> None:
    assert project(nightly([40])).days == 0


def test_what_stands_still_is_never_exhausted() -> None:
    assert project(nightly([40] * 14)).days_left(free=10) == float("inf")


def test_a_steady_leak() -> None:
    seen = project(nightly([20 + 7 * day for day in range(14)]))
    assert (seen.per_day, seen.days, seen.samples) == (7, 13, 14)
    assert seen.days_left(free=70) == 10


def test_the_order_of_the_runs_does_not_matter() -> None:
    runs = nightly([20 + 7 * day for day in range(14)])
    assert project(reversed(runs)) == project(runs)


def test_a_leak_that_stopped_is_not_projected_on() -> None:
    assert project(nightly([20, 40, 60, 80, 100, 120, *[140] * 10])).per_day == 0


def test_a_leak_that_began_is_projected_on() -> None:
    assert project(nightly([20] * 8 + [20 + 9 * day for day in range(8)])).per_day == pytest.approx(9)


def test_a_restart_gives_back_what_was_lost_and_hides_no_leak() -> None:
    lives = [nightly([20 + 5 * day for day in range(7)], life, 7 * week) for week, life in enumerate("abc")]
    assert project([run for life in lives for run in life]).per_day == 5


def test_the_first_night_after_a_restart_still_knows_the_rate() -> None:
    before = nightly([20 + 5 * day for day in range(10)])
    assert project([*before, *nightly([20], "b", 10)]).per_day == 5


def test_two_lives_of_one_run_each_say_nothing_of_each_other() -> None:
    seen = project([*nightly([200], "a"), *nightly([20], "b", 8)])
    assert (seen.per_day, seen.days) == (0, 8)


def test_nights_without_a_run_change_nothing() -> None:
    used = [20 + 4 * day if day not in (2, 3, 4, 9) else None for day in range(14)]
    assert project(nightly(used)).per_day == pytest.approx(4)


def test_a_run_that_met_a_deploy_has_no_weight() -> None:
    used = [20 + 2 * day for day in range(15)]
    used[4] += 60
    used[11] += 80
    assert project(nightly(used)).per_day == pytest.approx(2)


def test_noise_is_no_leak() -> None:
    chance = random.Random(6)
    assert project(nightly([50 + chance.randrange(-3, 4) for _ in range(30)])).per_day < 0.5


def test_what_shrinks_is_never_exhausted() -> None:
    assert project(nightly([90 - day for day in range(14)])).days_left(free=1) == float("inf")


def test_last_year_says_nothing() -> None:
    old = nightly([100 * day for day in range(5)])
    assert project([*old, *nightly([50] * 10, "a", 365)]).per_day == 0


def test_the_allocators_count_and_what_could_be_seen_are_not_one_line() -> None:
    seen = nightly([20] * 10)
    exact = [Sample((10 + day) * DAY_S, 60, "a", exact=True) for day in range(8)]
    found = project([*seen, *exact])
    assert (found.per_day, found.samples, found.exact) == (0, 8, True)
