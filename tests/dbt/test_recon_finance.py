"""What finance reads: statements that foot, exceptions that keep their identity, roll-forwards, tie-out, trace."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from recon_books import ACCOUNTS, Books, digest
from recon_build import build, run_dbt
from test_recon_classes import cash_faults, healthy, sales_faults

from revenue_assets.checks.reconciliation import CODES, STATEMENT, result_of

ACCEPTED = digest("R1", "missing_right", "US", "opp_lost")
RETURNED = digest("R1", "amount", "US", "opp_price")
GONE = digest("R2", "amount", "US", "in_gone")


def world() -> Books:
    """Faults of sales and cash, one hand-made ERP journal, and an operational store that has seen some of it before."""
    books = healthy()
    books.reopened = ("UK", "2026-08")
    sales_faults(books)
    cash_faults(books)
    books.report_balances()
    books.book_and_post()
    books.manual_move("US", "2026-09-30", "deferred_revenue", "revenue", 400)
    for number, (role, debit, credit) in enumerate(
        (("deferred_revenue", 400, 0), ("revenue", 0, 390), ("fees", 0, 10)), 1
    ):
        books.add("state/shadow_batch_lines", batch_key="shadow", entity_id="US", period="2026-09", line_no=number,
                  event_class="revenue.recognised", account_role=role, account_code=ACCOUNTS[role], currency="USD",
                  functional_currency="USD", amount_tc=debit - credit, debit_fc=debit, credit_fc=credit,
                  member_count=2)  # fmt: skip
    for line, reason in (("nobody-1", "off"), ("nobody-2", "deferred"), ("nobody-3", "off")):
        books.add("state/unposted_lines", booked_line_id=line, entity_id="US", period="2026-09", currency="USD",
                  event_class="invoice.posted", waits=reason, owner_team="AR", explanation=f"Because {reason}.",
                  amount_fc=500)  # fmt: skip
    waiting, move = books.batch("UK", "2026-10", "invoice.posted")
    del books.erp[move["move_id"]]
    waiting |= {"status": "planned", "verified_at": None, "posted_at": None, "erp_document_number": None}
    books.read_back()
    known = {
        "entity_id": "US",
        "period": "2026-08",
        "currency": "USD",
        "owner_team": "RevOps",
        "first_seen_at": "2026-09-02 08:00:00",
        "opened_at": "2026-09-02 08:00:00",
    }
    books.add(
        "state/exceptions",
        exception_id=ACCEPTED,
        recon_id="R1",
        category="missing_right",
        status="Accepted",
        assignee="Ada",
        source_reference="opp_lost",
        amount=36000,
        **known,
    )
    books.add(
        "state/exceptions",
        exception_id=RETURNED,
        recon_id="R1",
        category="amount",
        status="Resolved",
        source_reference="opp_price",
        amount=6000,
        **known,
    )
    books.add(
        "state/exceptions",
        exception_id=GONE,
        recon_id="R2",
        category="amount",
        status="Open",
        source_reference="in_gone",
        amount=70,
        **known,
    )
    books.add(
        "posting_exceptions",
        exception_key="pe1",
        **{"class": "duplicate"},
        entity_id="US",
        subject="ch_a_second",
        event_key="ev1",
        amount=3300,
        currency="USD",
        detail="transaction used before",
        is_resolved=False,
    )
    books.add(
        "posting_exceptions",
        exception_key="pe2",
        **{"class": "unknown_reference"},
        entity_id="US",
        subject="cn_late",
        event_key="ev2",
        amount=1,
        currency="USD",
        detail="waits",
        is_resolved=True,
    )
    books.add(
        "can_fx_rates",
        entity_id="UK",
        from_currency="USD",
        to_currency="GBP",
        rate_date="2026-09-30",
        rate_type="closing",
        rate_e12=800_000_000_000,
    )
    for line in books.journal:
        if line["document_type"] == "invoice":
            books.add(
                "events",
                source="/billing",
                id=line["document_id"],
                event_key=line["event_key"],
                type="invoice.posted",
                entity_id=line["entity_id"],
                subject=line["document_id"],
                vendor_record=f"billing/invoice/{line['document_id']}",
            )
    books.tables["events"] = list({row["event_key"]: row for row in books.tables["events"]}.values())
    return books


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("finance")
    build(home, world()).close()
    return home


@pytest.fixture(scope="module")
def finance(home: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(home / "warehouse" / "revenue.duckdb"), read_only=True) as connection:
        yield connection


def one(connection: duckdb.DuckDBPyConnection, query: str, *parameters: object) -> tuple:
    (row,) = connection.execute(query, parameters).fetchall()
    return row


def test_statement_states_both_sides_in_major_units(finance: duckdb.DuckDBPyConnection) -> None:
    row = one(
        finance,
        "select source_amount, target_amount, variance_amount, explained_amount, unexplained_amount, "
        "recon_status, item_count, "
        "variance_pct, signoff_status, period_status from finance.recon_statement "
        "where recon_code = 'R11' and entity_code = 'US' and period = '2026-09'",
    )
    assert row == (
        Decimal("30.000"),
        Decimal("26.000"),
        Decimal("4.000"),
        Decimal("4.000"),
        Decimal("0.000"),
        "Reconciled with items",
        1,
        "15.38",
        "Not signed",
        "Open",
    )
    types = {
        t
        for (t,) in finance.execute(
            "select distinct data_type from duckdb_columns() where schema_name = 'finance'"
        ).fetchall()
    }
    assert not {"DOUBLE", "FLOAT"} & types
    assert "DECIMAL(38,3)" in types


def test_unexplained_is_material_and_converted_at_the_closing_rate(finance: duckdb.DuckDBPyConnection) -> None:
    # The processor's report agrees with the journal, so the stray transaction's share is unexplained.
    row = one(
        finance,
        "select unexplained_amount, unexplained_group_amount, group_rate, is_material, recon_status, "
        "change_amount, prior_unexplained_amount "
        "from finance.recon_statement where recon_code = 'R9' and entity_code = 'UK' and period = '2026-10'",
    )
    assert row == (
        Decimal("-0.400"),
        Decimal("-0.500"),
        "closing 2026-09-30",
        True,
        "Unreconciled, material",
        Decimal("0.000"),
        Decimal("-0.400"),
    )


def test_the_check_of_a_reconciliation_is_red_where_something_material_is_unexplained(
    finance: duckdb.DuckDBPyConnection,
) -> None:
    """What Dagster shows per reconciliation, over the same statements; each turns red on an unexplained cent."""
    red = set()
    for code in CODES:
        cursor = finance.execute(STATEMENT, [code])
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        assert rows, code
        if not result_of(code, rows).passed:
            red.add(code)
        rows[0] |= {"is_material": True, "unexplained_amount": Decimal("0.010")}
        assert not result_of(code, rows).passed
    assert red == {"R9"}


def test_every_item_has_an_exception_with_an_owner_unless_it_cleared(finance: duckdb.DuckDBPyConnection) -> None:
    without = finance.execute(
        "select distinct i.recon_code, i.category, i.reference, i.cleared_in_period from finance.recon_item as i "
        "anti join finance.exception_queue as e on i.exception_id = e.exception_id"
    ).fetchall()
    assert without == [("R8", "timing_in_transit", "po_astride_2026-08-31", "2026-09")]
    assert finance.execute("select count(*) from finance.exception_queue where owner_team = ''").fetchone() == (0,)


def test_exceptions_keep_identity_and_the_human_side(finance: duckdb.DuckDBPyConnection) -> None:
    def queued(key: str) -> tuple:
        return one(
            finance,
            "select status, assignee, amount, cast(opened_at as varchar), age_days, aging_bucket, resolution "
            "from finance.exception_queue where exception_id = ?",
            key,
        )

    assert queued(ACCEPTED) == ("Accepted", "Ada", Decimal("360.000"), "2026-09-02 08:00:00", 59, "31-60", "cleared")
    assert queued(RETURNED)[:3] == ("Open", "", Decimal("60.000"))
    assert queued(GONE)[0] == "Resolved"
    held_back = digest("", "duplicate", "US", "ch_a_second")
    assert one(
        finance,
        "select recon_code, reference, owner_team from finance.exception_queue where exception_id = ?",
        held_back,
    ) == (
        "",
        "ch_a_second",
        "Data platform",
    )
    assert finance.execute("select count(*) from finance.exception_queue where reference = 'cn_late'").fetchone() == (
        0,
    )


def test_a_shadow_is_compared_with_what_the_erp_holds_from_the_old_process(finance: duckdb.DuckDBPyConnection) -> None:
    """The hand-made journal of 4.00 stands for the old process; ours would split off 0.10 as a fee."""
    found = finance.execute(
        "select account_code, would_be_debit - would_be_credit, erp_debit - erp_credit, difference, comparison "
        "from finance.shadow_comparison where entity_code = 'US' and period = '2026-09' order by all"
    ).fetchall()
    assert sorted(found) == sorted(
        [
            (ACCOUNTS["deferred_revenue"], Decimal("4.000"), Decimal("4.000"), Decimal(0), "Equal"),
            (ACCOUNTS["fees"], Decimal("-0.100"), Decimal(0), Decimal("-0.100"), "Only ours"),
            (ACCOUNTS["revenue"], Decimal("-3.900"), Decimal("-4.000"), Decimal("0.100"), "Different"),
        ]
    )


def test_what_is_not_posted_is_listed_with_reason_and_owner(finance: duckdb.DuckDBPyConnection) -> None:
    rows = finance.execute(
        "select reason, source_lines, amount, owner_team, explanation from finance.unposted order by 1"
    )
    assert rows.fetchall() == [
        ("deferred", 1, Decimal("5.000"), "AR", "Because deferred."),
        ("off", 2, Decimal("10.000"), "AR", "Because off."),
    ]


def test_tie_out_explains_every_role_to_the_cent(finance: duckdb.DuckDBPyConnection) -> None:
    rows = finance.execute(
        "select account_role, subledger, erp, classified, unexplained from finance.tie_out "
        "where entity = 'US' and subledger <> erp"
    ).fetchall()
    assert sorted(rows) == [
        ("deferred_revenue", Decimal("-45.000"), Decimal("-41.000"), Decimal("-4.000"), Decimal("0.000")),
        ("revenue", Decimal("-35.000"), Decimal("-39.000"), Decimal("4.000"), Decimal("0.000")),
    ]
    assert one(finance, "select sum(abs(unexplained)), sum(subledger) from finance.tie_out") == (Decimal(0), Decimal(0))
    waiting = one(
        finance, "select classified from finance.tie_out where entity = 'UK' and account_role = 'accounts_receivable'"
    )
    assert waiting == (Decimal("33.000"),)


def test_clearing_rolls_forward_gross_with_fees_apart(finance: duckdb.DuckDBPyConnection) -> None:
    lines = dict(
        finance.execute(
            "select line_label, amount from finance.rollforward "
            "where rollforward_code = 'CC' and entity_code = 'US' and period = '2026-09' "
            "and (amount <> 0 or line_kind <> 'movement')"
        ).fetchall()
    )
    assert lines == {
        "Opening": Decimal("0.000"),
        "Charges": Decimal("132.000"),
        "Processor fees": Decimal("-4.000"),
        "Refunds": Decimal("-10.000"),
        "Payouts": Decimal("-61.500"),
        "Closing": Decimal("56.500"),
        "Per general ledger": Decimal("56.500"),
        "Difference": Decimal("0.000"),
    }


def test_a_reopened_period_says_so_with_reason_and_approver(finance: duckdb.DuckDBPyConnection) -> None:
    rows = finance.execute(
        "select entity, period, changed_by, approver, reason from finance.period_control where state <> 'Open'"
    ).fetchall()
    assert rows == [("UK", "2026-08", "Ada", "Ben", "late invoice")]
    stated = finance.execute(
        "select distinct entity_code, period from finance.recon_statement where period_status = 'Reopened'"
    ).fetchall()
    assert stated == [("UK", "2026-08")]


def test_detail_query_of_a_rollforward_line_runs_and_foots(finance: duckdb.DuckDBPyConnection) -> None:
    closing, detail = one(
        finance,
        "select amount, detail_query from finance.rollforward where rollforward_code = 'AR' and entity_code = 'US' "
        "and period = '2026-10' and line_kind = 'closing'",
    )
    assert one(finance, f"select sum(functional_amount) from ({detail})") == (closing,)
    assert closing != 0


def test_trace_leads_from_erp_document_to_source_record_and_back(
    home: Path, finance: duckdb.DuckDBPyConnection
) -> None:
    number = one(
        finance,
        "select erp_document from finance.posting_line_trace where document_id = 'in_okUS_2026-08-05' "
        "and event_type = 'invoice.posted' and account_role = 'tax_liability'",
    )[0]
    walk = """
        with recursive reached(kind, id) as (
            select 'erp_document', ?
            union
            select l.{kind}_type, l.{kind}_id from reached as r
            inner join finance.document_links as l on l.{other}_type = r.kind and l.{other}_id = r.id
        )
        select distinct id from reached where kind = ?
    """
    up = finance.execute(walk.format(kind="from", other="to"), [number, "source_record"]).fetchall()
    assert ("billing/invoice/in_okUS_2026-08-05",) in up
    down = finance.execute(
        walk.format(kind="to", other="from").replace("'erp_document', ?", "'source_record', ?"),
        ["billing/invoice/in_okUS_2026-08-05", "erp_document"],
    ).fetchall()
    assert (number,) in down
    unposted = one(
        finance,
        "select distinct status, erp_document from finance.posting_line_trace "
        "where entity_code = 'UK' and period = '2026-10' and event_type = 'invoice.posted'",
    )
    assert unposted == ("planned", "")


BREAKS = {
    "assert_recon_variances_sum": "update reconciliation.rec_statements set explained = explained + 1",
    **{
        f"recon_rows_foot_rec_r{n:02d}_": f"insert into reconciliation.rec_r{n:02d} (recon_id) values ('R{n}')"
        for n in range(1, 18)
    },
    "assert_landing_is_whole": "insert into reconciliation.rec_r17 (recon_id, entity_id, variance_class) "
    "values ('R17', 'US', 'amount')",
    "assert_recon_statement_items_foot": "update finance.recon_item set amount = amount + 1 where recon_code = 'R1'",
    "assert_recon_rollforward_foots": "update finance.rollforward set amount = amount + 1 where line_kind = 'movement'",
    "assert_recon_tie_out_matches_statements": "update finance.tie_out set erp = erp + 1",
    "recon_no_nulls_exception_queue_": "update finance.exception_queue set owner_team = null where recon_code = 'R6'",
    "unique_combination_rec_policy": "insert into reconciliation.rec_policy from reconciliation.rec_policy limit 1",
}


def test_each_check_turns_red_on_its_fault(home: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(home, broken)
    with duckdb.connect(str(broken / "warehouse" / "revenue.duckdb")) as connection:
        for statement in BREAKS.values():
            connection.execute(statement)
    result = run_dbt(broken, "test")
    assert result.returncode == 1
    failed = {
        line.split("Failure in test ")[1].split(" ")[0]
        for line in result.stdout.splitlines()
        if "Failure in test" in line
    }
    assert {name for name in BREAKS if not any(found.startswith(name) for found in failed)} == set()
    assert len(failed) == len(BREAKS), failed
