"""Periods of weeks: the SQL against Python, day by day, and both against calendars that companies publish."""

from __future__ import annotations

import datetime as dt

import duckdb
import pytest
from subledger_macros import load_macros

from revenue_assets.domain.calendars import MONTHS, Calendar, calendar, variable
from revenue_assets.domain.periods import shift

RETAIL = calendar("4-5-4", {"starts_near": "02-01", "weekday": "sunday"})
SEPTEMBER = calendar(
    "5-4-4",
    {"starts_near": "09-25", "weekday": "sunday", "rule": "on_or_after", "extra_week_in": 3, "named_after": "end"},
)
CALENDARS = {
    "iso": calendar("4-4-5"),
    "retail": RETAIL,
    "september": SEPTEMBER,
    "july": calendar(
        "4-4-5", {"starts_near": "07-04", "weekday": "friday", "rule": "on_or_before", "extra_week_in": 1}
    ),
    "months": MONTHS,
}
MACROS = load_macros(variable(CALENDARS.items()))


def test_sql_and_python_agree_on_every_day() -> None:
    rows = duckdb.execute(
        f"""
        select entity_id, day, {MACROS.period_of("day")}, {MACROS.period_first_day("day")},
            {MACROS.period_last_day("day")}, {MACROS.period_first_day("day", "entity_id", "3")},
            {MACROS.period_name(MACROS.period_index("day"))}
        from (
            select cast(day as date) as day, entity_id
            from generate_series(date '2014-12-25', date '2033-01-10', interval 1 day) as days(day)
            cross join (select unnest({list(CALENDARS)}) as entity_id)
        )
        """
    ).fetchall()
    for entity, day, name, first, last, later, indexed in rows:
        own = CALENDARS[entity]
        period = own.of(day)
        assert first <= day <= last
        assert (name, indexed, first, last) == (period, period, own.first_day(period), own.last_day(period)), day
        assert later == own.first_day(shift(period, 3))
    assert len(rows) == 5 * 6592


@pytest.mark.parametrize(
    ("own", "period", "first", "last"),
    [
        # National Retail Federation: fiscal 2023 had 53 weeks
        (RETAIL, "2023-01", dt.date(2023, 1, 29), dt.date(2023, 2, 25)),
        (RETAIL, "2023-12", dt.date(2023, 12, 31), dt.date(2024, 2, 3)),
        (RETAIL, "2024-01", dt.date(2024, 2, 4), dt.date(2024, 3, 2)),
        # years that end on the last Saturday of September, the extra week in the first quarter
        (SEPTEMBER, "2023-03", dt.date(2022, 11, 27), dt.date(2022, 12, 31)),
        (SEPTEMBER, "2023-12", dt.date(2023, 9, 3), dt.date(2023, 9, 30)),
        (SEPTEMBER, "2024-12", dt.date(2024, 9, 1), dt.date(2024, 9, 28)),
        # ISO 8601: 2020 has week 53
        (CALENDARS["iso"], "2020-12", dt.date(2020, 11, 23), dt.date(2021, 1, 3)),
        (MONTHS, "2024-02", dt.date(2024, 2, 1), dt.date(2024, 2, 29)),
    ],
)
def test_published_calendars(own: Calendar, period: str, first: dt.date, last: dt.date) -> None:
    assert (own.first_day(period), own.last_day(period)) == (first, last)


@pytest.mark.parametrize(
    ("name", "fiscal_year", "words"),
    [
        ("4-4-4", None, "one of month, 4-4-5"),
        ("month", {"weekday": "monday"}, "not with month"),
        ("4-4-5", {"weekdey": "monday"}, "unknown keys weekdey"),
        ("4-4-5", {"starts_near": "02-30"}, "such as"),
        ("4-4-5", {"rule": "close"}, "nearest"),
        ("4-4-5", {"extra_week_in": 13}, "1 to 12"),
    ],
)
def test_a_calendar_that_is_none_is_refused_in_words(name: str, fiscal_year: dict | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        calendar(name, fiscal_year)
