"""Brings the store's exceptions up to date with what the warehouse shows: variances and refused events.

Which variance is open, whose it is and what to do next is said once, in `reconciliation.rec_exceptions`; the store
keeps what the data cannot know: since when, who has it, and what was decided.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from revenue_assets.store import exceptions
from revenue_assets.store.clock import SYSTEM_CLOCK, Clock
from revenue_assets.store.engine import Store
from revenue_assets.store.exceptions import Item, SyncReport

RECONCILIATION = "reconciliation"
# Origins that the warehouse speaks for; what it does not list of these any more is over. Dead batches and missing
# mappings (posting, batching, booking) are raised and cleared where they happen.
ORIGINS = (RECONCILIATION, "events", "subledger")
_SEEN = """
select
    exception_id, origin, recon_id, category, entity_id, reference, period, currency, amount::bigint as amount,
    blocks_close, severity, owner_team, customer_id, correlation_id, source_event_id, idempotency_key, erp_document,
    error_message, next_action
from reconciliation.rec_exceptions order by exception_id
"""


def sync_exceptions(
    store: Store, warehouse: Path | duckdb.DuckDBPyConnection, state: Path, *, clock: Clock = SYSTEM_CLOCK
) -> dict[str, SyncReport]:
    """Opens, reopens and clears the store's exceptions by `reconciliation.rec_exceptions`.

    `state` holds recon_policy and class_owner, for rows without an owner. Returns what changed per origin; without the
    relation nothing changes and the answer is empty.
    """
    connection = duckdb.connect(str(warehouse), read_only=True) if isinstance(warehouse, Path) else warehouse.cursor()
    try:
        if not has_tables(connection, "reconciliation.rec_exceptions"):
            return {}
        owners, class_owners = owners_of(connection, state)
        found: dict[str, list[Item]] = {origin: [] for origin in ORIGINS}
        for row in rows(connection, _SEEN):
            found.setdefault(row["origin"], []).append(_item(row, owners, class_owners))
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


def _item(row: dict[str, Any], owners: dict[str, str], class_owners: dict[str, str]) -> Item:
    facts = {name: value for name, value in row.items() if name not in ("exception_id", "origin")}
    owner = row["owner_team"] or exceptions.owner_of(row["category"], owners.get(row["recon_id"]), class_owners)
    reference = row["reference"] or row["exception_id"]
    return Item(
        **facts | {"owner_team": owner, "reference": reference, "blocks_close": bool(row["blocks_close"])},
        error_code=row["category"],
        key=row["exception_id"],
    )
