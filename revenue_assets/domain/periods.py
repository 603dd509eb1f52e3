"""Accounting periods by name, `YYYY-MM`, and the days of calendar months (other calendars: `calendars`). Pure.

A period's states: `open` (everything posts), `soft_closed` (source events are re-dated; only named roles may post) and
`hard_closed` (nothing posts; the store's triggers refuse it).
"""

from __future__ import annotations

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
    """Where an entry posts: the period, and whether that is later than where it belongs."""

    period: str
    prior_period: bool


def parse(period: str) -> str:
    """`period` itself if it is `YYYY-MM`; PeriodError otherwise."""
    if not _PERIOD.fullmatch(period):
        raise PeriodError(f"{period!r} is not a period; write it as YYYY-MM, such as 2026-10.")
    return period


def first_day(period: str) -> dt.date:
    return dt.date.fromisoformat(parse(period) + "-01")


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

    The period itself if it is not in `closed`; else the first later period that is not. Periods nobody has registered
    yet are open.
    """
    candidate = parse(period)
    for _ in range(MAX_REDATE_MONTHS):
        if candidate not in closed:
            return PostingPeriod(candidate, candidate != period)
        candidate = shift(candidate, 1)
    raise PeriodError(f"no open period within {MAX_REDATE_MONTHS} months after {period}; check the period table.")
