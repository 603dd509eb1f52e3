"""Operational stores as earlier versions left them: at an older schema, with batches in every state of their flight.

The rows come from a store of today, cut down to the columns that the older schema has. `prove` opens such a store, as
the first command after an upgrade does, and lets posting finish against an ERP that already has some of the batches.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.script import ScriptDirectory
from fake_erp import FakeErp, Faults
from sqlalchemy import Connection, MetaData, Table, insert, select, text
from store_kit import AS_OF, CURRENCY, FakeClock, House, invoice, recognition

from revenue_assets.posting import steps
from revenue_assets.posting.batches import cut
from revenue_assets.posting.booking import book
from revenue_assets.posting.outbox import Limits, drain, replay
from revenue_assets.store import audit, exceptions, outbox
from revenue_assets.store import tables as today
from revenue_assets.store.engine import Store, create_store_engine, open_store
from revenue_assets.store.migrate import HEAD, alembic_config

ALL = [s.revision for s in ScriptDirectory.from_config(alembic_config()).walk_revisions()][::-1]
OLDER = ALL[: ALL.index(HEAD)]
PATIENT = Limits(max_wait_seconds=600, backoff_base_seconds=0.05, backoff_cap_seconds=0.2)
COMPANIES = [f"{entity} Inc" for entity in CURRENCY]
# (state, what the ERP has of it). The last ones need an ERP that knows its keys: a draft is posted by sending it again,
# and what a restored store takes for planned may be there.
FLIGHT = [
    ("planned", None), ("sent", None), ("sent", "document"), ("uncertain", None), ("uncertain", "document"),
    ("posted", "document"), ("verified", "document"), ("dead", None), ("dead", "document"), ("awaiting_approval", None),
    ("accepted", "job"), ("created", "document"), ("planned", "document"),
]  # fmt: skip
KNOWS_KEYS = 3
# Where the ERP enforces a unique id, where it remembers keys, and where it does neither: then without the last states.
ERPS = {
    "unique_id": Faults(remembers_keys=False, unique_id=True, index_lag=0.1),
    "remembers_keys": Faults(index_lag=0.1),
    "no_key": Faults(remembers_keys=False, index_lag=0.1),
}
# Numbered by the database itself.
_SERIAL = {"attempt_id", "change_id", "approval_id", "read_back_id"}
_COPIED = (
    today.journal_bookings, today.booking_periods, today.member_cuts, today.policy_versions,
    today.periods, today.exceptions, today.audit_links, today.audit_entries, today.landing_batches,
)  # fmt: skip


@dataclass
class InFlight:
    """An older store: where it is, its ERP, and the keys that must be in the ERP once when all is done."""

    url: str
    erp: FakeErp
    clock: FakeClock
    keys: set[str]
    waiting: set[str]
    before: dict[str, list[dict[str, Any]]]


def build(url: str, revision: str, faults: str) -> InFlight:
    """A store at `url` with the schema `revision` and the whole FLIGHT in it."""
    clock, donor = FakeClock(dt.datetime(2026, 4, 2)), _donor()  # noqa: DTZ001
    engine = create_store_engine(url)
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    erp = FakeErp(clock.now, faults=ERPS[faults], batch_size_max=2)
    with engine.begin() as writer:
        old = MetaData()
        old.reflect(writer)
        if writer.dialect.name == "sqlite":
            writer.exec_driver_sql("pragma defer_foreign_keys = on")
        for table in _COPIED:
            _copy(writer, old, table.name, donor[table.name])
        _copy(writer, old, "leases", [_lease(company, clock) for company in COMPANIES])
        flight = list(_flight(donor["posting_batches"], erp, clock, revision, faults))
        taken = {row["batch_key"] for row, _ in flight}
        parts = [("posting_batches", [row for row, _ in flight])]
        parts.append(("posting_batch_lines", [x for x in donor["posting_batch_lines"] if x["batch_key"] in taken]))
        # From 0008 on lines come before their batch; before it, the key of a PostgreSQL does not wait for the batch.
        for name, rows in parts[::-1] if writer.dialect.name == "sqlite" or revision >= "0008" else parts:
            _copy(writer, old, name, rows)
        _copy(writer, old, "posting_attempts", [attempt for _, attempts in flight for attempt in attempts])
        dead = [_dead_letter(row) for row, _ in flight if row["status"] == "dead"]
        _copy(writer, old, "exceptions", dead)
    waiting = {row["batch_key"] for row, _ in flight if row["status"] == "awaiting_approval"}
    found = InFlight(url, erp, clock, taken - waiting, waiting, {})
    with engine.connect() as connection:
        found.before = {name: _rows(connection, table) for name, table in old.tables.items()}
    engine.dispose()
    return found


def prove(flight: InFlight) -> None:
    """Opens the store, which upgrades it, and posts: every row is still there, nothing twice, nothing lost."""
    store = open_store(flight.url)
    _nothing_is_lost(store, flight)
    finish(store, flight)
    with store.read() as connection:
        assert connection.scalar(text("select version_num from alembic_version")) == HEAD
    store.close()


def finish(store: Store, flight: InFlight) -> None:
    """Posts, replays the dead ones after the fix, posts again; every key is in the ERP once."""
    ports = dict.fromkeys(COMPANIES, flight.erp)
    drain(store, ports, clock=flight.clock, limits=PATIENT)
    for batch in outbox.all_batches(store):
        if batch["status"] == "dead":
            replay(store, batch["batch_key"], actor="ben", note="corrected", clock=flight.clock)
    drain(store, ports, clock=flight.clock, limits=PATIENT)
    assert {b["batch_key"]: b["status"] for b in outbox.all_batches(store)} == {
        **dict.fromkeys(flight.keys, "verified"),
        **dict.fromkeys(flight.waiting, "awaiting_approval"),
    }
    assert dict(flight.erp.copies()) == dict.fromkeys(flight.keys, 1)
    assert exceptions.all_exceptions(store, open_only=True) == []
    assert audit.verify(store)[1] is None


def _nothing_is_lost(store: Store, flight: InFlight) -> None:
    with store.read() as connection:
        now = MetaData()
        now.reflect(connection)
        for name, rows in flight.before.items():
            if name != "alembic_version":
                found = _rows(connection, now.tables[name])
                assert [{k: v for k, v in row.items() if k in (rows[0] if rows else ())} for row in found] == rows, name


@cache
def _donor() -> dict[str, list[dict[str, Any]]]:
    """Rows of a store of today with booked lines and planned batches, by table."""
    with tempfile.TemporaryDirectory() as folder:
        house, clock = House.build(Path(folder) / "home"), FakeClock()
        months = ("2026-01", "2026-02", "2026-03")
        entries = [invoice(f"i{e}{m}", f"{m}-05", 1000 + len(e), entity=e) for e in CURRENCY for m in months]
        entries += [recognition(f"r{e}{m}", f"{m}-28", 77, entity=e) for e in CURRENCY for m in months]
        house.should(*entries)
        book(house.store, house.journal, house.warehouse, house.state, AS_OF, clock=clock)
        cut(house.store, house.journal, house.state, AS_OF, tenant="t", clock=clock)
        with contextlib.closing(house.store) as store, store.read() as connection:
            wanted = (*_COPIED, today.posting_batches, today.posting_batch_lines)
            return {table.name: _rows(connection, table) for table in wanted}


def _flight(
    rows: list[dict[str, Any]], erp: FakeErp, clock: FakeClock, revision: str, faults: str
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Outbox rows with their attempts, one per kind of FLIGHT; the ERP gets what it is to have."""
    kinds = FLIGHT[:-KNOWS_KEYS] if faults == "no_key" else FLIGHT
    for (status, there), row in zip(kinds, rows, strict=False):
        if status == "awaiting_approval" and revision < "0004":
            continue
        batch = outbox.Batch(**{name: row[name] for name in outbox.Batch._fields})
        now = clock.now()
        values: dict[str, Any] = {"status": status}
        if status == "awaiting_approval":
            values |= {"approval_limit": 1, "prepared_by": "anna"}
        elif status != "planned":
            values |= {"attempts": 1, "fence": 1, "sent_at": now}
        if there == "document":
            number = erp._create(steps.journal_of(batch, erp.capabilities.key_length_max))
            if status in ("created", "posted", "verified"):
                values |= {"erp_document_id": number, "erp_document_number": f"N{number}"}
        if there == "job":
            outcome = erp._queue(steps.journal_of(batch, erp.capabilities.key_length_max))
            values["erp_job_id"] = outcome.job_id
        if status == "uncertain":
            values["settle_until"] = now + dt.timedelta(seconds=erp.faults.settle)
        if status == "dead":
            values |= {"last_error_class": "mapping_missing", "last_error": "No account 4010 in the ERP."}
        if status == "verified":
            values["verified_at"] = now
        intent = {
            "batch_key": row["batch_key"], "attempt_no": 1, "fence": 1, "holder": "of the old version",
            "action": "submit", "at": now, "outcome": "intent", "error_class": None, "detail": None,
        }  # fmt: skip
        yield row | values, [intent] if values.get("attempts") else []


