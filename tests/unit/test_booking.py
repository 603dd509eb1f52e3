"""Booking writes exactly `should - booked`, and nothing else ever."""

from __future__ import annotations

import datetime as dt

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy.exc import IntegrityError
from store_kit import AS_OF, House, entry, invoice, recognition

from revenue_assets.domain.config_approvals import Approvals, Approver
from revenue_assets.posting.booking import BookingReport, book
from revenue_assets.store import approvals, audit, exceptions, leases, manifest, periods
from revenue_assets.store.engine import StoreError
from revenue_assets.store.export import export_state
from revenue_assets.store.leases import LeaseHeld


@pytest.fixture
def house(tmp_path) -> House:
    return House.build(tmp_path)


def run(house: House, **more) -> BookingReport:
    return book(house.store, house.journal, house.warehouse, house.state, more.pop("as_of", AS_OF), **more)


def close(house: House, *months: str) -> None:
    for month in months:
        with house.store.write() as connection:
            at = dt.datetime(2026, 4, 2)  # noqa: DTZ001
            periods.hard_close(connection, "US", month, "controller", snapshot_hash="h", snapshot_json="{}", now=at)


def balances(house: House) -> dict[tuple[str, str], int]:
    rows = house.sql(
        f"select posting_period, account_role, sum(amount_fc)::bigint from "
        f"read_parquet('{house.journal.lines}/*.parquet') group by all"
    )
    return {(period, role): amount for period, role, amount in rows if amount}


def test_first_booking_takes_every_line_with_its_totals(house):
    house.should(invoice("i1", "2026-01-05", 1200), recognition("r1", "2026-01-31", 100))
    report = run(house)
    assert (report.lines, report.entries_booked, report.entries_reversed) == (4, 2, 0)
    assert report.control_totals == [
        {
            "entity_id": "US",
            "currency": "USD",
            "rows": 4,
            "debit_tc": 1300,
            "credit_tc": 1300,
            "debit_fc": 1300,
            "credit_fc": 1300,
        }
    ]
    assert [row[0] for row in house.booked("distinct posting_period")] == ["2026-01"]
    with house.store.read() as connection:
        (row,) = manifest.bookings(connection)
    assert (row.booking_id, row.row_count, row.uncut_rows) == (report.booking_id, 4, 4)
    assert audit.verify(house.store) == (1, None)


def test_again_with_nothing_new_writes_neither_file_nor_row(house):
    house.should(invoice("i1", "2026-01-05", 1200))
    first = run(house)
    files = sorted(house.journal.lines.iterdir())
    again = run(house)
    assert again.booking_id is None
    assert again.lines == 0
    assert sorted(house.journal.lines.iterdir()) == files
    assert first.booking_id in {path.stem for path in files}


def test_an_empty_journal_still_has_a_readable_glob(house):
    house.should(invoice("i1", "2026-01-05", 0))
    assert run(house).booking_id is None
    assert house.booked() == []
    assert house.members() == []


def test_changed_entry_is_reversed_and_replaced_with_a_link(house):
    house.should(invoice("i1", "2026-01-05", 1200), invoice("i2", "2026-01-06", 50))
    first = run(house)
    house.should(invoice("i1", "2026-01-05", 900), invoice("i2", "2026-01-06", 50))
    second = run(house)
    assert (second.entries_booked, second.entries_reversed) == (1, 1)
    assert balances(house) == {("2026-01", "accounts_receivable"): 950, ("2026-01", "deferred_revenue"): -950}
    links = house.sql(
        f"select distinct sign, reverses_booking_id from "
        f"read_parquet('{house.journal.lines}/{second.booking_id}.parquet')"
    )
    assert sorted(links, key=str) == [(-1, first.booking_id), (1, None)]
    assert run(house).booking_id is None


def test_content_that_comes_back_gets_a_new_generation_and_new_ids(house):
    there, gone = invoice("i1", "2026-01-05", 1200), invoice("i2", "2026-01-06", 50)
    for lines in ([there, gone], [gone], [there, gone], [gone], [there, gone]):
        house.should(*lines)
        assert run(house).booking_id is not None
    assert balances(house)["2026-01", "accounts_receivable"] == 1250
    rows = house.sql(
        f"select count(*), count(distinct booked_line_id), max(generation) from "
        f"read_parquet('{house.journal.lines}/*.parquet')"
    )
    assert rows == [(2 + 2 + 4 * 2, 12, 3)]


