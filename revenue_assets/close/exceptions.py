"""Brings the store's exceptions up to date with what the warehouse found: variances and rejected events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from revenue_assets.domain.failures import EXCEPTION_OWNERS
from revenue_assets.store import exceptions
from revenue_assets.store.clock import SYSTEM_CLOCK, Clock
from revenue_assets.store.engine import Store
from revenue_assets.store.exceptions import Item, SyncReport

RECONCILIATION, SUBLEDGER = "reconciliation", "subledger"
# Shown and matched, nobody's work.
_NO_EXCEPTION = "('rounding')"
# One exception per (recon, class, entity, reference). An item of one period whose halves lie in two months
# nets out when
# both are there; an item carried from month to month counts with its last amount, and is gone when the last statement
# no longer has it.
_VARIANCES = f"""
with items as (
    select
        *,
        regexp_replace(item_key, '/(left|right)$', '') as base_key,
        regexp_matches(item_key, '/(left|right)$') as is_half
    from reconciliation.rec_items
    where variance_class is not null and variance_class not in {_NO_EXCEPTION}
),
last_statement as (
    select recon_id, entity_id, max(period) as period from reconciliation.rec_statements group by all
),
by_key as (
    select
        i.recon_id, i.variance_class, i.entity_id, coalesce(i.reference, i.item_key) as reference, i.base_key,
        min(i.period) as first_period, max(i.period) as last_period, bool_or(i.is_half) as is_half,
        if(bool_or(i.is_half), sum(i.difference), arg_max(i.difference, i.period))::bigint as amount,
        arg_max(i.currency, i.period) as currency, any_value(i.customer_id) as customer_id,
        any_value(i.correlation_id) as correlation_id, any_value(i.erp_document) as erp_document,
        arg_max(i.explanation, i.period) as explanation, bool_or(i.gates) as gates,
        (count(distinct i.period) > 1 or bool_or(i.base_key like 'balance|%')) and not bool_or(i.is_half) as is_carried
    from items as i
    group by i.recon_id, i.variance_class, i.entity_id, coalesce(i.reference, i.item_key), i.base_key
),
standing as (
    select k.*
    from by_key as k
    left join last_statement as s on k.recon_id = s.recon_id and k.entity_id = s.entity_id
    where not (k.is_carried and k.last_period < s.period)
        and not (k.is_half and k.amount = 0 and k.variance_class = 'timing_in_transit')
)
select
    recon_id, variance_class, entity_id, reference, min(first_period) as period, any_value(currency) as currency,
    sum(amount)::bigint as amount, any_value(customer_id) as customer_id, any_value(correlation_id) as correlation_id,
    any_value(erp_document) as erp_document, any_value(explanation) as explanation, bool_or(gates) as gates
from standing
group by recon_id, variance_class, entity_id, reference
order by all
"""
_REJECTED = """
select exception_key, class, entity_id, subject, event_key, amount::bigint as amount, currency, detail
from subledger.posting_exceptions order by all
"""
_NEXT = {
    "timing_in_transit": "Nothing: it clears by itself when the other side arrives.",
    "duplicate": "Find which of the two is wrong and take it back at the source.",
    "unexplained": "Find the cause; the close waits for it.",
    "manual_erp_journal": "Ask the author of the ERP journal; reverse it there or bring its cause into the sources.",
}


def sync_exceptions(
    store: Store, warehouse: Path | duckdb.DuckDBPyConnection, state: Path, *, clock: Clock = SYSTEM_CLOCK
) -> dict[str, SyncReport]:
    """Opens, reopens and clears exceptions by `reconciliation.rec_items` and `subledger.posting_exceptions`.

    `state` holds recon_policy and class_owner. Dead batches and missing mappings are raised where they happen. Returns
    what changed per origin; a relation that is not built leaves its exceptions as they are.
    """
    connection = duckdb.connect(str(warehouse), read_only=True) if isinstance(warehouse, Path) else warehouse.cursor()
    try:
        owners, class_owners = owners_of(connection, state)
        found: dict[str, list[Item]] = {}
        if has_tables(connection, "reconciliation.rec_items", "reconciliation.rec_statements"):
            found[RECONCILIATION] = [_variance(r, owners, class_owners) for r in rows(connection, _VARIANCES)]
        if has_tables(connection, "subledger.posting_exceptions"):
            found[SUBLEDGER] = [_rejected(r, class_owners) for r in rows(connection, _REJECTED)]
    finally:
        connection.close()
    with store.write() as writer:
        return {origin: exceptions.sync(writer, origin, items, clock.now()) for origin, items in found.items()}


def owners_of(connection: duckdb.DuckDBPyConnection, state: Path) -> tuple[dict[str, str], dict[str, str]]:
    """(reconciliation -> owner, variance class -> owner that overrides it) from the company's config."""

    def read(name: str, key: str) -> dict[str, str]:
        file = str(state / f"{name}.parquet").replace("'", "''")
        query = f"select {key}, owner_team from read_parquet('{file}') where owner_team is not null"
        return dict(connection.execute(query).fetchall())

    return read("recon_policy", "recon_id"), read("class_owner", "variance_class")


def has_tables(connection: duckdb.DuckDBPyConnection, *names: str) -> bool:
    """Whether every `schema.relation` exists."""
    query = "select count(*) from information_schema.tables where table_schema = ? and table_name = ?"
    return all(connection.execute(query, name.split(".")).fetchall()[0][0] for name in names)


def rows(connection: duckdb.DuckDBPyConnection, query: str, parameters: object = None) -> list[dict[str, Any]]:
    """Rows as dicts; amounts stay whole numbers."""
    cursor = connection.execute(query, parameters)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _variance(row: dict[str, Any], owners: dict[str, str], class_owners: dict[str, str]) -> Item:
    kind = row["variance_class"]
    return Item(
        category=kind,
        reference=row["reference"],
        owner_team=exceptions.owner_of(kind, owners.get(row["recon_id"]), class_owners),
        entity_id=row["entity_id"],
        recon_id=row["recon_id"],
        period=row["period"],
        currency=row["currency"],
        amount=row["amount"],
        blocks_close=bool(row["gates"]),
        severity="error" if row["gates"] else "warning",
        customer_id=row["customer_id"],
        correlation_id=row["correlation_id"],
        erp_document=row["erp_document"],
        error_code=kind,
        error_message=row["explanation"],
        next_action=_NEXT.get(kind, "Compare the two sides and correct the one that is wrong."),
    )


def _rejected(row: dict[str, Any], class_owners: dict[str, str]) -> Item:
    kind = row["class"]
    return Item(
        category=kind,
        reference=row["exception_key"],
        owner_team=exceptions.owner_of(kind, EXCEPTION_OWNERS.get(kind), class_owners),
        entity_id=row["entity_id"],
        currency=row["currency"],
        amount=row["amount"],
        blocks_close=exceptions.blocks(kind),
        severity="error",
        source_event_id=row["event_key"],
        error_code=kind,
        error_message=row["detail"],
        next_action=f"Correct {row['subject'] or 'the event'} at the source; it is taken up by itself.",
    )
