"""Accounting periods as calendar months, written `YYYY-MM`. Pure.

A period's states: `open` (everything posts), `soft_closed` (source events are re-dated; only named roles may post) and
`hard_closed` (nothing posts; the store's triggers refuse it).
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Iterator, Set
from typing import NamedTuple

OPEN, SOFT_CLOSED, HARD_CLOSED = "open", "soft_closed", "hard_closed"
STATES = (OPEN, SOFT_CLOSED, HARD_CLOSED)
_PERIOD = re.compile(r"[1-9]\d{3}-(0[1-9]|1[0-2])")
# A journal re-dated further than this away from its own period means that the period table is wrong.
MAX_REDATE_MONTHS = 240


class PeriodError(ValueError):
    """A period that does not exist or cannot be moved as asked; the message is a sentence for finance."""


class PostingPeriod(NamedTuple):
    """Where an entry posts: the period, its date, and whether that is later than where it belongs."""

    period: str
    prior_period: bool
    redated_to: dt.date | None


def parse(period: str) -> str:
    """`period` itself if it is `YYYY-MM`; PeriodError otherwise."""
    if not _PERIOD.fullmatch(period):
        raise PeriodError(f"{period!r} is not a period; write it as YYYY-MM, such as 2026-10.")
    return period


def first_day(period: str) -> dt.date:
    return dt.date.fromisoformat(parse(period) + "-01")


def last_day(period: str) -> dt.date:
    day = first_day(period)
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


def of(day: dt.date) -> str:
    return f"{day.year:04d}-{day.month:02d}"


def shift(period: str, months: int) -> str:
    """The period `months` later (negative: earlier)."""
    day = first_day(period)
    index = day.year * 12 + day.month - 1 + months
    return f"{index // 12:04d}-{index % 12 + 1:02d}"


def span(first: str, last: str) -> Iterator[str]:
    """All periods from `first` to `last`, both included; empty if `last` is earlier."""
    period = parse(first)
    while period <= last:
        yield period
        period = shift(period, 1)


def posting_period(period: str, closed: Set[str]) -> PostingPeriod:
    """Where an entry that belongs to `period` posts, given one entity's and book's closed periods.

    The period itself if it is not in `closed`; else the first day of the first later period that is not. Periods
    nobody has registered yet are open.
    """
    candidate = parse(period)
    for _ in range(MAX_REDATE_MONTHS):
        if candidate not in closed:
            late = candidate != period
            return PostingPeriod(candidate, late, first_day(candidate) if late else None)
        candidate = shift(candidate, 1)
    raise PeriodError(f"no open period within {MAX_REDATE_MONTHS} months after {period}; check the period table.")


def document_date(period: str, as_of: dt.date) -> dt.date:
    """Date of an ERP document: the period's last day, or the cut-off if the period is not over; never outside it."""
    return max(first_day(period), min(last_day(period), as_of))
