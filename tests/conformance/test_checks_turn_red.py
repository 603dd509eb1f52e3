"""Every blocking check on the subledger can turn red: one row of a build is changed, and its check must find it.

The change happens in a transaction that is rolled back, so that one build serves all.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import duckdb
import pytest
from compiled import BOOKED_CHECKS, Compiled
from open_cases import Built

from revenue_assets.conformance.cases import horizon


def one(table: str, change: str, condition: str = "true") -> str:
    """Changes the first row of a table that meets a condition."""
    return f"update {table} set {change} where rowid = (select min(rowid) from {table} where {condition})"


def gone(table: str, condition: str = "true") -> str:
    """Takes the first such row away."""
    return f"delete from {table} where rowid = (select min(rowid) from {table} where {condition})"


LINES = "subledger.journal_lines"
SCHEDULE = "subledger.document_schedule"
DELIVERIES = "canonical.event_deliveries"  # what canonical.events is a view of
CLOSED_ITEM = """(entity_id, open_item) = (
    select (entity_id, open_item) from subledger.journal_lines
    where open_item is not null and event_type not like 'fx.%' and account_role = 'accounts_receivable'
        and currency <> functional_currency
    group by entity_id, account_role, currency, open_item having sum(amount_tc) = 0
    order by entity_id, open_item limit 1
) and account_role = 'accounts_receivable' and event_type not like 'fx.%'"""
RECOGNISED = "event_type = 'revenue.recognised' and document_type = 'invoice'"
PRICED = """(entity_id, document_id, document_line_id) in (
    select (entity_id, document_id, line_id) from subledger.document_lines
    where treatment = 'revenue' and pending_charge_id is null
)"""
SHARED = "account_role = 'intercompany_payable' and event_type = 'revenue.shared'"
ON_CONTRACT = "open_item like 'deferred_revenue|contract %' and event_type = 'invoice.posted'"
MUTATIONS = {
    "assert_books_sum_to_nil": [one(LINES, "amount_tc = amount_tc + 1"), one(LINES, "amount_fc = amount_fc - 1")],
    "assert_contract_balances_tie": [
        one("subledger.contract_balances", "liability = liability + 1"),
        one("subledger.contract_balances", "asset = asset + 1"),
        one("subledger.contract_balances", "rpo = rpo + 1"),
    ],
    "assert_contract_positions_are_billed_less_recognised": [
        one(LINES, "amount_tc = amount_tc + 1", ON_CONTRACT), gone("subledger.contract_schedule"),
    ],
    "assert_contracts_show_one_side": [
        f"""insert into {LINES} select * replace ('contract_asset' as account_role, 1 as amount_tc,
            'contract_asset' || substring(open_item, 17) as open_item) from {LINES} where {ON_CONTRACT} limit 1""",
    ],
    "assert_deferred_is_the_unrecognised_rest": [
        one(LINES, "amount_tc = amount_tc + 1", f"account_role = 'deferred_revenue' and {RECOGNISED}"),
    ],
    "assert_deferred_revenue_makes_no_fx": [
        one(LINES, "event_type = 'fx.revalued'", "account_role = 'deferred_revenue'"),
        one(LINES, "account_role = 'fx_loss'", "event_type = 'revenue.recognised'"),
    ],
    "assert_entries_balance": [one(LINES, "amount_tc = amount_tc + 1"), one(LINES, "amount_fc = amount_fc + 1")],
    "assert_entries_in_one_entity": [
        one(LINES, "entity_id = 'elsewhere'"), one(LINES, "accounting_date = accounting_date + 1"),
    ],
    "assert_functional_lines_keep_their_amount": [
        one(LINES, "amount_fc = amount_fc + 1", "currency = functional_currency and account_role = 'revenue'"),
    ],
    "assert_intercompany_pairs_mirror": [gone(LINES, SHARED), one(LINES, "amount_tc = amount_tc * 2", SHARED)],
    "assert_lines_earn_their_price": [
        one(LINES, "amount_tc = amount_tc - 1", f"account_role = 'revenue' and {RECOGNISED} and {PRICED}"),
        gone(LINES, "account_role = 'revenue' and event_type = 'payment.settled'"),
    ],
    "assert_lines_trace_to_one_event": [
        one(LINES, "event_key = 'nobody'"), one(LINES, "policy_hash = null"),
        f"""insert into {DELIVERIES} select * from {DELIVERIES}
            where verdict = 'accepted' and event_key in (select event_key from {LINES}) limit 1""",
        f"update {DELIVERIES} set vendor_record = null",
    ],
    "assert_nothing_posts_into_a_closed_period": [
        f"""update {LINES} set period = closed.period
            from canonical.events as events, subledger.closed_periods as closed
            where {LINES}.event_key = events.event_key and events.entity_id = closed.entity_id
                and {LINES}.entity_id = events.entity_id and events.recorded_time >= closed.closed_from
                and events.recorded_time < closed.closed_to and {LINES}.event_type not like 'fx.%'""",
    ],
    "assert_reporting_balances_sum_to_nil": [
        one("subledger.reporting_balances", "closing_rc = closing_rc + 1", "closing_rc is not null"),
        one("subledger.reporting_balances", "closing_fc = closing_fc + 1"),
    ],
    "assert_revaluations_reverse": [
        one(LINES, "amount_fc = amount_fc + 1", "event_type = 'fx.revalued' and account_role = 'accounts_receivable'"),
        gone(LINES, "event_type = 'fx.revaluation_reversed' and account_role not in ('fx_gain', 'fx_loss')"),
    ],
    "assert_revenue_shares_mirror": [gone(LINES, SHARED)],
    "assert_revenue_stays_within_the_price": [
        one(SCHEDULE, "amount = amount * 100", "treatment = 'revenue' and amount > 0"),
        one(SCHEDULE, "amount = -amount * 100", "treatment = 'revenue' and amount > 0"),
    ],
    "assert_schedules_of_obligations_sum_to_the_price": [one("subledger.obligation_parts", "amount = amount + 1")],
    "assert_schedules_sum_to_the_line": [
        one(SCHEDULE, "amount = amount + 1", "treatment = 'revenue'"),
        gone(SCHEDULE, "treatment = 'revenue' and amount <> 0"),
    ],
    "assert_subledger_items_close_in_both_currencies": [one(LINES, "amount_fc = amount_fc + 1", CLOSED_ITEM)],
    "assert_subledger_rollforwards_foot": [
        one("subledger.rollforwards", "closing = closing + 1"), one("subledger.rollforwards", "added = added - 1"),
    ],
    "assert_summaries_partition_the_journal": [
        gone(LINES), one("subledger.posting_summaries", "member_count = member_count + 1"),
        one("subledger.posting_summaries", "debit = debit + 1"),
    ],
    "assert_tax_credited_within_tax_charged": [
        one("subledger.line_effects", "net_left = -1, eff_net = 2", "kind = 'credit'"),
        one("subledger.line_effects", "tax_left = -1, eff_tax = 2", "kind = 'credit'"),
    ],
}  # fmt: skip
# Turned red where their data is: with another calendar below; with an ERP that runs schedules, in test_erp_schedules.
ELSEWHERE = {"assert_calendars_are_known_to_the_build", "assert_erp_schedules_are_the_recognition"}
TRIALS = [(name, number) for name, changes in MUTATIONS.items() for number in range(len(changes))]


@pytest.fixture(scope="module")
def mutable(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy of the build of all cases, in which rows may be changed."""
    file = tmp_path_factory.mktemp("mutable") / "revenue.duckdb"
    shutil.copyfile(built.warehouse, file)
    with duckdb.connect(str(file)) as connection:
        yield connection


