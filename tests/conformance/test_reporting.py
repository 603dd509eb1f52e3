"""Balances in the group's currency, from rates worked out by hand as fractions."""

from __future__ import annotations

from fractions import Fraction

import duckdb
import pytest
from open_cases import Built

CTA = "cumulative_translation_adjustment"


def balances(built: Built, entity: str, period: str) -> dict[str, int | None]:
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        rows = connection.execute(
            "select account_role, closing_rc from subledger.reporting_balances where entity_id = ? and period = ?",
            [entity, period],
        ).fetchall()
    return dict(rows)


def half_up(value: Fraction) -> int:
    size = (2 * abs(value.numerator) + value.denominator) // (2 * value.denominator)
    return size if value >= 0 else -size


def test_balance_at_closing_income_at_average_equity_as_it_came(built: Built) -> None:
    # 500.00 of equity at 1.10; 91.00 invoiced; 31.00 earned in January at 1.12, 29.00 in February at 1.16
    january = {
        "cash": half_up(50000 * Fraction("1.15")),
        "accounts_receivable": half_up(9100 * Fraction("1.15")),
        "deferred_revenue": half_up(-6000 * Fraction("1.15")),
        "revenue": half_up(-3100 * Fraction("1.12")),
        "opening_balance": half_up(-50000 * Fraction("1.10")),
    }
    # net assets of 500.00 rose by 0.05, the 31.00 earned by 0.03 since: 25.00 + 0.93
    assert balances(built, "rpa", "2020-01") == january | {CTA: -2593}
    february = {
        "cash": half_up(59100 * Fraction("1.20")),
        "accounts_receivable": 0,
        "deferred_revenue": half_up(-3100 * Fraction("1.20")),
        "revenue": half_up(-3100 * Fraction("1.12")) + half_up(-2900 * Fraction("1.16")),
        "opening_balance": half_up(-50000 * Fraction("1.10")),
    }
    # 531.00 rose by 0.05 more, 29.00 by 0.04: 25.93 + 26.55 + 1.16
    assert balances(built, "rpa", "2020-02") == february | {CTA: -5364}


def test_income_at_the_rate_of_its_day_and_only_the_inverse_published(built: Built) -> None:
    first, second = Fraction(1001) / Fraction("0.90"), Fraction(2002) / Fraction("0.85")
    receivable, revenue = half_up(Fraction(3003) / Fraction("0.85")), half_up(first) + half_up(second)
    assert (receivable, revenue) == (3533, 3467)
    assert balances(built, "rpb", "2020-01") == {"accounts_receivable": 3533, "revenue": -3467, CTA: -66}


def test_books_in_the_group_currency_are_themselves(built: Built) -> None:
    assert balances(built, "rpc", "2020-01") == {"accounts_receivable": 777, "revenue": -777, CTA: 0}


def test_a_missing_rate_is_not_guessed(built: Built) -> None:
    assert balances(built, "rpd", "2020-01") == {"accounts_receivable": None, "revenue": None, CTA: None}


@pytest.mark.parametrize("entity", ["rpa", "rpb", "rpc"])
def test_every_period_sums_to_nil(built: Built, entity: str) -> None:
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        rows = connection.execute(
            "select period, is_translated, sum(closing_rc), sum(activity_rc) from subledger.reporting_balances"
            " where entity_id = ? group by 1, 2 order by 1",
            [entity],
        ).fetchall()
    translated = [row for row in rows if row[1]]
    # rpa has income in March 2020 and no average rate for it: nothing is translated from then on
    assert [row[0] for row in translated][:2] == ["2020-01", "2020-02"]
    assert len(translated) == (2 if entity == "rpa" else len(rows))
    assert all(total == 0 and moved == 0 for _, _, total, moved in translated)
