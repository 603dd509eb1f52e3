"""A generated company through staging: what differs between its systems is what was planted, and nothing else."""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path
from typing import Any

import duckdb
import pytest
from staging_build import build, write_state
from world_to_landing import INSTANCES, LANDED_AT, raw_records, world_to_landing, write_landing

from demo.world import World, generate

SEED, CUSTOMERS, MONTHS = 11, 40, 9


@pytest.fixture(scope="module")
def world() -> World:
    return generate(SEED, CUSTOMERS, MONTHS)


@pytest.fixture(scope="module")
def warehouse(world: World, tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    home = tmp_path_factory.mktemp("world")
    write_state(home)
    world.write(home / "world")
    world_to_landing(home / "world", home / "landing")
    return build(home)


def references(world: World, recon: str, *kinds: str) -> set[str]:
    """References of the planted and natural signals of some kinds for one reconciliation."""
    items = [*world.ground_truth["planted"], *world.ground_truth["natural"]]
    return {s["reference"] for i in items if i["kind"] in kinds for s in i["signals"] if s["recon"] == recon}


def column(warehouse: duckdb.DuckDBPyConnection, sql: str) -> list[Any]:
    return [row[0] for row in warehouse.execute(sql).fetchall()]


def test_everything_is_accepted(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert column(warehouse, "select verdict from canonical.event_deliveries where verdict <> 'accepted'") == []


def test_every_finalised_invoice_is_posted_once(world: World, warehouse: duckdb.DuckDBPyConnection) -> None:
    issued = {i["id"] for (_, name), rows in world.objects.items() if name == "invoice" for i in rows}
    posted = column(warehouse, "select subject from canonical.events where type = 'invoice.posted'")
    assert len(posted) == len(set(posted))
    assert set(posted) == issued


def test_sold_and_subscribed_differ_where_it_was_planted(world: World, warehouse: duckdb.DuckDBPyConnection) -> None:
    different = column(
        warehouse,
        """
        with sides as (
            select entity_id, opportunity_id, product_code, currency, amount
            from canonical.can_sales_lines where is_recurring
            union all
            select entity_id, opportunity_id, product_code, currency, -amount from canonical.can_subscription_sales
        ), pairs as (
            select opportunity_id from sides
            group by entity_id, opportunity_id, product_code, currency having sum(amount) <> 0
        )
        select distinct opportunity_id from pairs
        """,
    )
    planted = references(world, "R1", "wrong_price", "wrong_entity", "won_without_subscription", "starts_after_cut_off")
    assert planted
    assert set(different) == planted


def test_usage_is_rated_as_it_was_billed(world: World, warehouse: duckdb.DuckDBPyConnection) -> None:
    different = warehouse.execute(
        """
        with billed as (
            select subscription_item_id as item_id, service_start as window_start, service_end as window_end,
                sum(quantity) as quantity, sum(listed_amount) as amount
            from staging.stg_stripe__invoice_lines where charge_kind = 'usage' group by 1, 2, 3
        )
        select coalesce(rated.item_id, billed.item_id), rated.window_end
        from staging.stg_stripe__usage_ratings as rated
        full outer join billed using (item_id, window_start, window_end)
        where rated.amount is distinct from billed.amount or rated.quantity is distinct from billed.quantity
        """
    ).fetchall()
    assert column(warehouse, "select count(*) from staging.stg_stripe__usage_ratings where amount > 0")[0] > 20
    open_windows = {item for item, end in different if end == dt.date(2026, 11, 1)}
    assert references(world, "R3", "usage_billed_after_cut_off") <= open_windows
    assert {item for item, end in different if end != dt.date(2026, 11, 1)} == references(
        world, "R3", "usage_not_invoiced"
    )


def test_payouts_and_balances_are_short_by_what_was_planted(world: World, warehouse: duckdb.DuckDBPyConnection) -> None:
    short = warehouse.execute(
        """
        select payouts.payout_id, payouts._source, sum(txns.net) - payouts.amount
        from staging.stg_stripe__payouts as payouts
        inner join staging.stg_stripe__payout_members as members using (_source, payout_id)
        inner join staging.stg_stripe__balance_transactions as txns
            on members._source = txns._source and members.balance_transaction_id = txns.balance_transaction_id
        group by payouts.payout_id, payouts._source, payouts.amount having sum(txns.net) <> payouts.amount
        """
    ).fetchall()
    assert {payout for payout, _, _ in short} == references(world, "R7", "payout_short_fee")
    at_the_end = dict(
        warehouse.execute(
            """
            select reports._source, (
                select sum(net) from staging.stg_stripe__balance_transactions as txns
                where txns._source = reports._source and txns.created_date <= reports.period_end
            ) - reports.ending_balance
            from staging.stg_stripe__balance_reports as reports where period = '2026-10'
            """
        ).fetchall()
    )
    assert at_the_end == {
        source: sum(s for _, at, s in short if at == source) for source in INSTANCES if source.startswith("billing_")
    }


def test_every_bank_line_is_a_payout(warehouse: duckdb.DuckDBPyConnection) -> None:
    lines = column(warehouse, "select subject from canonical.events where type = 'bank.line_posted'")
    assert lines
    linked = column(warehouse, "select to_id from canonical.links where from_type = 'payout' and to_type = 'bank_line'")
    assert sorted(linked) == sorted(lines)


def test_neither_order_nor_repetition_of_landing_changes_an_event(
    world: World, warehouse: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Everything lands in another order, half of it twice, on another day: same events, same instants, same content."""
    write_state(tmp_path)
    world.write(tmp_path / "world")
    shuffle = random.Random(SEED)
    for instance, (vendor, entity_id) in INSTANCES.items():
        for object_name, records in raw_records(tmp_path / "world", instance).items():
            shuffle.shuffle(records)
            again = records[: len(records) // 2]
            for n, part in enumerate((records, again)):
                write_landing(
                    tmp_path / "landing",
                    instance,
                    object_name,
                    part,
                    vendor=vendor,
                    entity_id=entity_id,
                    landed_at=LANDED_AT + dt.timedelta(days=3 + n),
                    first_seq=1 + n * 100_000,
                    batch_id=f"shuffled{n}",
                )
    sql = """
        select
            event_key, content_hash, time, effective_date, recorded_time, correlation_id, vendor_record, delivery_count
        from canonical.events order by event_key
    """
    assert build(tmp_path).execute(sql).fetchall() == warehouse.execute(sql).fetchall()
