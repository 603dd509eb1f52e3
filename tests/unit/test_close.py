"""A period locks only when every gate is green, and a locked period cannot change."""

from __future__ import annotations

import datetime as dt

import duckdb
import pyarrow as pa
import pytest
from fake_erp import FakeErp
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from store_kit import FakeClock, House, entry, invoice, recognition

from revenue_assets.close.close import CloseReport, close_period
from revenue_assets.close.exceptions import sync_exceptions
from revenue_assets.domain.periods import PeriodError
from revenue_assets.posting.batches import cut
from revenue_assets.posting.booking import book
from revenue_assets.posting.outbox import drain
from revenue_assets.state import write_parquet
from revenue_assets.store import audit, exceptions, periods

AS_OF = dt.date(2026, 3, 31)
STATEMENT = """recon_id varchar, entity_id varchar, period varchar, currency varchar, left_amount bigint,
    right_amount bigint,
    difference bigint, explained bigint, unexplained bigint, item_count bigint, matched_count bigint"""
ITEM = """recon_id varchar, entity_id varchar, period varchar, currency varchar, item_key varchar, left_amount bigint,
    right_amount bigint, difference bigint, variance_class varchar, left_reference varchar, right_reference varchar,
    reference varchar, customer_id varchar, correlation_id varchar, explanation varchar, expected_clear_period varchar,
    erp_document varchar, gates boolean"""

EXCEPTION = """exception_id varchar, origin varchar, recon_id varchar, category varchar, entity_id varchar,
    reference varchar,
    period varchar, currency varchar, amount bigint, blocks_close boolean, severity varchar, owner_team varchar,
    customer_id varchar, correlation_id varchar, source_event_id varchar, idempotency_key varchar, erp_document varchar,
    error_message varchar, next_action varchar"""


@pytest.fixture
def house(tmp_path) -> House:
    house = House.build(tmp_path)
    house.should(
        invoice("i1", "2026-01-05", 100), recognition("r1", "2026-01-31", 10), recognition("r2", "2026-02-28", 10)
    )
    masters(house)
    reconcile(house)
    post(house)
    return house


def masters(house: House, owner: str | None = "RevOps", floor: int = 5) -> None:
    schema = pa.schema(
        [
            ("recon_id", pa.string()),
            ("owner_team", pa.string()),
            ("materiality_floor", pa.int64()),
            ("gates_close", pa.bool_()),
        ]
    )
    rows = [
        {"recon_id": "R1", "owner_team": owner, "materiality_floor": floor, "gates_close": True},
        {"recon_id": "R2", "owner_team": "Billing ops", "materiality_floor": floor, "gates_close": False},
    ]
    write_parquet(house.state / "recon_policy.parquet", schema, rows)
    schema = pa.schema([("variance_class", pa.string()), ("owner_team", pa.string())])
    write_parquet(house.state / "class_owner.parquet", schema, [{"variance_class": "tax", "owner_team": "Tax"}])


def reconcile(
    house: House, *variances: tuple[str, str, str, int], statements: tuple[str, ...] = ("2026-01", "2026-02")
) -> None:
    """R1 of US: variances are (period, class, reference, difference)."""
    with duckdb.connect(str(house.warehouse)) as connection:
        connection.execute(
            f"create schema if not exists reconciliation; create or replace table reconciliation.rec_statements "
            f"({STATEMENT}); "
            f"create or replace table reconciliation.rec_items ({ITEM}); "
            "create or replace table reconciliation.rec_policy as select 'US' as entity_id, *, "
            f"null::varchar as owner_json from read_parquet('{house.state}/recon_policy.parquet'); "
            f"create or replace table reconciliation.rec_exceptions ({EXCEPTION})"
        )
        for period in statements:
            mine = [v for v in variances if v[0] == period]
            difference = sum(v[3] for v in mine)
            unexplained = sum(v[3] for v in mine if v[1] == "unexplained")
            connection.execute(
                "insert into reconciliation.rec_statements values ('R1', 'US', ?, 'USD', ?, 0, ?, ?, ?, ?, 0)",
                [period, difference, difference, difference - unexplained, unexplained, len(mine)],
            )
        for period, kind, reference, difference in variances:
            connection.execute(
                "insert into reconciliation.rec_items values ('R1', 'US', ?, 'USD', ?, ?, 0, ?, ?, ?, null, ?, "
                "null, 'opp', 'because', null, null, ?)",
                [
                    period,
                    reference,
                    difference,
                    difference,
                    kind,
                    reference,
                    reference.split("/")[0],
                    kind == "unexplained",
                ],
            )
            connection.execute(
                "insert into reconciliation.rec_exceptions values (?, 'reconciliation', 'R1', ?, 'US', ?, ?, "
                "'USD', ?, ?, "
                "'warning', 'RevOps', null, 'opp', null, null, null, 'because', 'look')",
                [
                    exceptions.exception_id("R1", kind, "US", reference), kind, reference, period, difference,
                    kind == "unexplained",
                ],
            )  # fmt: skip


