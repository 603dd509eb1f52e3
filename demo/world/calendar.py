"""Days and instants: the horizon, the entities' clocks, billing periods. Windows are half-open."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

HORIZON_END = date(2026, 10, 31)


@dataclass(frozen=True)
class Entity:
    """A legal entity of the group; it owns one processor account and one bank account."""

    id: str
    name: str
    currency: str
    zone: str
    country: str
    instance: str
    payout_weekday: int


# Payouts leave late in the week, so the last one before a month's end is often still in transit at the cut-off.
ENTITIES = {
    "US": Entity("US", "Meridian Inc", "USD", "America/New_York", "US", "billing_us", 4),
    "UK": Entity("UK", "Meridian Ltd", "GBP", "Europe/London", "GB", "billing_uk", 4),
    "DE": Entity("DE", "Meridian GmbH", "EUR", "Europe/Berlin", "DE", "billing_de", 3),
}


@dataclass(frozen=True)
class Horizon:
    """First and last day the company lives through; both belong to it."""

    start: date
    end: date
    months: int

    @property
    def days(self) -> int:
        """Number of days lived through."""
        return (self.end - self.start).days + 1

    def month_starts(self) -> Iterator[date]:
        """First day of every month of the horizon, oldest first."""
        for n in range(self.months):
            yield add_months(self.start, n)


def horizon(months: int) -> Horizon:
    """The horizon of `months` whole months that ends on 2026-10-31."""
    if months < 1:
        raise ValueError("a world needs at least one month")
    return Horizon(add_months(date(2026, 10, 1), 1 - months), HORIZON_END, months)


def add_months(day: date, months: int) -> date:
    """`day` moved by whole months, clipped to the month's last day (31 January + 1 = 28 or 29 February)."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def month_of(day: date) -> str:
    """Fiscal period name of a day, `YYYY-MM`."""
    return f"{day.year:04d}-{day.month:02d}"


def first_of_next_month(day: date) -> date:
    """First day of the month after `day`."""
    return add_months(day.replace(day=1), 1)


def is_month_end(day: date) -> bool:
    """True on the last day of a month."""
    return (day + timedelta(days=1)).day == 1


@cache
def _zone(entity: str) -> ZoneInfo:
    return ZoneInfo(ENTITIES[entity].zone)


@lru_cache(maxsize=65536)
def midnight(entity: str, day: date) -> int:
    """Unix seconds of the entity's local midnight at the start of `day`."""
    return int(datetime.combine(day, time(), tzinfo=_zone(entity)).timestamp())


@lru_cache(maxsize=65536)
def at(entity: str, day: date, hour: int, minute: int = 0) -> int:
    """Unix seconds of a wall-clock moment of the entity."""
    return int(datetime.combine(day, time(hour, minute), tzinfo=_zone(entity)).timestamp())


def local_date(entity: str, instant: int) -> date:
    """Calendar day of an instant in the entity's zone: its accounting date."""
    return datetime.fromtimestamp(instant, _zone(entity)).date()


def utc_midnight(day: date) -> int:
    """Unix seconds of midnight UTC, as the processor aligns days."""
    return int(datetime.combine(day, time(), tzinfo=UTC).timestamp())


def iso(instant: int) -> str:
    """`2026-01-02T17:38:59Z`."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def period_step(interval: str) -> int:
    """Months of one billing period."""
    return {"month": 1, "year": 12}[interval]


def billing_period(anchor: date, interval: str, day: date) -> tuple[date, date]:
    """The billing period [start, end) that holds `day`; bill dates are anchor +/- n intervals, clipped."""
    step = period_step(interval)
    n = ((day.year - anchor.year) * 12 + day.month - anchor.month) // step
    if add_months(anchor, n * step) > day:
        n -= 1
    elif add_months(anchor, (n + 1) * step) <= day:
        n += 1
    return add_months(anchor, n * step), add_months(anchor, (n + 1) * step)


def billing_periods(anchor: date, interval: str, start: date, end: date) -> Iterator[tuple[date, date]]:
    """Every billing period that overlaps [start, end), oldest first."""
    day = start
    while day < end:
        period = billing_period(anchor, interval, day)
        yield period
        day = period[1]
