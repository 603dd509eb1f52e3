"""Period states per (entity, book, period): open, soft_closed, hard_closed; with history.

Periods close in order. Reopening a hard-closed one takes a reason and a second person, and all later ones open; the
history's constraint and the triggers say so to whoever bypasses this module.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, and_, func, insert, select, update

from revenue_assets.domain.calendars import MONTHS, Calendar
from revenue_assets.domain.periods import HARD_CLOSED, OPEN, SOFT_CLOSED, PeriodError, parse, shift, span
from revenue_assets.store import audit
from revenue_assets.store.clock import SYSTEM_CLOCK, Clock
from revenue_assets.store.engine import Store
from revenue_assets.store.tables import period_history, periods

MAIN = "main"


def ensure(
    store: Store, entities: Iterable[str], first: str, last: str, *, book: str = MAIN, clock: Clock = SYSTEM_CLOCK
) -> int:
    """Registers missing periods from `first` to `last` as open; returns how many were new. Never changes a state."""
    with store.write() as connection:
        known = {(r.entity_id, r.period) for r in connection.execute(select(periods).where(periods.c.book == book))}
        now = clock.now()
        rows = [
            {"entity_id": e, "book": book, "period": p, "status": OPEN, "changed_at": now, "changed_by": "system"}
            for e in sorted(set(entities))
            for p in span(parse(first), parse(last))
            if (e, p) not in known
        ]
        if rows:
            connection.execute(insert(periods), rows)
    return len(rows)


def all_periods(
    store: Store, *, calendars: Mapping[str, Calendar] | None = None, book: str = MAIN
) -> list[dict[str, Any]]:
    """Every registered period with its first day, exclusive end and state, by entity and period.

    `calendars`: entity -> its calendar; one that is not named counts in months.
    `approver`: who approved its latest change, None if nobody had to.
    """
    change = period_history.c
    latest = (
        select(func.max(change.change_id))
        .where(
            change.entity_id == periods.c.entity_id, change.book == periods.c.book, change.period == periods.c.period
        )
        .correlate(periods)
        .scalar_subquery()
    )
    approver = select(change.approver).where(change.change_id == latest).correlate(periods).scalar_subquery()
    query = (
        select(periods, approver.label("approver"))
        .where(periods.c.book == book)
        .order_by(periods.c.entity_id, periods.c.period)
    )
    with store.read() as connection:
        rows = [dict(row._mapping) for row in connection.execute(query)]
    for row in rows:
        own = (calendars or {}).get(row["entity_id"], MONTHS)
        row["start_date"], row["end_date_exclusive"] = own.first_day(row["period"]), own.end(row["period"])
    return rows


def history(store: Store, entity_id: str, period: str, *, book: str = MAIN) -> list[dict[str, Any]]:
    """Every change of one period's state, oldest first."""
    mine = and_(
        period_history.c.entity_id == entity_id, period_history.c.book == book, period_history.c.period == period
    )
    with store.read() as connection:
        query = select(period_history).where(mine).order_by(period_history.c.change_id)
        return [dict(row._mapping) for row in connection.execute(query)]


def closed(connection: Connection, *, book: str = MAIN) -> dict[str, set[str]]:
    """Entity -> its periods that source events may not post to (soft- or hard-closed)."""
    out: dict[str, set[str]] = {}
    for row in connection.execute(select(periods).where(periods.c.book == book, periods.c.status != OPEN)):
        out.setdefault(row.entity_id, set()).add(row.period)
    return out


def status_of(connection: Connection, entity_id: str, period: str, *, book: str = MAIN) -> str:
    """The period's state; a period nobody registered is open."""
    return connection.scalar(select(periods.c.status).where(_key(entity_id, book, period))) or OPEN


def soft_close(
    store: Store, entity_id: str, period: str, actor: str, reason: str, *, book: str = MAIN, clock: Clock = SYSTEM_CLOCK
) -> None:
    """open -> soft_closed: source events are re-dated from now on."""
    with store.write() as connection:
        if status_of(connection, entity_id, period, book=book) != OPEN:
            raise PeriodError(f"{period} of {entity_id} is not open.")
        change = _change(connection, entity_id, period, book, SOFT_CLOSED, actor, reason, clock.now())
        audit.record(connection, clock.now(), [change])


