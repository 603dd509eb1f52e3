"""Register of landing batches: what landed, how many rows, which control totals."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import insert, select

from revenue_assets.store.engine import Store
from revenue_assets.store.tables import landing_batches


class LandedBatch(NamedTuple):
    """One committed landing (or quarantine) file. `quarantined` counts rows; `landed_at` is naive UTC."""

    batch_id: str
    source: str
    object: str
    row_count: int
    quarantined: int
    control_totals: dict[str, Any]
    landed_at: dt.datetime
    path: str | None = None
    sha256: str | None = None
    seq_from: int | None = None
    seq_to: int | None = None
    run_id: str | None = None


def record(store: Store, batches: Iterable[LandedBatch]) -> int:
    """Registers the batches not yet known, in one transaction; returns how many were new.

    The file is the record; a run that died after writing it registers it on its next try.
    """
    wanted = {b.batch_id: b for b in batches}
    if not wanted:
        return 0
    with store.write() as connection:
        query = select(landing_batches.c.batch_id).where(landing_batches.c.batch_id.in_(wanted))
        known: set[str] = set(connection.scalars(query))
        rows = [
            b._asdict() | {"control_totals": json.dumps(b.control_totals, sort_keys=True, default=str)}
            for key, b in wanted.items()
            if key not in known
        ]
        if rows:
            connection.execute(insert(landing_batches), rows)
    return len(rows)


def all_batches(store: Store) -> list[dict[str, Any]]:
    """Every registered batch, oldest first; control totals as JSON text."""
    query = select(landing_batches).order_by(landing_batches.c.landed_at, landing_batches.c.batch_id)
    with store.read() as connection:
        return [dict(row._mapping) for row in connection.execute(query)]
