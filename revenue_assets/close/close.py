"""Closing a period: every gate is looked at, green ones lock the period with a snapshot, red ones refuse with reasons.

A closed period stays as it is. Closing it again recomputes its snapshot: the same hash is a no-op, another one says
which part of the books no longer is what was closed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from sqlalchemy import select

from revenue_assets.close.exceptions import has_tables, rows
from revenue_assets.close.gates import Books, Gate, evaluate
from revenue_assets.domain import periods as months
from revenue_assets.store import audit, leases, manifest, periods
from revenue_assets.store.clock import SYSTEM_CLOCK, Clock
from revenue_assets.store.engine import Store, StoreError
from revenue_assets.store.ledger import Journal, read_files
from revenue_assets.store.outbox import LIVE
from revenue_assets.store.tables import periods as period_table
from revenue_assets.store.tables import posting_batches


@dataclass(frozen=True)
class CloseReport:
    """Outcome of closing one period for some entities. `status`: closed, unchanged (was closed already, same snapshot),
    refused (a gate is red), or changed (was closed already, and the books differ now)."""

    period: str
    status: str
    entities: tuple[str, ...]
    gates: tuple[Gate, ...] = ()
    snapshots: dict[str, str] = field(default_factory=dict)

    @property
    def closed(self) -> bool:
        return self.status in ("closed", "unchanged")

    @property
    def red(self) -> list[Gate]:
        return [gate for gate in self.gates if not gate.is_green]

    def sentence(self) -> str:
        """The report in one line."""
        if self.closed:
            again = "was closed already, with the same snapshot" if self.status == "unchanged" else "is closed"
            return f"{self.period} {again} for {', '.join(self.entities)}."
        reasons = "; ".join(f"{g.entity_id} {g.name}: {g.sentence} ({g.owner})" for g in self.red)
        return f"{self.period} cannot close: {reasons}"

    def markdown(self) -> str:
        """A table of the gates, red ones first."""
        head = f"### {self.period}: {self.status}\n\n| | entity | gate | found | owner |\n|---|---|---|---|---|\n"
        gates = sorted(self.gates, key=lambda g: (g.is_green, g.entity_id, g.name))
        lines = (
            f"| {'green' if g.is_green else 'RED'} | {g.entity_id} | {g.name} | {g.sentence} | {g.owner} |"
            for g in gates
        )
        return head + "\n".join(lines)


def close_period(
    store: Store,
    journal: Journal,
    warehouse: Path | duckdb.DuckDBPyConnection,
    state: Path,
    period: str,
    entities: Iterable[str],
    actor: str,
    *,
    as_of: dt.date,
    clock: Clock = SYSTEM_CLOCK,
) -> CloseReport:
    """Locks `period` for all `entities` together, or for none. Raises PeriodError for what is not a period.

    Holds the journal lease, so that no booking and no cut runs between the gates and the lock.
    """
    months.parse(period)
    wanted = tuple(sorted(set(entities)))
    journal.prepare()
    with leases.held(store, leases.JOURNAL, wait_seconds=60.0, clock=clock) as lease:
        periods.ensure(store, wanted, period, period, clock=clock)
        connection = (
            duckdb.connect(str(warehouse), read_only=True) if isinstance(warehouse, Path) else warehouse.cursor()
        )
        try:
            books = read_books(store, journal, connection, state, as_of)
            snapshots = {entity: snapshot(books, entity, period) for entity in wanted}
            with store.read() as reader:
                known = _closed_snapshots(reader, wanted, period)
            gates = [g for e in wanted if e in known for g in _compare(e, period, known[e], snapshots[e])]
            gates += [g for e in wanted if e not in known for g in evaluate(books, e, period)]
        finally:
            connection.close()
        hashes = {entity: audit.sha256(parts) for entity, parts in snapshots.items()}
        if not all(g.is_green for g in gates):
            only_closed = all(g.entity_id in known for g in gates if not g.is_green)
            return CloseReport(period, "changed" if only_closed else "refused", wanted, tuple(gates), hashes)
        now = clock.now()
        with store.write() as writer:
            leases.assert_held(writer, lease)
            entries = [
                periods.hard_close(
                    writer,
                    e,
                    period,
                    actor,
                    snapshot_hash=hashes[e],
                    snapshot_json=audit.canonical(_digests(snapshots[e])),
                    now=now,
                )
                for e in wanted
                if e not in known
            ]
            audit.record(writer, now, entries)
        # Late entries post to the next month from now on: it is open at once, not only after the next booking.
        periods.ensure(store, wanted, period, months.shift(period, 1), clock=clock)
        return CloseReport(period, "closed" if entries else "unchanged", wanted, tuple(gates), hashes)


def snapshot(books: Books, entity_id: str, period: str) -> dict[str, Any]:
    """What a close is a close of: trial balance, posted totals, open variances, rules. JSON-able, in a fixed order."""
    balance = f"""
        select account_role, currency, sum(amount_tc)::bigint as tc, sum(amount_fc)::bigint as fc from {books.booked}
        where entity_id = ? and posting_period <= ? group by all having sum(amount_tc) <> 0 or sum(amount_fc) <> 0
            order by all
    """
    variances: list[dict[str, Any]] = []
    if has_tables(books.warehouse, "reconciliation.rec_items"):
        query = """
            select recon_id, currency, variance_class, coalesce(reference, item_key) as reference,
                sum(difference)::bigint as difference
            from reconciliation.rec_items where entity_id = ? and period = ? and variance_class is not null
                group by all order by all
        """
        variances = rows(books.warehouse, query, [entity_id, period])
    b = posting_batches.c
    query_batches = (
        select(b.batch_key, b.debit_fc)
        .where(b.entity_id == entity_id, b.period == period, b.mode == LIVE)
        .order_by(b.batch_key)
    )
    with books.store.read() as connection:
        totals = [list(row) for row in connection.execute(query_batches)]
    rules = rows(
        books.warehouse,
        f"select distinct policy_hash from {books.booked} where entity_id = ? and posting_period <= ? order by 1",
        [entity_id, period],
    )
    return {
        "trial_balance": rows(books.warehouse, balance, [entity_id, period]),
        "posted_totals": totals,
        "open_variances": variances,
        "rules": [r["policy_hash"] for r in rules],
    }


def read_books(
    store: Store, journal: Journal, connection: duckdb.DuckDBPyConnection, state: Path, as_of: dt.date
) -> Books:
    """The books as the gates and a snapshot look at them; StoreError if a journal file is not what was committed."""
    with store.read() as reader:
        bookings, cuts = manifest.bookings(reader), manifest.cuts(reader)
    journal.check_files(journal.lines, {b.booking_id: b.stamp for b in bookings}, deep=True)
    journal.check_files(journal.members, cuts, deep=True)
    booked = read_files(journal.lines, (b.booking_id for b in bookings))
    return Books(store, connection, booked, read_files(journal.members, cuts), state, as_of)


def _closed_snapshots(connection: Any, entities: tuple[str, ...], period: str) -> dict[str, tuple[str, str]]:
    """Entity -> (hash, digests of the parts) of those that are closed already."""
    p = period_table.c
    mine = (
        (p.entity_id.in_(entities)) & (p.book == periods.MAIN) & (p.period == period) & (p.status == months.HARD_CLOSED)
    )
    query = select(p.entity_id, p.snapshot_hash, p.snapshot_json).where(mine)
    return {r.entity_id: (r.snapshot_hash, r.snapshot_json) for r in connection.execute(query)}


def _compare(entity_id: str, period: str, known: tuple[str, str], now: dict[str, Any]) -> list[Gate]:
    """One gate: the closed period's snapshot is what it was; a red one names the parts that are not."""
    old_hash, old_digests = known
    if audit.sha256(now) == old_hash:
        return [
            Gate(
                "snapshot_is_unchanged",
                entity_id,
                True,
                f"{period} is closed; its snapshot {old_hash[:12]} still holds.",
            )
        ]
    digests = audit.canonical(_digests(now))
    parts = [name for name, digest in _digests(now).items() if f'"{name}":"{digest}"' not in old_digests]
    if digests == old_digests:
        raise StoreError(f"the stored snapshot of {entity_id} {period} contradicts itself; run the audit check.")
    words = ", ".join(part.replace("_", " ") for part in parts)
    return [
        Gate(
            "snapshot_is_unchanged",
            entity_id,
            False,
            f"{period} is closed, but what it was closed with differs now: {words}.",
        )
    ]


def _digests(parts: dict[str, Any]) -> dict[str, str]:
    return {name: audit.sha256(part) for name, part in parts.items()}
