"""Fiscal calendars: calendar months, or twelve periods of whole weeks (4-4-5, 4-5-4, 5-4-4). Pure.

A period is always written `YYYY-MM`: the fiscal year and the number of the period in it, 01 to 12. So labels count,
sort and follow each other alike under every calendar; only the days they stand for differ.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from revenue_assets.domain.periods import parse, shift

MONTH = "month"
PATTERNS = {"4-4-5": (4, 4, 5), "4-5-4": (4, 5, 4), "5-4-4": (5, 4, 4)}
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# Days added before the division by 7: where a year starts if its nominal first day is not the weekday.
RULES = {"on_or_before": 0, "nearest": 3, "on_or_after": 6}
# The fiscal year of ISO 8601: it starts on the Monday nearest to 1 January.
DEFAULTS: dict[str, Any] = {
    "starts_near": "01-01", "weekday": "monday", "rule": "nearest", "extra_week_in": 12, "named_after": "start",
}  # fmt: skip
# A Monday; weeks are counted from the first of the fiscal year's weekdays on or after it.
_FIRST_MONDAY = dt.date(1900, 1, 1)
# Environment variable with the week calendars of a build and their entities; dbt reads it at parse and at run.
VARIABLE = "REVENUE_WEEK_CALENDARS"


@dataclass(frozen=True)
class Calendar:
    """How days fall into periods. `pattern` None = calendar months; the other fields then mean nothing."""

    pattern: tuple[int, int, int] | None = None
    month: int = 1
    day: int = 1
    weekday: int = 0
    slack: int = 3
    extra_week_in: int = 12
    label: int = 0

    @property
    def origin(self) -> dt.date:
        """First day of week 0."""
        return _FIRST_MONDAY + dt.timedelta(days=self.weekday)

    def of(self, day: dt.date) -> str:
        """The period that `day` lies in."""
        if self.pattern is None:
            return f"{day.year:04d}-{day.month:02d}"
        week = (day - self.origin).days // 7
        year = max(y for y in (day.year - 1, day.year, day.year + 1) if self._first_week(y) <= week)
        passed = week - self._first_week(year)
        if self._has_53_weeks(year) and passed >= self._starts(False)[self.extra_week_in]:
            passed -= 1
        number = sum(start <= passed for start in self._starts(False)[:12])
        return f"{year + self.label:04d}-{number:02d}"

    def first_day(self, period: str) -> dt.date:
        """First day of a period. Raises PeriodError if `period` is not `YYYY-MM`."""
        year, number = (int(part) for part in parse(period).split("-"))
        if self.pattern is None:
            return dt.date(year, number, 1)
        year -= self.label
        week = self._first_week(year) + self._starts(self._has_53_weeks(year))[number - 1]
        return self.origin + dt.timedelta(weeks=week)

    def end(self, period: str) -> dt.date:
        """First day after a period."""
        return self.first_day(shift(period, 1))

    def last_day(self, period: str) -> dt.date:
        return self.end(period) - dt.timedelta(days=1)

    def _first_week(self, year: int) -> int:
        return ((dt.date(year, self.month, self.day) - self.origin).days + self.slack) // 7

    def _has_53_weeks(self, year: int) -> bool:
        return self._first_week(year + 1) - self._first_week(year) == 53

    def _starts(self, is_long: bool) -> list[int]:
        """Week of the year in which each period starts, and the length of the year at the end."""
        assert self.pattern is not None
        starts = [0]
        for number in range(1, 13):
            starts.append(starts[-1] + self.pattern[(number - 1) % 3] + int(is_long and number == self.extra_week_in))
        return starts

    def document_date(self, period: str, as_of: dt.date) -> dt.date:
        """Date of an ERP document: the period's last day, or the cut-off if it is not over; never outside it."""
        return max(self.first_day(period), min(self.last_day(period), as_of))


MONTHS = Calendar()


def calendar(name: str, fiscal_year: Mapping[str, Any] | None = None) -> Calendar:
    """The calendar of an entity's config: `month` or a pattern, with the fiscal year's rule (see DEFAULTS).

    Raises ValueError in words if a value is unknown or the nominal first day does not exist in every year.
    """
    if name == MONTH:
        if fiscal_year:
            raise ValueError("fiscal_year goes with a calendar of weeks (4-4-5, 4-5-4, 5-4-4), not with month")
        return MONTHS
    if name not in PATTERNS:
        raise ValueError(f"calendar must be one of {', '.join((MONTH, *PATTERNS))}; it is {name!r}")
    unknown = sorted(set(fiscal_year or {}) - set(DEFAULTS))
    if unknown:
        raise ValueError(f"fiscal_year has unknown keys {', '.join(unknown)}; known: {', '.join(DEFAULTS)}")
    rule = DEFAULTS | dict(fiscal_year or {})
    try:
        nominal = dt.date.fromisoformat(f"2001-{rule['starts_near']}")
    except ValueError:
        raise ValueError(
            f'fiscal_year.starts_near must be a day such as "02-01"; it is {rule["starts_near"]!r}'
        ) from None
    for key, known in (("weekday", WEEKDAYS), ("rule", tuple(RULES)), ("named_after", ("start", "end"))):
        if rule[key] not in known:
            raise ValueError(f"fiscal_year.{key} must be one of {', '.join(known)}; it is {rule[key]!r}")
    extra = rule["extra_week_in"]
    if not isinstance(extra, int) or isinstance(extra, bool) or not 1 <= extra <= 12:
        raise ValueError(f"fiscal_year.extra_week_in must be a period number, 1 to 12; it is {extra!r}")
    return Calendar(
        PATTERNS[name], nominal.month, nominal.day, WEEKDAYS.index(rule["weekday"]), RULES[rule["rule"]], extra,
        int(rule["named_after"] == "end"),
    )  # fmt: skip


def variable(entities: Iterable[tuple[str, Calendar]]) -> str:
    """What dbt needs to know of week calendars, as JSON: each with its entities. Empty if all count in months."""
    groups: dict[Calendar, list[str]] = {}
    for entity_id, own in entities:
        if own.pattern is not None:
            groups.setdefault(own, []).append(entity_id)
    found = [
        {
            "entities": sorted(ids), "first": own.pattern[0], "second": own.pattern[0] + own.pattern[1],
            "month": own.month, "day": own.day, "origin": own.origin.isoformat(), "slack": own.slack,
            "extra": own._starts(False)[own.extra_week_in], "extra_no": own.extra_week_in, "label": own.label,
        }
        for own, ids in groups.items()
        if own.pattern
    ]  # fmt: skip
    return json.dumps(sorted(found, key=lambda group: group["entities"]), sort_keys=True) if found else ""
