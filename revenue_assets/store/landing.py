"""Register of landing batches: what landed, how many rows, which control totals.

A batch is announced before its file appears and marked committed after it: a file that nobody announced is foreign, a
committed batch without its file is lost, and a run that dies in between leaves neither.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from sqlalchemy import func, insert, select, update

from revenue_assets.store.clock import SYSTEM_CLOCK, Clock
from revenue_assets.store.engine import Store
from revenue_assets.store.tables import landing_batches


class LandedBatch(NamedTuple):
    """One landing (or quarantine) file. `quarantined` counts rows; `landed_at` is naive UTC; `path` is relative to the
    home; `committed_at` is None as long as nobody knows that the file stands there."""

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
    committed_at: dt.datetime | None = None


class BatchRegister:
    """The operational store as the landing writer sees it (`revenue_assets.landing.writer.Register`)."""

    def __init__(self, store: Store, clock: Clock = SYSTEM_CLOCK) -> None:
        self._store, self._clock = store, clock

    def announce(self, batch: LandedBatch) -> None:
        """Enters a batch whose file is about to appear."""
        record(self._store, [batch])

    def commit(self, batch_id: str) -> None:
        """The file of the batch stands there."""
        self._mark([batch_id])

    def settle(self, source: str, object_name: str, stands: Callable[[str], bool]) -> None:
        """Finishes what a killed run left announced: committed if `stands(path)`; else its rows will come again."""
        t = landing_batches.c
        query = select(t.batch_id, t.path).where(
            t.source == source, t.object == object_name, t.committed_at.is_(None), t.path.is_not(None)
        )
        with self._store.read() as connection:
            left = list(connection.execute(query))
        self._mark([row.batch_id for row in left if stands(row.path)])

    def _mark(self, batch_ids: list[str]) -> None:
        if not batch_ids:
            return
        with self._store.write() as connection:
            mine = landing_batches.c.batch_id.in_(batch_ids) & landing_batches.c.committed_at.is_(None)
            connection.execute(update(landing_batches).where(mine).values(committed_at=self._clock.now()))


def record(store: Store, batches: Iterable[LandedBatch]) -> int:
    """Registers the batches not yet known, in one transaction; returns how many were new."""
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


def cut_offs(store: Store) -> dict[str, str]:
    """Source -> when its newest rows landed (ISO, naive UTC)."""
    t = landing_batches.c
    query = select(t.source, func.max(t.landed_at)).where(t.row_count > 0).group_by(t.source)
    with store.read() as connection:
        return {str(row[0]): row[1].isoformat() for row in connection.execute(query).all()}


def all_batches(store: Store) -> list[dict[str, Any]]:
    """Every registered batch, oldest first; control totals as JSON text."""
    query = select(landing_batches).order_by(landing_batches.c.landed_at, landing_batches.c.batch_id)
    with store.read() as connection:
        return [dict(row._mapping) for row in connection.execute(query)]