def hard_close(
    connection: Connection,
    entity_id: str,
    period: str,
    actor: str,
    *,
    snapshot_hash: str,
    snapshot_json: str,
    now: dt.datetime,
    book: str = MAIN,
) -> audit.Entry:
    """-> hard_closed, in the caller's transaction (which re-checks its gates there); PeriodError out of order.

    The first registered period of an entity has no predecessor to wait for. Returns the audit entry to record.
    """
    previous = previous_status(connection, entity_id, period, book=book)
    if previous not in (None, HARD_CLOSED):
        raise PeriodError(f"{period} of {entity_id} cannot close before {shift(period, -1)}, which is {previous}.")
    return _change(
        connection, entity_id, period, book, HARD_CLOSED, actor, None, now, None, snapshot_hash, snapshot_json
    )


def previous_status(connection: Connection, entity_id: str, period: str, *, book: str = MAIN) -> str | None:
    """State of the period before; None if `period` is the entity's first."""
    mine = and_(periods.c.entity_id == entity_id, periods.c.book == book, periods.c.period < period)
    if connection.scalar(select(periods.c.period).where(mine).limit(1)) is None:
        return None
    return status_of(connection, entity_id, shift(period, -1), book=book)


def reopen(
    store: Store,
    entity_id: str,
    period: str,
    *,
    actor: str,
    approver: str,
    reason: str,
    book: str = MAIN,
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """Back to open. A hard-closed period needs a reason, an approver who is not the actor, and later periods
    not closed."""
    with store.write() as connection:
        old = status_of(connection, entity_id, period, book=book)
        if old == OPEN:
            raise PeriodError(f"{period} of {entity_id} is open already.")
        if not reason.strip():
            raise PeriodError("reopening a period needs a reason.")
        if old == HARD_CLOSED:
            if not approver or approver == actor:
                raise PeriodError("reopening a closed period needs a second person to approve it.")
            mine = and_(periods.c.entity_id == entity_id, periods.c.book == book, periods.c.period > period)
            later: list[str] = list(
                connection.scalars(select(periods.c.period).where(mine, periods.c.status == HARD_CLOSED))
            )
            if later:
                raise PeriodError(f"{period} of {entity_id} cannot reopen while {max(later)} is closed.")
        change = _change(connection, entity_id, period, book, OPEN, actor, reason, clock.now(), approver)
        audit.record(connection, clock.now(), [change])


def _key(entity_id: str, book: str, period: str) -> Any:
    return and_(periods.c.entity_id == entity_id, periods.c.book == book, periods.c.period == period)


def _change(
    connection: Connection, entity_id: str, period: str, book: str, new: str, actor: str, reason: str | None,
    now: dt.datetime, approver: str | None = None, snapshot_hash: str | None = None, snapshot_json: str | None = None,
) -> audit.Entry:  # fmt: skip
    """History line first, then the state: the trigger wants the line to be there."""
    row = connection.execute(select(periods).where(_key(entity_id, book, period)).with_for_update()).one_or_none()
    if row is None:
        raise PeriodError(f"{period} of {entity_id} is not a registered period.")
    key = {"entity_id": entity_id, "book": book, "period": period}
    connection.execute(
        insert(period_history).values(
            **key, old_status=row.status, new_status=new, at=now, actor=actor, approver=approver, reason=reason,
            snapshot_hash=snapshot_hash,
        )
    )  # fmt: skip
    state = {
        "status": new, "changed_at": now, "changed_by": actor, "reason": reason, "snapshot_hash": snapshot_hash,
        "snapshot_json": snapshot_json, "closed_at": now if new == HARD_CLOSED else None,
    }  # fmt: skip
    connection.execute(update(periods).where(_key(entity_id, book, period)).values(**state))
    before = {"status": row.status, "snapshot_hash": row.snapshot_hash}
    after = {"status": new, "snapshot_hash": snapshot_hash}
    return audit.Entry(
        actor,
        "period",
        f"period:{entity_id}/{book}/{period}",
        before,
        after,
        f"{row.status} -> {new}: {reason or 'gates green'}",
    )
