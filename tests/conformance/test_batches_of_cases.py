"""The worked examples booked and cut for real: batches are what the warehouse plans, and each line is the sum of its
members; the check that says so turns red."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from compiled import Compiled
from open_cases import Built

from revenue_assets.conformance.cases import horizon
from revenue_assets.posting.batches import CutReport, cut
from revenue_assets.posting.booking import book
from revenue_assets.store.engine import Store, open_store
from revenue_assets.store.export import export_state
from revenue_assets.store.ledger import Journal

CHECK = "assert_batch_lines_sum_their_members"
LINE = """
    entity_id, period, account_role, lines.currency, event_class, product_family, lines.debit_fc, lines.credit_fc,
    amount_tc, lines.member_count
"""


@dataclass(frozen=True)
class Cut:
    """The cases' journal of record in `folder`, cut in one go."""

    folder: Path
    store: Store
    report: CutReport


@pytest.fixture(scope="module")
def cases_cut(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Cut:
    folder = tmp_path_factory.mktemp("cut")
    (folder / "store").mkdir()
    store = open_store(f"sqlite:///{folder}/store/operational.sqlite")
    journal, as_of = Journal(folder / "journal"), horizon(built.cases)
    shutil.copytree(built.work_dir / "state", folder / "state")
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        connection.execute(f"""
            copy (
                select distinct entity_id, account_role, null::varchar as product_family, account_role as account_code,
                    account_role as account_name
                from subledger.journal_lines
            ) to '{folder}/state/accounts.parquet' (format parquet)
        """)
    book(store, journal, built.warehouse, folder / "state", as_of)
    report = cut(store, journal, folder / "state", as_of, tenant="cases", max_lines=1_000_000)
    export_state(store, folder / "state")
    return Cut(folder, store, report)


def test_the_cut_is_what_the_warehouse_plans(built: Built, cases_cut: Cut) -> None:
    """One rule of policy section 6 in two places: SQL of the warehouse for worked examples, SQL of the cut for the ERP.

    Batches keep event classes apart whatever the key, and lines of nothing are not booked.
    """
    state = cases_cut.folder / "state"
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        planned = connection.execute(f"""
            select {LINE.replace("amount_tc", "debit - credit")} from subledger.posting_summaries as lines
            where event_class is not null
        """).fetchall()
        cut_lines = connection.execute(f"""
            select {LINE}
            from read_parquet('{state}/posting_batch_lines.parquet') as lines
            inner join read_parquet('{state}/posting_batches.parquet') as batches using (batch_key)
            where entity_id in (select entity_id from subledger.posting_summaries where event_class is not null)
        """).fetchall()
        rules = dict(
            connection.execute(f"""
                select key, count(*) from read_parquet('{state}/policy.parquet')
                where key in ('summary_key', 'net_lines', 'detail_threshold', 'min_line') group by key
            """).fetchall()
        )
    assert cases_cut.report.held_lines == 0
    assert rules.keys() == {"summary_key", "net_lines", "detail_threshold", "min_line"}, "the cases use every key"
    assert len(cut_lines) > 1000
    assert Counter(cut_lines) == Counter(planned)


def test_each_batch_line_is_the_sum_of_its_members_and_the_check_turns_red(
    built: Built, cases_cut: Cut, compiled: Compiled
) -> None:
    sql = compiled.check(CHECK, cases_cut.folder, horizon(built.cases))
    tables = {
        "booked": f"read_parquet('{cases_cut.folder}/journal/lines/*.parquet', union_by_name = true)",
        "members": f"read_parquet('{cases_cut.folder}/journal/members/*.parquet', union_by_name = true)",
        "lines": f"read_parquet('{cases_cut.folder}/state/posting_batch_lines.parquet')",
    }
    with duckdb.connect() as connection:
        for name, reader in tables.items():
            assert reader in sql
            connection.execute(f"create table {name}_table as from {reader}")
            sql = sql.replace(reader, f"{name}_table")
        assert connection.execute(sql).fetchall() == []
        for change in (
            "delete from members_table where rowid = 0",
            "update booked_table set amount_fc = amount_fc + 1 where rowid = 0",
            "update booked_table set amount_tc = amount_tc + 1 where rowid = 0",
            "update lines_table set member_count = member_count + 1 where rowid = 0",
            "update lines_table set debit_fc = debit_fc + 1 where rowid = (select min(rowid) from lines_table)",
        ):
            connection.execute("begin")
            connection.execute(change)
            assert connection.execute(sql).fetchall(), change
            connection.execute("rollback")


def test_every_booked_line_of_the_cases_is_where_its_entry_was_put(
    built: Built, cases_cut: Cut, compiled: Compiled
) -> None:
    """No false alarm over all worked examples; `tests/trials` (P15) turns the check red a thousand ways."""
    sql = compiled.check("assert_booked_lines_keep_their_place", cases_cut.folder, horizon(built.cases))
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        assert connection.execute(sql).fetchall() == []
