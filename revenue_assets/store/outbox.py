"""The outbox: one row per ERP document, from planned to verified. All writes are compare-and-swap under a fence.

A transition that the state machine does not have, and one that another holder has overtaken, change no row and raise.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Connection, DateTime, and_, bindparam, case, func, insert, literal, or_, select, update

from revenue_assets.domain import posting_state as state
from revenue_assets.domain.periods import HARD_CLOSED
from revenue_assets.store import audit
from revenue_assets.store.engine import Store, StoreError
from revenue_assets.store.tables import (
    approval_limits,
    periods,
    posting_attempts,
    posting_batch_lines,
    posting_batches,
    posting_read_backs,
)

B = posting_batches.c
LIVE, SHADOW = "live", "shadow"
# What the audit log calls the keeping of an ERP's document.
READ_BACK = "read back"


class KeyConflict(StoreError):
    """A key that is already taken by other content. Nothing was written and nothing may be sent."""


class Stale(StoreError):
    """The row is not in the state, or not under the fence, that the writer believed."""


class Batch(NamedTuple):
    """An outbox row as the worker needs it. Instants naive UTC."""

    batch_key: str
    seq: int
    entity_id: str
    erp_company: str
    period: str
    accounting_date: dt.date
    document_json: str
    content_hash: str
    status: str
    fence: int
    attempts: int
    next_attempt_at: dt.datetime | None
    settle_until: dt.datetime | None
    sent_at: dt.datetime | None
    erp_document_id: str | None
    erp_document_number: str | None
    erp_job_id: str | None
    functional_currency: str
    debit_fc: int
    last_error_class: str | None


_BATCH = [B[name] for name in Batch._fields]
# Columns of a batch that a transition may write besides its status.
_MOVING = frozenset(
    {"attempts", "next_attempt_at", "settle_until", "sent_at", "posted_at", "verified_at", "erp_document_id",
     "erp_document_number", "erp_job_id", "last_error_class", "last_error"}
)  # fmt: skip


class Step(NamedTuple):
    """One transition of one batch, with what is noted about it. `read_back`: the ERP's document as canonical JSON, kept
    as evidence."""

    batch: Batch
    status: str
    action: str
    outcome: str
    values: Mapping[str, Any] = MappingProxyType({})
    error_class: str | None = None
    detail: str | None = None
    read_back: str | None = None


def content_hash(document_json: str) -> str:
    return hashlib.sha256(document_json.encode()).hexdigest()


def insert_batches(
    connection: Connection, batches: Sequence[dict[str, Any]], lines: Sequence[dict[str, Any]], now: dt.datetime
) -> int:
    """Adds planned batches with their lines; a key known with the same content is left alone, with other
    content raises.

    Returns how many were new. The key's uniqueness is the table's primary key; this only gives the better sentence.
    """
    keys = [b["batch_key"] for b in batches]
    if len(set(keys)) != len(keys):
        raise KeyConflict("two batches of one cut have the same key.")
    known: dict[str, str] = {}
    for part in _chunks(keys, 500):
        known |= {
            r.batch_key: r.content_hash
            for r in connection.execute(select(B.batch_key, B.content_hash).where(B.batch_key.in_(part)))
        }
    for batch in batches:
        if known.get(batch["batch_key"], batch["content_hash"]) != batch["content_hash"]:
            raise KeyConflict(f"batch {batch['batch_key']} exists with other content; it is not sent.")
    new = [b for b in batches if b["batch_key"] not in known]
    if not new:
        return 0
    seq = connection.scalar(select(func.max(B.seq))) or 0
    actor = connection.info.get("actor", "system")
    moving = {"fence": 0, "attempts": 0, "created_at": now, "prepared_by": actor}
    limits: dict[str, int] = dict(
        connection.execute(select(approval_limits.c.entity_id, approval_limits.c.above)).all()
    )
    new = [b | moving | _approval(b, limits) | {"seq": seq + n} for n, b in enumerate(new, 1)]
    fresh = {b["batch_key"] for b in new}
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("pragma defer_foreign_keys = on")
    # Lines first: the database takes a batch only with all of its lines, balanced, and no line after it.
    connection.execute(insert(posting_batch_lines), [line for line in lines if line["batch_key"] in fresh])
    connection.execute(insert(posting_batches), new)
    audit.record(
        connection,
        now,
        [audit.Entry(actor, "batch", f"batch:{b['batch_key']}", None, b["content_hash"], b["status"]) for b in new],
    )
    return len(new)


def _approval(batch: Mapping[str, Any], limits: Mapping[str, int]) -> dict[str, Any]:
    """A live batch above its entity's limit waits for a second person."""
    limit = limits.get(batch["entity_id"])
    if batch["mode"] != LIVE or limit is None or batch["debit_fc"] <= limit:
        return {"approval_limit": None}
    return {"approval_limit": limit, "status": state.AWAITING_APPROVAL}


