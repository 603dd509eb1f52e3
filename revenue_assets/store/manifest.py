"""Manifest of the journal of record: which files count, and what they hold. The commit point of booking and cutting."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, not_, select, update

from revenue_assets.store import audit
from revenue_assets.store.ledger import FileStamp
from revenue_assets.store.tables import booking_periods, journal_bookings, member_cuts, posting_batches


class PeriodTotal(NamedTuple):
    """What a booking put into one period; debit = credit, functional currency, minor units."""

    entity_id: str
    book: str
    period: str
    row_count: int
    debit_fc: int
    credit_fc: int


class Booking(NamedTuple):
    """A manifest row; `uncut_rows` are its lines that no batch has taken yet."""

    booking_id: str
    seq: int
    stamp: FileStamp
    row_count: int
    uncut_rows: int
    control_totals: list[dict[str, Any]]
    booked_at: dt.datetime


def bookings(connection: Connection, *, uncut_only: bool = False) -> list[Booking]:
    """The bookings in order; `uncut_only`: those with lines not yet in a batch."""
    query = select(journal_bookings).order_by(journal_bookings.c.seq)
    if uncut_only:
        query = query.where(journal_bookings.c.uncut_rows > 0)
    return [
        Booking(
            r.booking_id,
            r.seq,
            FileStamp(r.sha256, r.bytes),
            r.row_count,
            r.uncut_rows,
            json.loads(r.control_totals),
            r.booked_at,
        )
        for r in connection.execute(query)
    ]


def cuts(connection: Connection, *, shadow: bool = False) -> dict[str, FileStamp]:
    """Cut id -> stamp of its member file, in order: of the cuts whose batches are posted, or of the shadow ones."""
    apart = member_cuts.c.cut_id.in_(select(posting_batches.c.cut_id).where(posting_batches.c.mode == "shadow"))
    query = select(member_cuts).where(apart if shadow else not_(apart)).order_by(member_cuts.c.seq)
    return {r.cut_id: FileStamp(r.sha256, r.bytes) for r in connection.execute(query)}


def commit_booking(
    connection: Connection,
    booking_id: str,
    stamp: FileStamp,
    *,
    row_count: int,
    control_totals: Sequence[Mapping[str, Any]],
    periods: Sequence[PeriodTotal],
    booked_at: dt.datetime,
    actor: str,
) -> None:
    """Adds the manifest row in the caller's transaction; the triggers refuse a hard-closed period."""
    totals = audit.canonical(list(control_totals))
    row = {"booking_id": booking_id, "sha256": stamp.sha256, "bytes": stamp.bytes, "row_count": row_count}
    connection.execute(
        insert(journal_bookings).values(
            **row,
            seq=_next(connection, journal_bookings.c.seq),
            uncut_rows=row_count,
            control_totals=totals,
            booked_at=booked_at,
        )
    )
    connection.execute(insert(booking_periods), [{"booking_id": booking_id, **p._asdict()} for p in periods])
    audit.record(
        connection, booked_at, [audit.Entry(actor, "booked", f"booking:{booking_id}", None, row | {"totals": totals})]
    )


def commit_cut(
    connection: Connection,
    cut_id: str,
    stamp: FileStamp,
    *,
    row_count: int,
    batch_count: int,
    taken: Mapping[str, int],
    cut_at: dt.datetime,
) -> None:
    """Adds the cut's manifest row and lowers `uncut_rows` of each booking by `taken` rows, in the caller's
    transaction."""
    connection.execute(
        insert(member_cuts).values(
            cut_id=cut_id,
            seq=_next(connection, member_cuts.c.seq),
            sha256=stamp.sha256,
            bytes=stamp.bytes,
            row_count=row_count,
            batch_count=batch_count,
            cut_at=cut_at,
        )
    )
    for booking_id, rows in sorted(taken.items()):
        connection.execute(
            update(journal_bookings)
            .where(journal_bookings.c.booking_id == booking_id)
            .values(uncut_rows=journal_bookings.c.uncut_rows - rows)
        )


def _next(connection: Connection, column: Any) -> int:
    return (connection.scalar(select(func.max(column))) or 0) + 1
