"""Booking: the journal lines that should exist and are not booked yet go to the journal of record.

What should exist is a pure function of events and policy, computed in the warehouse. Here only the difference is
taken, by whole entries: an entry whose content (entry_hash) is new is booked; one whose booked content is gone or
replaced is reversed, exactly. A booked line never changes. Lines of a closed period move to the first open one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from revenue_assets.domain import periods as months
from revenue_assets.domain.calendars import MONTHS, Calendar
from revenue_assets.posting import booking_sql as sql
from revenue_assets.state import calendars
from revenue_assets.store import exceptions, leases, manifest, periods
from revenue_assets.store.clock import SYSTEM_CLOCK, Clock
from revenue_assets.store.engine import Store, StoreError
from revenue_assets.store.ledger import Journal, read_files, write_file

ORIGIN = "booking"
_HELD_SENTENCES = {
    "unbalanced_entry": (
        "The entry's lines do not add up to zero.",
        "Correct the subledger's template or the event; it books by itself.",
    ),
    "closed_period": (
        "The entry belongs to a closed period and policy says reject.",
        "Reopen the period or change closed_period_policy.",
    ),
    "closed_period_material": (
        "The document is above the materiality limit for closed periods.",
        "A second person approves it (revenue approvals), which books it into the first open period; or reopen it.",
    ),
}


@dataclass(frozen=True)
class BookingReport:
    """What one booking did. Amounts in control totals are minor units.

    `left_to_erp`: recognition entries that exist but are never booked, because the ERP's own schedules recognise them.
    """

    booking_id: str | None
    lines: int = 0
    entries_booked: int = 0
    entries_reversed: int = 0
    prior_period_lines: int = 0
    held: dict[str, int] = field(default_factory=dict)
    left_to_erp: int = 0
    control_totals: list[dict[str, Any]] = field(default_factory=list)
    orphans_removed: list[str] = field(default_factory=list)


def book(
    store: Store,
    journal: Journal,
    warehouse: Path | duckdb.DuckDBPyConnection,
    state: Path,
    as_of: dt.date,
    *,
    actor: str = "system",
    clock: Clock = SYSTEM_CLOCK,
    lease_wait_seconds: float = 30.0,
) -> BookingReport:
    """Books `subledger.journal_lines` minus what is booked; nothing to book writes no file and no row.

    `state` holds policy.parquet. Entries dated after `as_of` are left alone: a build with an earlier cut-off does not
    know them, which is not the same as their being gone. Raises StoreError if the journal's files are damaged or an
    entity with booked lines has disappeared from the subledger altogether (a broken build, not a correction).
    """
    journal.prepare()
    with leases.held(store, leases.JOURNAL, wait_seconds=lease_wait_seconds, clock=clock) as lease:
        with store.read() as connection:
            known = manifest.bookings(connection)
        orphans = journal.remove_orphans(journal.lines, (b.booking_id for b in known))
        journal.check_files(journal.lines, {b.booking_id: b.stamp for b in known})
        warehouse_connection = _connect(warehouse)
        try:
            booked = read_files(journal.lines, (b.booking_id for b in known))
            return _book(store, journal, warehouse_connection, booked, state, as_of, lease, orphans, actor, clock)
        finally:
            warehouse_connection.close()


def _connect(warehouse: Path | duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A connection of our own, closed early: temporary tables only, nothing in the warehouse is written."""
    if isinstance(warehouse, Path):
        if not warehouse.exists():
            raise StoreError(f"there is no warehouse at {warehouse}; build it first.")
        return duckdb.connect(str(warehouse), read_only=True)
    return warehouse.cursor()