def test_line_ids_do_not_depend_on_when_or_where(tmp_path):
    ids = []
    for name in ("a", "b"):
        house = House.build(tmp_path / name)
        house.should(*[invoice(f"i{n}", "2026-01-05", n) for n in ((1, 2, 3) if name == "a" else (3, 1, 2))])
        ids.append((run(house).booking_id, house.booked("booked_line_id")))
    assert ids[0] == ids[1]


def test_a_closed_period_of_weeks_moves_to_the_first_day_of_the_next_one(house):
    file = house.state / "entities.parquet"
    rows = [row | {"calendar": "4-4-5"} for row in pq.read_table(file).to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows), file)
    house.should(invoice("i1", "2026-01-05", 1200))
    run(house)
    close(house, "2026-01", "2026-02")
    house.should(invoice("i1", "2026-01-05", 1200), invoice("late", "2026-01-10", 7))
    run(house)
    assert house.booked("distinct posting_date") == [(dt.date(2026, 1, 5),), (dt.date(2026, 2, 23),)]
    export_state(house.store, house.state)
    (march,) = [r for r in pq.read_table(house.state / "periods.parquet").to_pylist() if r["period"] == "2026-03"]
    assert (march["start_date"], march["end_date_exclusive"]) == (dt.date(2026, 2, 23), dt.date(2026, 3, 30))


def test_closed_periods_are_never_touched(house):
    house.should(invoice("i1", "2026-01-05", 1200))
    run(house)
    close(house, "2026-01", "2026-02")
    house.should(invoice("i1", "2026-01-05", 900), invoice("late", "2026-02-10", 7))
    report = run(house)
    assert report.prior_period_lines == 6
    rows = house.sql(
        "select distinct posting_period, posting_date::varchar, prior_period, period "
        f"from read_parquet('{house.journal.lines}/{report.booking_id}.parquet') order by all"
    )
    assert rows == [("2026-03", "2026-03-01", True, "2026-01"), ("2026-03", "2026-03-01", True, "2026-02")]
    assert balances(house)["2026-01", "accounts_receivable"] == 1200
    assert run(house).booking_id is None


def test_policy_reject_holds_the_whole_entry_with_an_owner(tmp_path):
    house = House.build(tmp_path, policy={"US": {"closed_period_policy": "reject"}})
    house.should(invoice("i1", "2026-01-05", 1200))
    run(house)
    close(house, "2026-01")
    house.should(invoice("i1", "2026-01-05", 900), invoice("i2", "2026-02-05", 5))
    report = run(house)
    assert report.held == {"closed_period": 1}
    assert report.entries_booked == 1
    (item,) = exceptions.all_exceptions(house.store, open_only=True)
    assert (item["category"], item["owner_team"], item["source_reference"], item["amount"]) == (
        "closed_period",
        "Controller",
        "i1",
        900,
    )
    assert balances(house)["2026-01", "accounts_receivable"] == 1200


def test_material_prior_period_document_waits_until_accepted(tmp_path):
    house = House.build(tmp_path, policy={"US": {"prior_period_materiality": "1000"}})
    house.should(invoice("small", "2026-01-05", 1))
    run(house)
    close(house, "2026-01")
    house.should(
        invoice("small", "2026-01-05", 1), invoice("big", "2026-01-07", 1001), invoice("edge", "2026-01-08", 1000)
    )
    report = run(house)
    assert report.held == {"closed_period_material": 1}
    (item,) = exceptions.all_exceptions(house.store, open_only=True)
    assert item["source_reference"] == "big"
    with pytest.raises(IntegrityError, match="accepted by an approval only"):
        exceptions.set_status(house.store, item["exception_id"], "Accepted", actor="controller", note="in February")
    ben = Approver(name="ben", entity="US", currency="USD", up_to=1001)
    approvals.adopt(house.store, Approvals(approvers=[ben]), actor="admin")
    (one,) = approvals.waiting(house.store)
    assert (one.amount, one.maker, one.limit) == (1001, "system", None)
    approvals.decide(house.store, one.id, "rejected", checker="ben", reason="ask sales first", os_login="x")
    assert (run(house).held, approvals.waiting(house.store)) == ({"closed_period_material": 1}, [])
    ben = ben.model_copy(update={"up_to": 1000})
    assert approvals.adopt(house.store, Approvals(approvers=[ben]), actor="admin")
    assert not approvals.adopt(house.store, Approvals(approvers=[ben]), actor="admin")
    with pytest.raises(StoreError, match="may approve up to 1000 USD"):
        approvals.decide(house.store, one.id, "approved", checker="ben", reason="confirmed", os_login="x")
    approvals.adopt(house.store, Approvals(approvers=[ben.model_copy(update={"up_to": 1001})]), actor="admin")
    approvals.decide(house.store, one.id, "approved", checker="ben", reason="confirmed", os_login="x")
    assert run(house).lines == 2
    assert exceptions.all_exceptions(house.store, open_only=True) == []