def findings(connection: duckdb.DuckDBPyConnection, sql: str, change: str = "select 1") -> list[tuple]:
    connection.execute("begin")
    try:
        connection.execute(change)
        return connection.execute(sql).fetchall()
    finally:
        connection.execute("rollback")


@pytest.mark.parametrize(("name", "number"), TRIALS, ids=[f"{name}-{number}" for name, number in TRIALS])
def test_a_changed_row_is_found(
    built: Built, compiled: Compiled, mutable: duckdb.DuckDBPyConnection, name: str, number: int
) -> None:
    sql = compiled.check(name, built.work_dir, horizon(built.cases))
    assert findings(mutable, sql) == []
    assert findings(mutable, sql, MUTATIONS[name][number]), MUTATIONS[name][number]


def test_every_key_is_guarded(built: Built, compiled: Compiled, mutable: duckdb.DuckDBPyConnection) -> None:
    """Each table with a key: its first row once more turns the check of the key red."""
    tried = 0
    for schema, table, _ in compiled.models:
        prefixes = (f"subledger_unique_key_{table}_", f"unique_{table}_")
        names = [name for name in compiled.checks if name.startswith(prefixes)]
        if not names or not mutable.execute(f'select count(*) from "{schema}"."{table}"').fetchall()[0][0]:
            continue
        stored, first = (
            (DELIVERIES, "verdict = 'accepted'") if table == "events" else (f"{schema}.{table}", "rowid = 0")
        )
        again = f"insert into {stored} select * from {stored} where {first} limit 1"
        for name in names:
            assert findings(mutable, compiled.check(name, built.work_dir, horizon(built.cases)), again), name
            tried += 1
    assert tried >= 35


def test_no_identity_is_without_a_mutation(compiled: Compiled) -> None:
    named = {name for name in compiled.checks if name.startswith("assert_")}
    assert named - set(BOOKED_CHECKS) - ELSEWHERE == set(MUTATIONS)


def test_a_calendar_the_build_was_not_told_of_is_found(
    built: Built, compiled: Compiled, mutable: duckdb.DuckDBPyConnection
) -> None:
    sql = compiled.check("assert_calendars_are_known_to_the_build", built.work_dir, horizon(built.cases))
    file = f"read_parquet('{built.work_dir}/state/entities.parquet')"
    assert file in sql
    mutable.execute(f"create or replace temp table entities as from {file}")
    sql = sql.replace(file, "entities")
    assert findings(mutable, sql) == []
    assert findings(mutable, sql, "update entities set calendar = case calendar when 'month' then '4-4-5' end")
