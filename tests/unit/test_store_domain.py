"""The pure parts: money, periods, posting states, failure classes."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revenue_assets.domain import failures, money, periods, posting_state
from revenue_assets.domain.calendars import MONTHS


@given(st.integers(-(10**15), 10**15), st.sampled_from([0, 2, 3]))
def test_minor_and_major_are_inverse(minor, exponent):
    assert money.to_minor(str(money.to_major(minor, exponent)), exponent) == minor


@pytest.mark.parametrize("bad", ["1.005", "1e3", "", "NaN", " 1", "1,000.00", "9" * 30, 1.5, True])
def test_what_is_not_an_exact_amount_is_refused(bad):
    with pytest.raises(money.MoneyError):
        money.to_minor(bad, 2)


@given(st.integers(-(10**15), 10**15), st.lists(st.integers(0, 10**6), min_size=1, max_size=30).filter(any))
def test_allocation_adds_up_and_mirrors(total, weights):
    parts = money.allocate(total, weights)
    assert sum(parts) == total
    assert money.allocate(-total, weights) == [-p for p in parts]
    assert all(abs(p * sum(weights) - total * w) < sum(weights) for p, w in zip(parts, weights, strict=True))


@pytest.mark.parametrize(("value", "rounded"), [("0.5", 1), ("-0.5", -1), ("1.49", 1), ("2.5", 3)])
def test_half_up_rounds_away_from_zero(value, rounded):
    assert money.half_up(Decimal(value)) == rounded


@pytest.mark.parametrize(("period", "closed", "expected"), [
    ("2026-01", set(), ("2026-01", False)),
    ("2026-01", {"2026-01", "2026-02"}, ("2026-03", True)),
    ("2026-12", {"2026-12"}, ("2027-01", True)),
    ("2026-02", {"2026-01"}, ("2026-02", False)),
])  # fmt: skip
def test_posting_period_is_the_first_open_one(period, closed, expected):
    assert tuple(periods.posting_period(period, closed)) == expected


def test_document_dates_stay_inside_their_period():
    assert MONTHS.document_date("2028-02", dt.date(2030, 1, 1)) == dt.date(2028, 2, 29)
    assert MONTHS.document_date("2026-03", dt.date(2026, 3, 20)) == dt.date(2026, 3, 20)
    assert MONTHS.document_date("2026-04", dt.date(2026, 3, 20)) == dt.date(2026, 4, 1)
    assert list(periods.span("2025-11", "2026-02")) == ["2025-11", "2025-12", "2026-01", "2026-02"]
    with pytest.raises(periods.PeriodError, match="write it as"):
        periods.parse("2026-13")


def test_nothing_that_may_be_in_the_erp_goes_back_to_planned_unseen():
    """Only `sent`, by a known refusal, may return to planned; everything unknown goes through uncertain."""
    back = {old for old, new in posting_state.TRANSITIONS.items() if posting_state.PLANNED in new}
    assert back & posting_state.MAYBE_IN_ERP == {posting_state.SENT}
    assert posting_state.TRANSITIONS[posting_state.VERIFIED] == frozenset()
    assert {old for old, new in posting_state.TRANSITIONS.items() if posting_state.VERIFIED in new} == {
        posting_state.POSTED
    }
    for old in posting_state.STATES:
        for new in posting_state.STATES:
            if new not in posting_state.TRANSITIONS[old]:
                with pytest.raises(posting_state.IllegalTransition):
                    posting_state.check(old, new)


def test_only_four_classes_retry_and_two_of_them_after_a_look_up():
    assert {c.name for c in failures.CLASSES.values() if c.retry} == {"auth", "throttled", "unavailable", "uncertain"}
    assert {c.name for c in failures.CLASSES.values() if c.retry and c.look_up_first} == {"unavailable", "uncertain"}
    assert all(c.owner and c.next_step for c in failures.CLASSES.values())
    assert failures.failure("never heard of").retry is False


@given(st.integers(1, 10**6), st.text(max_size=20))
def test_back_off_is_bounded_repeatable_and_spread(attempt, key):
    wait = failures.backoff_seconds(attempt, key, base=2, cap=900)
    assert 1 <= wait <= 900
    assert wait == failures.backoff_seconds(attempt, key, base=2, cap=900)