def post(house: House, *, deliver: bool = True) -> None:
    book(house.store, house.journal, house.warehouse, house.state, AS_OF)
    cut(house.store, house.journal, house.state, AS_OF, tenant="t")
    if deliver:
        clock = FakeClock()
        drain(house.store, {"US Inc": FakeErp(clock.now)}, clock=clock)


def close(house: House, period: str = "2026-01", *, as_of: dt.date = AS_OF) -> CloseReport:
    return close_period(
        house.store, house.journal, house.warehouse, house.state, period, ["US"], "controller", as_of=as_of
    )


def red(report: CloseReport) -> set[str]:
    return {gate.name for gate in report.red}


def test_green_gates_lock_the_period_with_a_snapshot(house):
    report = close(house)
    assert (report.status, report.closed, red(report)) == ("closed", True, set())
    (row,) = [p for p in periods.all_periods(house.store) if p["period"] == "2026-01"]
    assert (row["status"], row["snapshot_hash"], row["changed_by"]) == (
        "hard_closed",
        report.snapshots["US"],
        "controller",
    )
    assert [h["new_status"] for h in periods.history(house.store, "US", "2026-01")] == ["hard_closed"]
    assert audit.verify(house.store)[1] is None


def test_the_month_after_the_closed_one_is_open_at_once(house):
    for period, after in (("2026-01", "2026-02"), ("2026-02", "2026-03"), ("2026-03", "2026-04")):
        reconcile(house, statements=("2026-01", "2026-02", "2026-03"))
        assert close(house, period).closed
        states = {p["period"]: p["status"] for p in periods.all_periods(house.store) if p["entity_id"] == "US"}
        assert (states[period], states[after]) == ("hard_closed", "open")
    before = periods.all_periods(house.store)
    assert close(house, "2026-03").status == "unchanged"
    assert periods.all_periods(house.store) == before


def test_closing_again_is_a_no_op_and_says_so(house):
    first = close(house)
    again = close(house)
    assert (again.status, again.snapshots) == ("unchanged", first.snapshots)
    assert len(periods.history(house.store, "US", "2026-01")) == 1


def test_rules_of_another_entity_leave_a_closed_period_as_it_was(house):
    """A snapshot names the rules that booked lines were computed with, not those that are in place today."""
    first = close(house)
    house.write_masters(policy={"UK": {"recognition": "point_in_time"}})
    assert (close(house).status, close(house).snapshots) == ("unchanged", first.snapshots)


def test_a_closed_period_whose_books_differ_now_is_an_error_that_names_the_part(house):
    close(house)
    reconcile(house, ("2026-01", "amount", "opp-9", 3))
    report = close(house)
    assert (report.status, report.closed) == ("changed", False)
    assert "open variances" in report.sentence()
    assert "trial balance" not in report.sentence()


def test_each_gate_turns_red_on_its_own_fault(house):
    assert red(close(house, as_of=dt.date(2026, 1, 30))) >= {"period_is_over"}
    assert red(close(house, "2026-02")) == {"previous_period_closed"}
    house.should(invoice("i1", "2026-01-05", 100), recognition("r1", "2026-01-31", 10), invoice("i2", "2026-01-06", 1))
    assert red(close(house)) == {"journal_is_booked"}
    book(house.store, house.journal, house.warehouse, house.state, AS_OF)
    assert red(close(house)) == {"lines_are_batched"}
    post(house, deliver=False)
    assert red(close(house)) == {"batches_are_verified"}
    post(house)
    assert close(house).closed


def test_rules_whose_text_is_not_stored_block(tmp_path):
    """Every journal names its rules: one that nobody could show is not closed over."""
    house = House.build(tmp_path)
    house.should(invoice("i1", "2026-01-05", 100, policy="f" * 64), recognition("r1", "2026-01-31", 10))
    masters(house)
    reconcile(house)
    post(house)
    report = close(house)
    assert red(report) == {"rules_are_on_file"}
    assert f"the text of 1 is not stored: {'f' * 64}." in report.sentence()


def test_suspense_blocks(house):
    lines = entry("s", "2026-01-09", ("suspense", 4), ("cash", -4))
    house.should(
        invoice("i1", "2026-01-05", 100),
        recognition("r1", "2026-01-31", 10),
        recognition("r2", "2026-02-28", 10),
        lines,
    )
    post(house)
    report = close(house)
    assert red(report) == {"suspense_is_zero"}
    assert "4 USD" in report.sentence()


