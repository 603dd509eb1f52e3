"""Invariants of the arithmetic itself: splitting, scaling, days against months; held to exact fractions."""

from __future__ import annotations

import datetime as dt
import itertools
from fractions import Fraction

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_subledger_arithmetic import METHODS, rounded, split, window

from revenue_assets.domain.money import allocate

TOTALS = st.integers(-(10**15), 10**15)
WEIGHTS = st.lists(st.integers(0, 10**9), min_size=1, max_size=24).filter(any)
POSITIVE = st.lists(st.integers(1, 400_000), min_size=1, max_size=24)
MODES = ("largest_remainder", "cumulative", "last_absorbs", "first_absorbs")


@settings(deadline=None)
@given(TOTALS, WEIGHTS)
def test_allocate_is_exact_near_and_monotone(total: int, weights: list[int]) -> None:
    """Invariant 28: parts sum to the total, each within one unit of its exact share, a heavier one never gets less."""
    parts, whole = allocate(total, weights), sum(weights)
    assert sum(parts) == total
    assert all(abs(part - Fraction(total * weight, whole)) < 1 for part, weight in zip(parts, weights, strict=True))
    ordered = sorted(zip(weights, (abs(part) for part in parts), strict=True))
    for (light, little), (heavy, much) in itertools.pairwise(ordered):
        assert light == heavy or little <= much


@settings(deadline=None)
@given(TOTALS, WEIGHTS)
def test_a_credit_mirrors_its_invoice(total: int, weights: list[int]) -> None:
    assert allocate(-total, weights) == [-part for part in allocate(total, weights)]


@settings(deadline=None, max_examples=60)
@given(st.integers(-(10**12), 10**12), POSITIVE, st.integers(2, 1000), st.sampled_from(MODES))
def test_scaling_stays_within_minor_units(total: int, weights: list[int], factor: int, mode: str) -> None:
    """Invariant 19: k times the total gives k times each part, within k roundings of one unit and one of its own."""
    parts, scaled = split(total, weights, mode), split(total * factor, weights, mode)
    count = len(weights) if mode.endswith("absorbs") else 1
    assert sum(scaled) == factor * sum(parts)
    for part, other in zip(parts, scaled, strict=True):
        assert abs(other - factor * part) <= (factor + 1) * count


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 10**12), POSITIVE, st.integers(1, 99), st.sampled_from(MODES))
def test_splitting_a_line_changes_no_total(total: int, weights: list[int], percent: int, mode: str) -> None:
    """Invariant 13: two lines instead of one have its total, and each period of theirs is within a unit per line."""
    first = total * percent // 100
    whole, parts = split(total, weights, mode), (split(first, weights, mode), split(total - first, weights, mode))
    assert sum(map(sum, parts)) == sum(whole) == total
    slack = 3 * (len(weights) if mode.endswith("absorbs") else 1)
    for one, a, b in zip(whole, *parts, strict=True):
        assert abs(one - a - b) <= slack


@settings(max_examples=30, deadline=None)
@given(st.integers(-(10**9), 10**9), st.dates(dt.date(2019, 1, 1), dt.date(2028, 12, 31)), st.integers(1, 800))
def test_days_added_up_to_months_are_the_monthly_schedule(total: int, start: dt.date, days: int) -> None:
    """Invariant 14: under the cumulative policy a schedule by day, summed by month, is the schedule by month."""
    end = start + dt.timedelta(days=days)
    parts = window(start, end, "ratable_daily")
    monthly = split(total, parts["weights"], "cumulative")
    daily: dict[tuple[int, int], int] = {}
    for n in range(days):
        day = start + dt.timedelta(days=n)
        amount = rounded(Fraction(total * (n + 1), days)) - rounded(Fraction(total * n, days))
        daily[day.year, day.month] = daily.get((day.year, day.month), 0) + amount
    assert monthly == list(daily.values())


@settings(max_examples=30, deadline=None)
@given(
    st.dates(dt.date(2021, 1, 1), dt.date(2022, 6, 30)), st.integers(1, 540), st.sampled_from(METHODS),
    st.sampled_from([-4, 4]),
)  # fmt: skip
def test_whole_years_shift_windows_only(start: dt.date, days: int, method: str, years: int) -> None:
    """Invariant 15: without a leap day in between, the same parts and weights some years away."""
    end = start + dt.timedelta(days=days)
    moved_start, moved_end = start.replace(year=start.year + years), end.replace(year=end.year + years)
    assume((moved_end - moved_start).days == days)
    here, there = window(start, end, method), window(moved_start, moved_end, method)
    assert here["weights"] == there["weights"]
    for name in ("starts", "ends", "done_at", "recognised_on"):
        assert [day.replace(year=day.year + years) for day in here[name]] == there[name]


@settings(deadline=None, max_examples=40)
@given(
    st.integers(-(10**9), 10**9), POSITIVE, st.integers(0, 4), st.integers(0, 4),
    st.sampled_from(["first_absorbs", "last_absorbs"]),
)  # fmt: skip
def test_a_part_that_has_passed_absorbs_nothing(
    total: int, weights: list[int], passed: int, ahead: int, mode: str
) -> None:
    """What is left of a schedule is split over weights that are nil where time has passed: those parts stay nil."""
    inner = split(total, weights, mode)
    assert split(total, [0] * passed + weights + [0] * ahead, mode) == [0] * passed + inner + [0] * ahead