def _lease(company: str, clock: FakeClock) -> dict[str, Any]:
    """What a killed poster leaves behind."""
    gone = clock.now() - dt.timedelta(hours=1)
    return {"name": f"erp:{company}", "fence": 1, "holder": "process 1 on another host", "expires_at": gone}


def _dead_letter(row: dict[str, Any]) -> dict[str, Any]:
    seen = dict.fromkeys(("first_seen_at", "opened_at", "last_seen_at"), row["sent_at"])
    item = exceptions.Item(
        category="mapping_missing", reference=row["batch_key"], owner_team="Integration", entity_id=row["entity_id"],
        period=row["period"], currency=row["functional_currency"], amount=row["debit_fc"], blocks_close=True,
        severity="error", idempotency_key=row["batch_key"], error_code="mapping_missing",
    )  # fmt: skip
    facts = item._asdict() | {"source_reference": item.reference, "attempts": 1}
    lasting = {"exception_id": item.exception_id, "origin": "posting", "status": exceptions.OPEN, "reopened": 0}
    return {name: facts[name] for name in facts if name not in ("reference", "key")} | seen | lasting


def _rows(connection: Connection, table: Table) -> list[dict[str, Any]]:
    order = list(table.primary_key) or list(table.c)
    return [dict(row) for row in connection.execute(select(table).order_by(*order)).mappings()]


def _copy(connection: Connection, old: MetaData, name: str, rows: list[dict[str, Any]]) -> None:
    """Inserts the rows as far as the older schema has their columns."""
    if name not in old.tables or not rows:
        return
    table = old.tables[name]
    kept = {column.name for column in table.c} - _SERIAL
    connection.execute(insert(table), [{k: v for k, v in row.items() if k in kept} for row in rows])