def test_an_unbalanced_entry_harms_only_itself(house):
    bad = entry("bad", "2026-01-05", ("accounts_receivable", 10), ("deferred_revenue", -9))
    house.should(bad, invoice("good", "2026-01-05", 10))
    report = run(house)
    assert report.held == {"unbalanced_entry": 1}
    assert report.lines == 2
    house.should(invoice("bad", "2026-01-05", 10), invoice("good", "2026-01-05", 10))
    assert run(house).held == {}
    (item,) = exceptions.all_exceptions(house.store)
    assert (item["status"], item["resolution"]) == ("Resolved", "cleared")


def test_an_earlier_cut_off_does_not_reverse_later_entries(house):
    house.should(invoice("i1", "2026-01-05", 10), invoice("i2", "2026-03-05", 20))
    run(house)
    house.should(invoice("i1", "2026-01-05", 10))
    assert run(house, as_of=dt.date(2026, 1, 31)).booking_id is None


def test_an_empty_subledger_is_a_broken_build_not_a_correction(house):
    house.should(invoice("i1", "2026-01-05", 10))
    run(house)
    house.should()
    with pytest.raises(StoreError, match="no line of US"):
        run(house)


def test_an_orphan_is_removed_and_the_same_lines_are_booked_once(house):
    house.should(invoice("i1", "2026-01-05", 10))
    house.journal.prepare()
    orphan = house.journal.lines / "b0123.parquet"
    orphan.write_bytes((house.journal.lines / "_empty.parquet").read_bytes())
    report = run(house)
    assert report.orphans_removed == ["b0123.parquet"]
    assert not orphan.exists()
    assert len(house.booked()) == 2


def test_a_lost_journal_file_stops_everything(house):
    house.should(invoice("i1", "2026-01-05", 10))
    report = run(house)
    (house.journal.lines / f"{report.booking_id}.parquet").unlink()
    with pytest.raises(StoreError, match="restore it from backup"):
        run(house)


def test_a_second_writer_waits_its_turn(house):
    house.should(invoice("i1", "2026-01-05", 10))
    with leases.held(house.store, leases.JOURNAL), pytest.raises(LeaseHeld):
        run(house, lease_wait_seconds=0)
    assert run(house).lines == 2


def test_an_open_connection_can_be_handed_over(house):
    house.should(invoice("i1", "2026-01-05", 10))
    with duckdb.connect(str(house.warehouse)) as connection:
        assert book(house.store, house.journal, connection, house.state, AS_OF).lines == 2
        assert connection.execute("select count(*) from subledger.journal_lines").fetchall() == [(2,)]


def test_the_subledgers_own_mark_of_a_late_entry_stays_on_the_booked_line(house):
    house.should(invoice("late", "2026-02-01", 10), invoice("normal", "2026-02-01", 20))
    with duckdb.connect(str(house.warehouse)) as connection:
        connection.execute("alter table subledger.journal_lines add column prior_period boolean")
        connection.execute("update subledger.journal_lines set prior_period = entry_key = 'late'")
    assert run(house).prior_period_lines == 2
    assert house.booked("distinct entry_key, prior_period") == [("late", True), ("normal", False)]
    with duckdb.connect(str(house.warehouse)) as connection:
        connection.execute("delete from subledger.journal_lines where entry_key = 'late'")
    assert run(house).prior_period_lines == 2
