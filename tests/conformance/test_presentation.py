"""Contract balances at the cut-off, whatever the cut-off of the cases is: 10,958 days at 1.00 a day."""

from __future__ import annotations

import datetime as dt

import duckdb
from open_cases import Built

COLUMNS = (
    "liability", "asset", "liability_current", "liability_non_current", "rpo", "rpo_within_year", "rpo_later",
    "rpo_undated",
)  # fmt: skip


def test_split_at_twelve_months_and_what_is_left_to_perform(built: Built) -> None:
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        rows = connection.execute(
            f"select source_id, as_of, {', '.join(COLUMNS)} from subledger.contract_balances where entity_id = 'cba'"
        ).fetchall()
    as_of = rows[0][1]
    found = {row[0]: dict(zip(COLUMNS, row[2:], strict=True)) for row in rows}
    tomorrow = as_of + dt.timedelta(days=1)
    passed = 100 * (tomorrow - dt.date(2020, 1, 1)).days
    year = 100 * (tomorrow.replace(year=tomorrow.year + 1) - tomorrow).days
    left = 1_095_800 - passed
    assert 0 < passed < 900_000 - year
    nothing = dict.fromkeys(COLUMNS, 0)
    ahead = {"liability": left, "liability_current": year, "liability_non_current": left - year}
    backlog = {"rpo": left, "rpo_within_year": year, "rpo_later": left - year}
    part = {"liability": left - 195_800, "liability_current": year, "liability_non_current": left - 195_800 - year}
    assert found == {
        "FULL": nothing | ahead | backlog,
        "PART": nothing | part | backlog,
        "AHEAD": nothing | {"asset": passed},
        "GOOD": nothing | {"liability": 10_000, "liability_current": 10_000, "rpo": 30_000, "rpo_undated": 30_000},
        "I4": nothing | ahead,
    }
