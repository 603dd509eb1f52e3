"""Every publish of the finance schema: built beside, then live; the one before it is superseded."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from revenue_assets.store import audit
from revenue_assets.store.engine import Store
from revenue_assets.store.tables import publish_log


def add_built(
    connection: Connection,
    publish_id: str,
    *,
    at: dt.datetime,
    run_id: str | None,
    code_version: str,
    rules_version: str | None,
    as_of: dt.date | None,
    content_hash: str,
    table_rows: Mapping[str, int],
    table_hashes: Mapping[str, str],
    dbt_invocation_id: str | None = None,
    fx_rate_set: str | None = None,
    source_cut_offs: Mapping[str, str] | None = None,
) -> None:
    """Notes a file that was built and checked but is not swapped in yet.

    `fx_rate_set` names the rates of the build; `source_cut_offs` maps a source to its newest landing, ISO UTC.
    """
    seq = (connection.scalar(select(func.max(publish_log.c.seq))) or 0) + 1
    connection.execute(
        insert(publish_log).values(
            publish_id=publish_id,
            seq=seq,
            at=at,
            status="built",
            run_id=run_id,
            code_version=code_version,
            rules_version=rules_version,
            as_of=as_of,
            content_hash=content_hash,
            table_rows=json.dumps(dict(table_rows), sort_keys=True),
            table_hashes=json.dumps(dict(table_hashes), sort_keys=True),
            dbt_invocation_id=dbt_invocation_id,
            fx_rate_set=fx_rate_set,
            source_cut_offs=json.dumps(dict(source_cut_offs or {}), sort_keys=True),
        )
    )


def set_live(connection: Connection, publish_id: str, at: dt.datetime) -> None:
    """Marks the publish that readers see now; every earlier one is superseded."""
    connection.execute(update(publish_log).where(publish_log.c.status != "superseded").values(status="superseded"))
    connection.execute(update(publish_log).where(publish_log.c.publish_id == publish_id).values(status="live"))
    audit.record(connection, at, [audit.Entry("system", "publish", f"publish:{publish_id}", "built", "live")])


def all_publishes(store: Store) -> list[dict[str, Any]]:
    """The log, oldest first; row counts and hashes per table as JSON text."""
    with store.read() as connection:
        return [dict(r) for r in connection.execute(select(publish_log).order_by(publish_log.c.seq)).mappings()]