def test_missing_statement_blocks(house):
    reconcile(house, statements=("2026-02",))
    assert red(close(house)) == {"reconciliations_ran"}
    with duckdb.connect(str(house.warehouse)) as connection:
        connection.execute("drop table reconciliation.rec_statements")
    assert red(close(house)) == {"reconciliations_ran"}


@pytest.mark.parametrize(
    ("kind", "amount", "expected"),
    [
        ("unexplained", 5, {"variances_are_explained"}),
        ("unexplained", 4, set()),
        ("unexplained", -5, {"variances_are_explained"}),
        ("unexplained", -4, set()),
        ("missing_right", 5000, set()),
    ],
)
def test_only_what_nobody_explains_above_materiality_blocks(house, kind, amount, expected):
    reconcile(house, ("2026-01", kind, "opp-1", amount))
    assert red(close(house)) == expected


def test_policy_of_the_entity_sets_materiality_and_owner(house):
    """`variance_materiality` and `recon_owner` as rec_policy resolved them, not the company-wide file."""
    reconcile(house, ("2026-01", "unexplained", "opp-1", 99))
    assert [g.owner for g in close(house).red] == ["RevOps"]
    with duckdb.connect(str(house.warehouse)) as connection:
        connection.execute('update reconciliation.rec_policy set owner_json = \'{"unexplained": "Controller US"}\'')
    assert [g.owner for g in close(house).red] == ["Controller US"]
    with duckdb.connect(str(house.warehouse)) as connection:
        connection.execute("update reconciliation.rec_policy set materiality_floor = 100")
    assert close(house).closed


def test_an_accepted_unexplained_variance_no_longer_blocks(house):
    reconcile(house, ("2026-01", "unexplained", "opp-1", 60))
    sync_exceptions(house.store, house.warehouse, house.state)
    (item,) = exceptions.all_exceptions(house.store, open_only=True)
    assert (item["owner_team"], item["blocks_close"], item["amount"]) == ("RevOps", True, 60)
    exceptions.set_status(
        house.store, item["exception_id"], "Accepted", actor="controller", note="immaterial to the group"
    )
    assert close(house).closed


@pytest.mark.parametrize(
    ("setting", "gates"),
    [
        ({"posting_mode": "off"}, set()),
        ({"posting_mode": "shadow"}, set()),
        ({"posting_kind": "deferred", "owner": "AR", "reason": "r"}, {"lines_are_batched", "no_blocking_exceptions"}),
    ],
)
def test_what_is_not_ours_keeps_no_period_open_and_a_deferred_item_does(house, setting, gates):
    house.write_posting(posting=[{"entity": "US", "event_class": "invoice.posted", "set": setting}])
    more = invoice("i9", "2026-01-06", 1)
    house.should(invoice("i1", "2026-01-05", 100), recognition("r1", "2026-01-31", 10), more)
    post(house)
    report = close(house)
    assert red(report) == gates
    if not gates:
        assert f"Not posted by policy: 2 {setting['posting_mode']}." in str(report)


def test_a_variance_without_owner_blocks(house):
    masters(house, owner=None)
    reconcile(house, ("2026-01", "amount", "opp-1", 60))
    assert red(close(house)) == {"variances_have_owners"}
    reconcile(house, ("2026-01", "tax", "opp-1", 60))
    assert close(house).closed


def test_blocking_exceptions_name_their_owner(house):
    house.write_masters(accounts={"accounts_receivable": "1", "deferred_revenue": "2"})
    masters(house)
    house.should(
        invoice("i1", "2026-01-05", 100),
        recognition("r1", "2026-01-31", 10),
        recognition("r2", "2026-02-28", 10),
        entry("t", "2026-01-09", ("cash", 4), ("accounts_receivable", -4)),
    )
    post(house)
    report = close(house)
    assert red(report) == {"lines_are_batched", "no_blocking_exceptions"}
    assert "Revenue accounting" in report.sentence()
    assert "RED" in report.markdown()


def test_periods_close_in_order_and_the_second_follows_the_first(house):
    assert close(house).closed
    assert close(house, "2026-02").closed


def test_late_entries_go_to_the_first_open_period_and_leave_the_closed_one_alone(house):
    close(house)
    house.should(
        invoice("i1", "2026-01-05", 90), recognition("r1", "2026-01-31", 10), recognition("r2", "2026-02-28", 10)
    )
    post(house)
    assert close(house).status == "unchanged"
    assert house.sql(
        f"select sum(amount_fc)::bigint from read_parquet('{house.journal.lines}/*.parquet') where "
        f"posting_period = '2026-02' and "
        "account_role = 'accounts_receivable' and prior_period"
    ) == [(-10,)]


