"""The accounting identities hold on the cases, whatever order, number and delay their events arrive in."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from open_cases import Built

from revenue_assets.conformance.build import PROJECT, build
from revenue_assets.conformance.cases import horizon
from revenue_assets.conformance.load import LANDING, write_empty_sources, write_landing, write_state
from revenue_assets.domain.calendars import VARIABLE, variable
from revenue_assets.state import calendars

IDENTITIES = [
    "test_name:subledger_unique_key", "path:models/subledger", "assert_entries_balance", "assert_entries_in_one_entity",
    "assert_functional_lines_keep_their_amount", "assert_schedules_sum_to_the_line",
    "assert_schedules_of_obligations_sum_to_the_price", "assert_deferred_is_the_unrecognised_rest",
    "assert_revenue_stays_within_the_price", "assert_tax_credited_within_tax_charged",
    "assert_subledger_items_close_in_both_currencies", "assert_subledger_rollforwards_foot",
    "assert_revenue_shares_mirror", "assert_calendars_are_known_to_the_build",
    "assert_reporting_balances_sum_to_nil",
]  # fmt: skip


def test_identities_hold(built: Built) -> None:
    environment = {
        **os.environ,
        "REVENUE_WAREHOUSE": str(built.warehouse),
        "REVENUE_LANDING": str(built.work_dir / "landing"),
        "REVENUE_STATE": str(built.work_dir / "state"),
        "REVENUE_JOURNAL": str(built.work_dir / "journal"),
        "REVENUE_AS_OF": horizon(built.cases).isoformat(),
        VARIABLE: variable(calendars(built.work_dir / "state").items()),
        "DBT_TARGET_PATH": str(built.work_dir / "target"),
        "DBT_LOG_PATH": str(built.work_dir / "logs"),
    }
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("dbt")), "test",
            "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT),
            "--vars", json.dumps({"event_sources": ["cloudevents"]}),
            "--select", *IDENTITIES, "--exclude", "expected_charges", "subscription_item_segments",
        ],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    assert "assert_entries_balance" in done.stdout


@pytest.fixture(scope="session")
def delivered_otherwise(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same events shuffled, some delivered twice more, all of them landed later; then built from empty."""
    work_dir = tmp_path_factory.mktemp("shuffled")
    write_empty_sources(PROJECT, work_dir / "landing", work_dir / "journal")
    write_landing(built.cases, work_dir / "landing")
    write_state(built.cases, work_dir / "state")
    file = work_dir / "landing" / "events" / "cloud_event" / "day=1970-01-01" / "conformance.parquet"
    rows = pq.read_table(file).to_pylist()
    dice = random.Random(606)
    # Which of two conflicting deliveries came first is a fact; those keep their order.
    keys = [(json.loads(row["raw"])["source"], json.loads(row["raw"])["id"]) for row in rows]
    fixed = [row for row, key in zip(rows, keys, strict=True) if keys.count(key) > 1]
    loose = [row for row, key in zip(rows, keys, strict=True) if keys.count(key) == 1]
    loose += dice.sample(loose, len(loose) // 3)
    dice.shuffle(loose)
    later = dt.datetime(2040, 1, 1)  # noqa: DTZ001
    mixed = [
        {**row, "_landing_seq": number, "_landed_at": later + dt.timedelta(seconds=number), "_batch_id": "again"}
        for number, row in enumerate(loose + fixed, 1)
    ]
    pq.write_table(pq.read_table(file).schema.empty_table().from_pylist(mixed, schema=LANDING), file)
    return build(
        work_dir, horizon(built.cases), selection=("+journal_lines", "+posting_exceptions", "+obligation_prices")
    )


@pytest.mark.parametrize("table", ["journal_lines", "revenue_schedule", "posting_exceptions", "obligation_prices"])
def test_delivery_changes_nothing(built: Built, delivered_otherwise: Path, table: str) -> None:
    contents = []
    for file in (built.warehouse, delivered_otherwise):
        with duckdb.connect(str(file), read_only=True) as connection:
            contents.append(connection.execute(f"select * from subledger.{table} order by all").fetchall())
    assert contents[0] == contents[1]
    assert contents[0]