def due(connection: Connection, company: str, now: dt.datetime, statuses: Iterable[str], limit: int) -> list[Batch]:
    """Live batches of one ERP company in these states whose time has come, oldest period first, then in cut order.

    Found by state, never by position: no reader can step over a row that commits late. State by state, so that each
    query reads `limit` entries of an index and not the whole backlog.
    """
    found: list[Batch] = []
    for status in statuses:
        mine = and_(_of_company(company), B.status == status, _time_has_come(now))
        query = select(*_BATCH).where(mine).order_by(B.period, B.seq).limit(limit)
        found += [Batch._make(row) for row in connection.execute(query)]
    return sorted(found, key=lambda batch: (batch.period, batch.seq))[:limit]


def backlog(connection: Connection, company: str, now: dt.datetime) -> tuple[int, dt.datetime | None]:
    """How many live batches of the company a worker could take up now, and when the oldest of them was cut."""
    mine = and_(_of_company(company), B.status.in_(list(state.WORKABLE)), _time_has_come(now))
    row = connection.execute(select(func.count(), func.min(B.created_at).label("oldest")).where(mine)).one()
    return int(row[0]), row.oldest


def _of_company(company: str) -> Any:
    return and_(B.mode == LIVE, B.erp_company == company)


def _time_has_come(now: dt.datetime) -> Any:
    return and_(
        or_(B.next_attempt_at.is_(None), B.next_attempt_at <= now), or_(B.settle_until.is_(None), B.settle_until <= now)
    )


def in_closed_period(connection: Connection, batch_keys: Sequence[str]) -> set[str]:
    """Those of the batches whose period is hard closed."""
    same = (B.entity_id == periods.c.entity_id) & (B.book == periods.c.book) & (B.period == periods.c.period)
    query = select(B.batch_key).join(periods, same).where(periods.c.status == HARD_CLOSED, B.batch_key.in_(batch_keys))
    return set(connection.scalars(query))


def orphaned(connection: Connection, company: str, fence: int) -> list[Batch]:
    """Batches left in `sent` by an earlier holder: nobody knows whether the ERP has them."""
    query = select(*_BATCH).where(_of_company(company), B.status == state.SENT, B.fence < fence).order_by(B.seq)
    return [Batch._make(row) for row in connection.execute(query)]


def next_due(connection: Connection, company: str) -> dt.datetime | None:
    """When the next unfinished live batch of the company may be touched; None if there is none."""
    at_once = literal(dt.datetime.min, DateTime())  # noqa: DTZ901
    attempt, settled = func.coalesce(B.next_attempt_at, at_once), func.coalesce(B.settle_until, at_once)
    later = case((attempt >= settled, attempt), else_=settled)
    return connection.scalar(select(func.min(later)).where(_of_company(company), B.status.in_(list(state.WORKABLE))))


def apply(
    connection: Connection, steps: Sequence[Step], fence: int, holder: str, now: dt.datetime, actor: str = "system"
) -> list[Batch]:
    """Writes the transitions in the caller's transaction and returns the batches as they are now.

    Compare-and-swap on (status, fence): IllegalTransition or Stale for any of them and nothing is written. The number
    of statements does not grow with that of the steps.
    """
    for step in steps:
        state.check(step.batch.status, step.status)
        unknown = set(step.values) - _MOVING
        if unknown:
            raise StoreError(f"a transition cannot write {sorted(unknown)}.")
    _lock(connection, [step.batch for step in steps], fence)
    writes: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    entries, attempts, out = [], [], []
    for step in steps:
        written = {"status": step.status, "fence": fence, **step.values}
        writes.setdefault(tuple(written), []).append({"key_": step.batch.batch_key, **written})
        after = step.batch._replace(**{k: v for k, v in written.items() if k in Batch._fields})
        attempts.append(
            {
                "batch_key": after.batch_key,
                "attempt_no": after.attempts,
                "fence": fence,
                "holder": holder,
                "action": step.action,
                "at": now,
                "outcome": step.outcome,
                "error_class": step.error_class,
                "detail": step.detail,
            }
        )
        before_state = (step.batch.status, step.batch.attempts, step.batch.erp_document_id)
        after_state = (after.status, after.attempts, after.erp_document_id)
        detail = f"{step.batch.status} -> {after.status}"
        entries.append(audit.Entry(actor, "posting", f"batch:{after.batch_key}", before_state, after_state, detail))
        out.append(after)
    for columns, rows in writes.items():
        statement = update(posting_batches).where(B.batch_key == bindparam("key_"))
        connection.execute(statement.values({c: bindparam(c) for c in columns}), rows)
    if attempts:
        connection.execute(insert(posting_attempts), attempts)
    audit.record(connection, now, entries + _keep_read_backs(connection, steps, now, actor))
    return out