def test_the_database_refuses_late_writes_into_a_closed_period(house):
    close(house)
    for statement in (
        "insert into booking_periods select booking_id, entity_id, book, period, 1, 0, 0 from booking_periods "
        "where period = '2026-01' limit 1",
        "insert into posting_batches select * from posting_batches where period = '2026-01' limit 1",
    ):
        with pytest.raises(IntegrityError, match="hard closed"), house.store.write() as connection:
            connection.execute(text(statement))
    for statement, message in (
        ("update periods set status = 'open' where period = '2026-01'", "together with its line"),
        ("delete from periods", "keeps its rows"),
        (
            "insert into period_history (entity_id, book, period, old_status, new_status, at, actor) "
            "values ('US', 'main', '2026-01', 'hard_closed', 'open', '2026-01-01', 'me')",
            "reopening",
        ),
    ):
        with pytest.raises(IntegrityError, match=message), house.store.write() as connection:
            connection.execute(text(statement))


def test_reopening_needs_a_reason_a_second_person_and_open_later_periods(house):
    close(house)
    close(house, "2026-02")
    how = {"actor": "accountant", "approver": "controller", "reason": "wrong rate"}
    with pytest.raises(PeriodError, match="while 2026-02 is closed"):
        periods.reopen(house.store, "US", "2026-01", **how)
    with pytest.raises(PeriodError, match="second person"):
        periods.reopen(house.store, "US", "2026-02", **how | {"approver": "accountant"})
    with pytest.raises(PeriodError, match="reason"):
        periods.reopen(house.store, "US", "2026-02", **how | {"reason": " "})
    periods.reopen(house.store, "US", "2026-02", **how)
    assert close(house, "2026-02").status == "closed"
    assert [h["approver"] for h in periods.history(house.store, "US", "2026-02")] == [None, "controller", None]


def test_exceptions_keep_their_identity_and_clear_by_themselves(house):
    reconcile(house, ("2026-01", "amount", "opp-1", 60), ("2026-01", "timing_in_transit", "po-1", 9))
    first = sync_exceptions(house.store, house.warehouse, house.state)["reconciliation"]
    assert (first.opened, first.open) == (2, 2)
    before = {e["exception_id"]: e for e in exceptions.all_exceptions(house.store)}
    assert exceptions.exception_id("R1", "amount", "US", "opp-1") in before
    reconcile(house, ("2026-01", "amount", "opp-1", 70))
    again = sync_exceptions(house.store, house.warehouse, house.state)["reconciliation"]
    assert (again.opened, again.cleared, again.open) == (0, 1, 1)
    reconcile(house)
    assert sync_exceptions(house.store, house.warehouse, house.state)["reconciliation"].cleared == 1
    reconcile(house, ("2026-02", "amount", "opp-1", 70))
    assert sync_exceptions(house.store, house.warehouse, house.state)["reconciliation"].reopened == 1
    (item,) = exceptions.all_exceptions(house.store, open_only=True)
    assert item["first_seen_at"] == before[item["exception_id"]]["first_seen_at"]
    assert (item["amount"], item["reopened"], item["owner_team"]) == (70, 1, "RevOps")


def test_without_the_relation_nothing_is_cleared(house):
    reconcile(house, ("2026-01", "amount", "opp-1", 60))
    sync_exceptions(house.store, house.warehouse, house.state)
    with duckdb.connect(str(house.warehouse)) as connection:
        connection.execute("drop table reconciliation.rec_exceptions")
    assert sync_exceptions(house.store, house.warehouse, house.state) == {}
    assert len(exceptions.all_exceptions(house.store, open_only=True)) == 1


def test_two_refused_events_of_one_subject_are_two_exceptions_with_an_owner(house):
    with duckdb.connect(str(house.warehouse)) as connection:
        for key in ("k1", "k2"):
            connection.execute(
                "insert into reconciliation.rec_exceptions values (?, 'events', null, 'schema_invalid', 'US', "
                "'invoice in_1', "
                "'2026-01', null, null, true, 'error', null, null, null, 'ev', null, null, 'no amount', 'correct it')",
                [key],
            )
    assert sync_exceptions(house.store, house.warehouse, house.state)["events"].opened == 2
    report = close(house)
    assert red(report) == {"no_blocking_exceptions"}
    assert "2 open schema invalid exceptions" in report.sentence()
    assert "Data platform" in report.sentence()