def _book(
    store: Store, journal: Journal, connection: duckdb.DuckDBPyConnection, booked: str, state: Path, as_of: dt.date,
    lease: leases.Lease, orphans: list[str], actor: str, clock: Clock,
) -> BookingReport:  # fmt: skip
    # The subledger marks entries that it moved out of a closed period itself; the mark stays on the booked line.
    was_prior = "prior_period" if connection.execute(sql.HAS_PRIOR_PERIOD).fetchall()[0][0] else "false"
    for statement in sql.difference(booked, as_of, was_prior, str(state / "policy.parquet")):
        connection.execute(statement)
    left_to_erp = connection.execute(sql.LEFT_TO_ERP).fetchall()[0][0]
    _refuse_vanished_entities(connection)
    own = calendars(state)
    closed = _register_periods(store, connection, as_of, own, clock)
    _map_posting_periods(connection, closed, own)
    with store.read() as reader:
        approved = exceptions.accepted_references(reader, ORIGIN, "closed_period_material")
    connection.execute("create or replace temp table approved (entry_key varchar)")
    if approved:
        connection.executemany("insert into approved values (?)", [(reference,) for reference in sorted(approved)])
    for statement in sql.decide(str(state / "policy.parquet")):
        connection.execute(statement)
    held = _held(connection)
    now = clock.now()
    booking_id = connection.execute(sql.BOOKING_ID).fetchall()[0][0]
    if booking_id is None:
        with store.write() as writer:
            exceptions.sync(writer, ORIGIN, held, now)
        return BookingReport(None, held=_count(held), left_to_erp=left_to_erp, orphans_removed=orphans)

    connection.execute(sql.final(booking_id, now))
    totals = _dicts(connection, sql.CONTROL_TOTALS)
    period_totals = [manifest.PeriodTotal(*row) for row in connection.execute(sql.PERIOD_TOTALS).fetchall()]
    count = _dicts(connection, sql.COUNTS)[0]
    stamp = write_file(connection, sql.ORDERED, journal.lines / f"{booking_id}.parquet")
    # No clean-up of the file if this fails: whether the commit happened is for the manifest to say, at the
    # next booking.
    with store.write() as writer:
        leases.assert_held(writer, lease)
        if periods.closed(writer) != closed:
            raise StoreError("a period changed its state while booking; run the booking again.")
        manifest.commit_booking(
            writer,
            booking_id,
            stamp,
            row_count=count["lines"],
            control_totals=totals,
            periods=period_totals,
            booked_at=now,
            actor=actor,
        )
        exceptions.sync(writer, ORIGIN, held, now)
    return BookingReport(
        booking_id, **count, held=_count(held), left_to_erp=left_to_erp, control_totals=totals, orphans_removed=orphans
    )


def _refuse_vanished_entities(connection: duckdb.DuckDBPyConnection) -> None:
    gone = [row[0] for row in connection.execute(sql.VANISHED_ENTITIES).fetchall()]
    if gone:
        raise StoreError(
            f"the subledger has no line of {', '.join(gone)}, which has booked lines; booking would reverse all "
            f"of them. "
            "Rebuild the warehouse from landing first."
        )


def _register_periods(
    store: Store, connection: duckdb.DuckDBPyConnection, as_of: dt.date, own: Mapping[str, Calendar], clock: Clock
) -> dict[str, set[str]]:
    """Registers every period that lines or their re-dating may touch; returns the closed ones per entity."""
    with store.read() as reader:
        closed = periods.closed(reader)
    for entity, first, last in connection.execute(sql.PERIOD_RANGE).fetchall():
        touched = [months.posting_period(p, closed.get(entity, set())).period for p in (first, last)]
        periods.ensure(store, [entity], first, max(last, own.get(entity, MONTHS).of(as_of), *touched), clock=clock)
    return closed


def _map_posting_periods(
    connection: duckdb.DuckDBPyConnection, closed: dict[str, set[str]], own: Mapping[str, Calendar]
) -> None:
    connection.execute(sql.PERIOD_MAP)
    rows = []
    for entity, period in connection.execute(sql.BASE_PERIODS).fetchall():
        target = months.posting_period(period, closed.get(entity, set()))
        redated_to = own.get(entity, MONTHS).first_day(target.period) if target.prior_period else None
        rows.append((entity, period, target.period, redated_to))
    if rows:
        connection.executemany("insert into period_map values (?, ?, ?, ?)", rows)


def _held(connection: duckdb.DuckDBPyConnection) -> list[exceptions.Item]:
    items = []
    for row in _dicts(connection, sql.HELD):
        message, next_action = _HELD_SENTENCES[row["category"]]
        items.append(
            exceptions.Item(
                category=row["category"],
                reference=row["entry_key"],
                owner_team=exceptions.owner_of(row["category"], None, {}),
                entity_id=row["entity_id"],
                period=row["period"],
                currency=row["functional_currency"],
                amount=row["amount"],
                blocks_close=True,
                severity="error",
                correlation_id=row["correlation_id"],
                source_event_id=row["event_key"],
                error_code=row["category"],
                next_action=next_action,
                error_message=f"{message} Document {row['document_id']}, {row['event_type']}.",
            )
        )
    return items


def _count(held: list[exceptions.Item]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for item in held:
        counts[item.category] = counts.get(item.category, 0) + 1
    return counts


def _dicts(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    cursor = connection.execute(query)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