def _keep_read_backs(connection: Connection, steps: Sequence[Step], now: dt.datetime, actor: str) -> list[audit.Entry]:
    """Stores the ERP's documents that came with the steps; returns the log's entries about them, with their hashes."""
    rows: list[dict[str, Any]] = [
        {
            "batch_key": step.batch.batch_key,
            "at": now,
            "outcome": step.outcome,
            "document_json": step.read_back,
            "content_hash": content_hash(step.read_back),
        }
        for step in steps
        if step.read_back is not None
    ]
    if rows:
        connection.execute(insert(posting_read_backs), rows)
    return [
        audit.Entry(actor, READ_BACK, f"batch:{r['batch_key']}", None, r["content_hash"], r["outcome"]) for r in rows
    ]


def _lock(connection: Connection, believed: Sequence[Batch], fence: int) -> None:
    """Locks the rows until the transaction ends (SQLite: it holds the only write lock already). Raises Stale unless
    each is as its writer believed and under no higher fence."""
    held: dict[str, tuple[str, int]] = {}
    for part in _chunks([batch.batch_key for batch in believed], 500):
        # In one order for all writers: two that meet wait for each other and do not deadlock.
        query = select(B.batch_key, B.status, B.fence).where(B.batch_key.in_(part)).order_by(B.batch_key)
        held |= {row.batch_key: (row.status, row.fence) for row in connection.execute(query.with_for_update())}
    for batch in believed:
        # Taken out, so that a second transition of one batch in one call is stale as well.
        if held.pop(batch.batch_key, None) != (batch.status, batch.fence) or batch.fence > fence:
            raise Stale(f"batch {batch.batch_key} is no longer {batch.status!r} under fence {batch.fence}.")


def lines_of(connection: Connection, batch_keys: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Batch key -> its lines in order, as dicts of posting_batch_lines."""
    out: dict[str, list[dict[str, Any]]] = {key: [] for key in batch_keys}
    for part in _chunks(list(batch_keys), 500):
        query = select(posting_batch_lines).where(posting_batch_lines.c.batch_key.in_(part))
        for row in connection.execute(
            query.order_by(posting_batch_lines.c.batch_key, posting_batch_lines.c.line_no)
        ).mappings():
            out[row["batch_key"]].append(dict(row))
    return out


def get(connection: Connection, batch_key: str) -> Batch:
    """One batch; StoreError if there is none with this key."""
    row = connection.execute(select(*_BATCH).where(B.batch_key == batch_key)).one_or_none()
    if row is None:
        raise StoreError(f"there is no batch {batch_key}.")
    return Batch._make(row)


def counts(store: Store) -> dict[str, int]:
    """Status -> number of live batches, every status present."""
    with store.read() as connection:
        query = select(B.status, func.count()).where(B.mode == LIVE).group_by(B.status)
        found: dict[str, int] = dict(connection.execute(query).all())
    return {status: found.get(status, 0) for status in state.STATES}


def all_batches(store: Store) -> list[dict[str, Any]]:
    """Every outbox row as a dict, by period and cut order."""
    with store.read() as connection:
        return [dict(r) for r in connection.execute(select(posting_batches).order_by(B.period, B.seq)).mappings()]


def attempts_of(store: Store, batch_key: str) -> list[dict[str, Any]]:
    """What was tried with one batch, oldest first."""
    query = (
        select(posting_attempts)
        .where(posting_attempts.c.batch_key == batch_key)
        .order_by(posting_attempts.c.attempt_id)
    )
    with store.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def _chunks(items: list[str], size: int) -> Iterable[list[str]]:
    return (items[i : i + size] for i in range(0, len(items), size))
