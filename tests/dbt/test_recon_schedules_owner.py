"""`schedules_owner: erp`: the ERP's own recognition is compared with ours, computed and not booked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import duckdb
import pytest
from recon_books import ENTITIES, UPSTREAM, Books, month_end
from recon_build import build

COLUMNS = [part.strip().split()[0] for part in UPSTREAM["journal_lines"][1].split(",")]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """Nobody's recognition is booked by us. The ERP recognises 70 too much in the UK in September, and 50 of the US's
    August a month late; somebody in the UK typed 30 from cash into revenue."""
    books = Books()
    for entity in ENTITIES:
        books.sale(entity, f"ok{entity}")
        books.add("state/policy", entity_id=entity, key="schedules_owner", value="erp", policy_hash="p1")
    books.report_balances()
    computed = [line for line in books.journal if line["event_type"] == "revenue.recognised"]
    books.journal = [line for line in books.journal if line["event_type"] != "revenue.recognised"]
    books.book_and_post()
    recognised: dict[tuple[str, str], int] = defaultdict(int)
    for line in computed:
        books.add("journal_lines", **{name: line.get(name) for name in COLUMNS})
        if line["account_role"] == "revenue":
            recognised[line["entity_id"], line["period"]] -= line["amount_fc"]
    recognised["UK", "2026-09"] += 70
    recognised["US", "2026-08"] -= 50
    recognised["US", "2026-09"] += 50
    for (entity, period), amount in recognised.items():
        books.manual_move(entity, month_end(period), "deferred_revenue", "revenue", amount, description="Schedule")
    books.manual_move("UK", "2026-10-15", "cash", "revenue", 30, number="UKHAND")
    books.read_back()
    arguments = ("run", "--select", "+rec_r11", "+rec_r12", "+tie_out", "--vars", "{reconciliations: all}")
    connection = build(tmp_path_factory.mktemp("schedules"), books, *arguments)
    yield connection
    connection.close()


def variances(connection: duckdb.DuckDBPyConnection, code: str) -> set[tuple[str, str, str, str, int]]:
    query = (
        "select entity_id, period, variance_class, reference, difference "
        f"from reconciliation.rec_r{code} where variance_class is not null"
    )
    return set(connection.execute(query).fetchall())


def test_activity_differs_by_class_and_month(world: duckdb.DuckDBPyConnection) -> None:
    assert variances(world, "12") == {
        ("UK", "2026-09", "amount", "schedule|4000", -70),
        ("US", "2026-08", "wrong_period", "schedule|4000", 50),
        ("US", "2026-09", "wrong_period", "schedule|4000", -50),
        ("UK", "2026-10", "manual_erp_journal", "UKHAND", -30),
    }


def test_balance_carries_what_is_still_open(world: duckdb.DuckDBPyConnection) -> None:
    found = variances(world, "11")
    assert {row for row in found if row[0] == "US"} == {("US", "2026-08", "wrong_period", "schedule|2100", -50)}
    uk = {row for row in found if row[0] == "UK"}
    assert {row[2:] for row in uk} == {("amount", "schedule|2100", 70)}
    assert {"2026-09", "2026-10"} <= {row[1] for row in uk}


def test_tie_out_shows_our_schedule_against_the_erp(world: duckdb.DuckDBPyConnection) -> None:
    rows = world.execute(
        "select entity, account_role, (subledger - erp) * 100, classified * 100, unexplained * 100 "
        "from finance.tie_out where account_role in ('revenue', 'deferred_revenue') order by all"
    ).fetchall()
    assert [(e, r, int(d), int(c), int(u)) for e, r, d, c, u in rows] == [
        ("UK", "deferred_revenue", -70, -70, 0), ("UK", "revenue", 100, 100, 0),
        ("US", "deferred_revenue", 0, 0, 0), ("US", "revenue", 0, 0, 0),
    ]  # fmt: skip
