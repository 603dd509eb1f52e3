"""The subledger's arithmetic in SQL against exact fractions: rounding, splitting, windows."""

from __future__ import annotations

import datetime as dt
from fractions import Fraction

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from subledger_macros import load_macros

from revenue_assets.domain.money import allocate

# A busy machine is no finding.
settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")
MACROS = load_macros()
DUCK = duckdb.connect()
AMOUNTS = st.integers(-(10**12), 10**12)
WEIGHTS = st.lists(st.integers(1, 400_000), min_size=1, max_size=36)
DAYS = st.dates(dt.date(2019, 1, 1), dt.date(2028, 12, 31))
METHODS = (
    "ratable_daily", "ratable_monthly_equal", "monthly_prorata_temporis", "half_month", "monthly_anniversary",
    "thirty_360",
)  # fmt: skip


def one(sql: str) -> object:
    return DUCK.execute(sql).fetchone()[0]


def rounded(value: Fraction) -> int:
    """Half up, away from zero on ties."""
    size = (2 * abs(value.numerator) + value.denominator) // (2 * value.denominator)
    return size if value >= 0 else -size


def split(total: int, weights: list[int], mode: str) -> list[int]:
    relation = f"(select cast({total} as bigint) as total, {weights}::bigint[] as weights, '{mode}' as rounding)"
    return one(f"select parts from ({MACROS.split_over_weights(relation)})")


def window(start: dt.date, end: dt.date, method: str) -> dict:
    relation = (
        f"(select 'E1' as entity_id, date '{start}' as service_start, date '{end}' as service_end,"
        f" '{method}' as recognition, false as at_once, date '{start}' as posting_date)"
    )
    cursor = DUCK.execute(MACROS.window_parts(relation))
    names = [column[0] for column in cursor.description]
    return dict(zip(names, cursor.fetchone(), strict=True))


@given(AMOUNTS, st.integers(1, 10**9))
def test_half_up_rounds_away_from_zero(numerator: int, denominator: int) -> None:
    assert one("select " + MACROS.half_up(f"({numerator})", str(denominator))) == rounded(
        Fraction(numerator, denominator)
    )


@given(AMOUNTS, st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))
def test_share_takes_any_signs(total: int, part: int, whole: int) -> None:
    expected = rounded(Fraction(total * part, whole)) if whole else 0
    assert one("select " + MACROS.share(f"({total})", f"({part})", f"({whole})")) == expected


@given(AMOUNTS, st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6).filter(bool))
def test_floor_share_floors_negative_values_too(total: int, part: int, whole: int) -> None:
    assert one("select " + MACROS.floor_share(f"({total})", f"({part})", f"({whole})")) == (total * part) // whole


@given(AMOUNTS, WEIGHTS)
def test_largest_remainder_is_allocate(total: int, weights: list[int]) -> None:
    assert split(total, weights, "largest_remainder") == allocate(total, weights)


@given(AMOUNTS, WEIGHTS)
def test_cumulative_is_prefix_stable_and_within_half_a_unit(total: int, weights: list[int]) -> None:
    parts, whole = split(total, weights, "cumulative"), sum(weights)
    for n in range(1, len(weights) + 1):
        assert sum(parts[:n]) == rounded(Fraction(total * sum(weights[:n]), whole))


@given(AMOUNTS, WEIGHTS, st.sampled_from(["last_absorbs", "first_absorbs"]))
def test_one_end_absorbs(total: int, weights: list[int], mode: str) -> None:
    parts, whole = split(total, weights, mode), sum(weights)
    assert sum(parts) == total
    exact = [rounded(Fraction(total * weight, whole)) for weight in weights]
    assert (parts[:-1] == exact[:-1]) if mode == "last_absorbs" else (parts[1:] == exact[1:])


@settings(max_examples=60)
@given(DAYS, st.integers(1, 1200), st.sampled_from(METHODS))
def test_parts_cover_the_window(start: dt.date, days: int, method: str) -> None:
    end = start + dt.timedelta(days=days)
    parts = window(start, end, method)
    lists = [parts[name] for name in ("starts", "ends", "done_at", "recognised_on", "weights")]
    assert len({len(values) for values in lists}) == 1
    assert all(weight > 0 for weight in parts["weights"])
    assert parts["done_at"] == sorted(set(parts["done_at"]))
    if method == "monthly_anniversary":
        # every part but the last ends inside the window, the last one reaches its end
        assert all(day < end for day in parts["done_at"][:-1])
        assert parts["done_at"][-1] >= end
    else:
        assert parts["starts"][0] == start
        assert parts["ends"][-1] == end
        assert parts["ends"][:-1] == parts["starts"][1:]
    if method == "ratable_daily":
        assert sum(parts["weights"]) == days


@pytest.mark.parametrize(
    ("method", "weights"),
    [
        ("half_month", [1, 2, 2]),
        ("thirty_360", [15, 30, 30]),
        ("ratable_monthly_equal", [1, 1, 1]),
        ("ratable_daily", [16, 29, 31]),
        ("monthly_prorata_temporis", [16 * 377580 // 31, 377580, 377580]),
    ],
)
def test_weights_of_one_window(method: str, weights: list[int]) -> None:
    assert window(dt.date(2024, 1, 16), dt.date(2024, 4, 1), method)["weights"] == weights


def test_an_exclusive_end_on_the_first_adds_no_month() -> None:
    assert len(window(dt.date(2021, 5, 1), dt.date(2021, 8, 1), "ratable_monthly_equal")["weights"]) == 3
    assert len(window(dt.date(2021, 5, 1), dt.date(2021, 8, 2), "ratable_monthly_equal")["weights"]) == 4


def test_anniversaries_are_counted_from_the_start_and_clipped() -> None:
    parts = window(dt.date(2024, 1, 31), dt.date(2024, 4, 30), "monthly_anniversary")
    assert parts["recognised_on"] == [dt.date(2024, 2, 29), dt.date(2024, 3, 31), dt.date(2024, 4, 30)]
