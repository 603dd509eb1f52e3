"""What a close promises, through the real store, booking and the project's SQL: a closed month never changes again.

Two deliveries of the same businesses: first what is known, booked and closed; then late documents and corrections of
events of closed months, with recorded times as old as their senders like.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from businesses import END, History, walk
from compiled import PROJECT, Compiled

from revenue_assets.conformance.cases import Case
from revenue_assets.conformance.load import write_empty_sources, write_landing, write_state
from revenue_assets.posting.booking import BookingReport, book
from revenue_assets.store import periods
from revenue_assets.store.engine import Store, open_store
from revenue_assets.store.export import export_state
from revenue_assets.store.ledger import Journal

CLOSED = [f"2021-{month:02}" for month in range(1, 13)] + [f"2022-{month:02}" for month in range(1, 7)]
FIRST_OPEN = "2022-07"
SEEDS = (11, 12, 13, 14)


@dataclass(frozen=True)
class Books:
    """A home: its businesses, store, journal and folder, and what was booked before the change."""

    cases: list[Case]
    folder: Path
    store: Store
    journal: Journal
    before: list[tuple]
    after: BookingReport


def plain(seed: int) -> History:
    """A business that does not close its own months: the platform does."""
    history = walk(seed, 0)
    history.events = [event for event in history.events if not event["type"].startswith("period.")]
    return history


def changed(case: Case) -> Case:
    """Corrections and late documents of closed months: a superseded invoice, a late one, a credit of an old one."""
    events = [dict(event) for event in case.events]
    invoices = [
        e for e in events
        if e["type"] == "invoice.posted" and e["effective"] < "2022-06" and "contract_id" not in e["data"]["lines"][0]
        and "subscription_item_id" not in e["data"]["lines"][0]
    ]  # fmt: skip
    first = invoices[0]
    corrected = {**first["data"], "lines": [dict(line) for line in first["data"]["lines"]]}
    corrected["lines"][0]["amount"] += 4_321
    events.append({**first, "id": "correction", "supersedesid": first["id"], "data": corrected})
    late = {"line_id": "L1", "amount": 12_000, "tax_amount": 1_200, "service_start": "2021-05-01",
            "service_end": "2022-05-01"}  # fmt: skip
    events.append({
        "id": "late", "type": "invoice.posted", "time": "2021-05-03T09:00:00Z", "effective": "2021-05-03",
        "recorded": "2021-05-03T09:00:00Z",
        "data": {"invoice_id": "LATE", "customer_id": "K1", "currency": first["data"]["currency"], "lines": [late]},
    })  # fmt: skip
    events.append({
        "id": "latecredit", "type": "credit_note.issued", "time": "2021-08-03T09:00:00Z", "effective": "2021-08-03",
        "recorded": "2021-08-03T09:00:00Z",
        "data": {"credit_note_id": "LATECN", "invoice_id": "LATE", "currency": first["data"]["currency"],
                 "timing": "pre_payment", "lines": [{"invoice_line_id": "L1", "amount": 6_000, "tax_amount": 600}]},
    })  # fmt: skip
    return Case(**{**case.__dict__, "events": events})


def land_and_build(compiled: Compiled, cases: list[Case], folder: Path, store: Store) -> Path:
    write_empty_sources(PROJECT, folder / "landing", folder / "journal")
    write_landing(cases, folder / "landing")
    write_state(cases, folder / "state")
    export_state(store, folder / "state")
    return compiled.build(folder, END)


ROWS = """select booked_line_id, entity_id, posting_period, posting_date, prior_period, account_role, currency,
          amount_tc, amount_fc from read_parquet('{}/*.parquet')"""


@pytest.fixture(scope="module")
def books(compiled: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Books:
    folder = tmp_path_factory.mktemp("closed")
    (folder / "store").mkdir()
    store = open_store(f"sqlite:///{folder}/store/operational.sqlite")
    journal = Journal(folder / "journal")
    cases = [plain(seed).case(f"c{seed}") for seed in SEEDS]
    warehouse = land_and_build(compiled, cases, folder, store)
    book(store, journal, warehouse, folder / "state", END)
    with store.read() as reader:
        registered = {case.code: periods.closed(reader) for case in cases}
    assert not any(any(months.values()) for months in registered.values())
    known = {(row["entity_id"], row["period"]) for row in periods.all_periods(store)}
    for case in cases:
        for month in CLOSED:
            if (case.code, month) in known:
                with store.write() as writer:
                    periods.hard_close(
                        writer, case.code, month, "controller", snapshot_hash="h", snapshot_json="{}",
                        now=dt.datetime(2030, 1, 1),  # noqa: DTZ001
                    )  # fmt: skip
    with duckdb.connect() as connection:
        before = connection.execute(ROWS.format(journal.lines)).fetchall()
    warehouse = land_and_build(compiled, [changed(case) for case in cases], folder, store)
    report = book(store, journal, warehouse, folder / "state", END)
    return Books(cases, folder, store, journal, before, report)


def rows(books: Books) -> list[tuple]:
    with duckdb.connect() as connection:
        return connection.execute(ROWS.format(books.journal.lines)).fetchall()


def test_no_row_of_a_closed_month_changed(books: Books) -> None:
    closed_before = Counter(row for row in books.before if row[2] <= CLOSED[-1])
    assert len(closed_before) > 100
    assert Counter(row for row in rows(books) if row[2] <= CLOSED[-1]) == closed_before


def test_the_difference_is_in_the_first_open_month_and_flagged(books: Books) -> None:
    new = [row for row in rows(books) if row[0] not in {old[0] for old in books.before}]
    late = [row for row in new if row[4]]
    assert books.after.lines == len(new)
    assert books.after.entries_reversed >= len(books.cases)
    assert {row[1] for row in late} == {case.code for case in books.cases}
    assert {(row[2], str(row[3])) for row in late} == {(FIRST_OPEN, f"{FIRST_OPEN}-01")}
    assert all(row[2] >= FIRST_OPEN for row in new)


def test_the_books_are_what_the_subledger_says_all_the_same(books: Books) -> None:
    """Nothing of the difference is lost: per entity, role and currency, booked to date = should be."""
    with duckdb.connect(str(books.folder / "warehouse" / "revenue.duckdb"), read_only=True) as connection:
        should = connection.execute(
            "select entity_id, account_role, currency, sum(amount_tc)::bigint, sum(amount_fc)::bigint"
            " from subledger.journal_lines group by all having sum(amount_tc) <> 0 or sum(amount_fc) <> 0 order by all"
        ).fetchall()
        booked = connection.execute(
            "select entity_id, account_role, currency, sum(amount_tc)::bigint, sum(amount_fc)::bigint"
            f" from read_parquet('{books.journal.lines}/*.parquet')"
            " group by all having sum(amount_tc) <> 0 or sum(amount_fc) <> 0 order by all"
        ).fetchall()
    assert booked == should


def test_a_second_booking_has_nothing_to_do(books: Books) -> None:
    warehouse = books.folder / "warehouse" / "revenue.duckdb"
    assert book(books.store, books.journal, warehouse, books.folder / "state", END).booking_id is None


BOOKED_MUTATIONS = {
    "assert_reversals_are_exact": [
        "update booked set amount_tc = amount_tc + 1 where rowid = (select min(rowid) from booked where sign = -1)",
        """delete from booked where sign = 1
            and (entry_key, generation) in (select (entry_key, generation) from booked where sign = -1)""",
    ],
    "assert_booked_lines_are_posted_once": [
        "insert into members select * from members", "update members set booked_line_id = 'nobody'",
    ],
    "assert_nothing_is_booked_into_a_locked_period": [
        "update booked set booked_at = timestamp '2031-01-01'",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", BOOKED_MUTATIONS)
def test_checks_of_the_journal_of_record_are_green_and_turn_red(books: Books, compiled: Compiled, name: str) -> None:
    sql = compiled.check(name, books.folder, END)
    files = {"booked": books.journal.lines, "members": books.journal.members}
    for table, folder in files.items():
        sql = sql.replace(f"read_parquet('{folder}/*.parquet', union_by_name = true)", table)
    assert "booked" in sql
    assert "/lines/" not in sql
    with duckdb.connect() as connection:
        lines = f"read_parquet('{books.journal.lines}/*.parquet', union_by_name = true)"
        connection.execute(f"create table booked as from {lines}")
        connection.execute(
            "create table members as"
            " select booked_line_id, 'batch' as batch_key, 1 as batch_line_no, 'cut' as cut_id from booked"
        )
        assert connection.execute(sql).fetchall() == []
        for change in BOOKED_MUTATIONS[name]:
            connection.execute("begin")
            connection.execute(change)
            assert connection.execute(sql).fetchall(), change
            connection.execute("rollback")
