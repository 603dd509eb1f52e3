"""Exceptions: what a person must look at. Identity lasts over runs; every one has an owner and a next step.

The machine opens, updates and clears them by what it sees; a person assigns, accepts or resolves. What the machine
still sees cannot stay `Resolved`; `Accepted` (waived with a note) stays so while its amount stays the same.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, bindparam, insert, select, update

from revenue_assets.domain.failures import BLOCKING_CLASSES, CLASSES, EXCEPTION_OWNERS, FALLBACK_OWNER
from revenue_assets.store import audit
from revenue_assets.store.clock import SYSTEM_CLOCK, Clock
from revenue_assets.store.engine import Store, StoreError
from revenue_assets.store.tables import exceptions

OPEN, IN_PROGRESS, WAITING, READY_FOR_REPLAY, RESOLVED, ACCEPTED = (
    "Open", "In progress", "Waiting on source", "Ready for replay", "Resolved", "Accepted",
)  # fmt: skip
DONE = frozenset({RESOLVED, ACCEPTED})
STATUSES = frozenset({OPEN, IN_PROGRESS, WAITING, READY_FOR_REPLAY}) | DONE
CLEARED = "cleared"  # resolution of what the machine no longer sees


class Item(NamedTuple):
    """One exception as seen now. Amount in minor units of `currency`; `reference` is what a person searches for."""

    category: str
    reference: str
    owner_team: str
    entity_id: str | None = None
    recon_id: str | None = None
    period: str | None = None
    currency: str | None = None
    amount: int | None = None
    blocks_close: bool = False
    severity: str = "warning"
    customer_id: str | None = None
    correlation_id: str | None = None
    source_event_id: str | None = None
    idempotency_key: str | None = None
    erp_document: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    next_action: str | None = None
    attempts: int = 0
    last_attempt_at: dt.datetime | None = None
    key: str | None = None

    @property
    def exception_id(self) -> str:
        """`key` if whoever saw it has its own identity for it (a refused event), else the one of its content."""
        return self.key or exception_id(self.recon_id, self.category, self.entity_id, self.reference)


@dataclass(frozen=True)
class SyncReport:
    """What one look changed; `open` counts what is open after it, of the same origin."""

    opened: int
    reopened: int
    cleared: int
    open: int


def exception_id(recon_id: str | None, category: str, entity_id: str | None, reference: str) -> str:
    """The lasting identity: md5 of `recon|class|entity|reference`, nothing for a part that is absent. SQL
    computes the same."""
    return hashlib.md5(
        "|".join((recon_id or "", category, entity_id or "", reference)).encode(), usedforsecurity=False
    ).hexdigest()


def owner_of(category: str, recon_owner: str | None, class_owners: Mapping[str, str]) -> str:
    """Policy's owner of the class, else the reconciliation's, else the class's usual one; never nobody."""
    return class_owners.get(category) or recon_owner or EXCEPTION_OWNERS.get(category) or FALLBACK_OWNER


def next_step(category: str) -> str:
    """What to do about an exception of a class, where whoever raised it did not say; never nothing."""
    if category in CLASSES:
        return CLASSES[category].next_step
    return "Find the cause by the reference and correct it at its source; the next run clears it by itself."


def blocks(category: str) -> bool:
    return category in BLOCKING_CLASSES


def sync(connection: Connection, origin: str, items: Iterable[Item], now: dt.datetime) -> SyncReport:
    """Makes the exceptions of `origin` equal to `items`: opens new ones, reopens returned ones, clears gone ones.

    Keeps first_seen_at, assignee and a person's notes. Twice with the same items changes nothing but last_seen_at.
    """
    seen = {item.exception_id: item for item in items}
    known = {
        r.exception_id: r
        for r in connection.execute(select(exceptions).where(exceptions.c.origin == origin)).mappings()
    }
    new = [_new_row(origin, key, item, now) for key, item in seen.items() if key not in known]
    updates, log, reopened = [], [], 0
    for key, item in seen.items():
        if key not in known:
            continue
        values = _facts(item) | {"last_seen_at": now}
        old = known[key]
        if old["status"] == RESOLVED or (old["status"] == ACCEPTED and old["amount"] != item.amount):
            reopened += 1
            values |= _reopened(old["reopened"], now)
            log.append(_entry("system", key, old["status"], OPEN, "seen again"))
        else:
            values |= {
                c: old[c]
                for c in ("status", "opened_at", "reopened", "cleared_at", "resolution", "resolved_at", "resolved_by")
            }
            if old["status"] == READY_FOR_REPLAY:
                values["status"] = OPEN
                log.append(_entry("system", key, READY_FOR_REPLAY, OPEN, "looked at again: it is still there"))
        updates.append(values | {"key_": key})
    gone = [key for key, old in known.items() if key not in seen and old["status"] != RESOLVED]
    if new:
        connection.execute(insert(exceptions), new)
    _update(connection, updates)
    _update(connection, [_cleared_row(key, now) for key in gone])
    log += [_entry("system", row["exception_id"], None, OPEN, row["category"]) for row in new]
    log += [_entry("system", key, known[key]["status"], RESOLVED, CLEARED) for key in gone]
    audit.record(connection, now, log)
    still = sum(
        1
        for key in seen
        if key not in known or known[key]["status"] != ACCEPTED or known[key]["amount"] != seen[key].amount
    )
    return SyncReport(len(new), reopened, len(gone), still)


def raise_one(connection: Connection, origin: str, item: Item, now: dt.datetime) -> audit.Entry:
    """Opens, reopens or updates a single exception in the caller's transaction; returns the audit entry to record."""
    key = item.exception_id
    old = connection.execute(select(exceptions).where(exceptions.c.exception_id == key)).mappings().one_or_none()
    if old is None:
        connection.execute(insert(exceptions).values(**_new_row(origin, key, item, now)))
    else:
        values = _facts(item) | {"last_seen_at": now}
        if old["status"] in DONE:
            values |= _reopened(old["reopened"], now)
        elif old["status"] == READY_FOR_REPLAY:  # the replay failed as before: same exception, same age
            values |= {"status": OPEN, "reopened": old["reopened"] + 1}
        connection.execute(update(exceptions).where(exceptions.c.exception_id == key).values(**values))
    after = OPEN if old is None or old["status"] in DONE | {READY_FOR_REPLAY} else old["status"]
    return _entry("system", key, None if old is None else old["status"], after, item.category)


def clear_batches(
    connection: Connection, batch_keys: Sequence[str], now: dt.datetime, *, origin: str = "posting"
) -> list[audit.Entry]:
    """Clears every open exception about these posting batches (or of another origin's keys); they went on. Returns the
    audit entries to record."""
    mine = and_(
        exceptions.c.origin == origin, exceptions.c.status.in_(STATUSES - {RESOLVED}),
        exceptions.c.idempotency_key.in_(batch_keys),
    )  # fmt: skip
    query = select(exceptions.c.exception_id, exceptions.c.status).where(mine)
    found: dict[str, str] = dict(connection.execute(query.order_by(exceptions.c.exception_id)).all())
    _update(connection, [_cleared_row(key, now) for key in found])
    return [_entry("system", key, status, RESOLVED, CLEARED) for key, status in found.items()]


def _update(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows of the same columns; `key_` is the exception."""
    if rows:
        statement = update(exceptions).where(exceptions.c.exception_id == bindparam("key_"))
        connection.execute(statement.values({c: bindparam(c) for c in rows[0] if c != "key_"}), rows)


def ready_for_replay(
    connection: Connection, batch_key: str, actor: str, note: str | None, *, origin: str = "posting"
) -> list[audit.Entry]:
    """Marks every open exception about one posting batch (or another origin's key), which a person takes up again; it
    keeps its age until the batch is verified. Returns the audit entries to record."""
    mine = and_(
        exceptions.c.idempotency_key == batch_key, exceptions.c.origin == origin, exceptions.c.status.not_in(DONE)
    )
    query = select(exceptions.c.exception_id, exceptions.c.status).where(mine)
    found: dict[str, str] = dict(connection.execute(query).all())
    connection.execute(update(exceptions).where(mine).values(status=READY_FOR_REPLAY))
    return [_entry(actor, key, old, READY_FOR_REPLAY, note) for key, old in found.items()]


def set_status(
    store: Store,
    exception_key: str,
    status: str,
    *,
    actor: str,
    note: str = "",
    assignee: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """A person's step. `Accepted` and `Resolved` need a note; StoreError for an unknown exception or status."""
    if status not in STATUSES:
        raise StoreError(f"{status!r} is not a status; use one of: {', '.join(sorted(STATUSES))}.")
    if status in DONE and not note.strip():
        raise StoreError(f"to set {status!r}, say why in a note.")
    with store.write() as connection:
        now = clock.now()
        old = (
            connection.execute(select(exceptions).where(exceptions.c.exception_id == exception_key))
            .mappings()
            .one_or_none()
        )
        if old is None:
            raise StoreError(f"there is no exception {exception_key}.")
        done = status in DONE
        values: dict[str, Any] = {
            "status": status,
            "assignee": assignee or old["assignee"],
            "resolution": status.lower() if done else None,
            "resolution_note": note or old["resolution_note"],
            "resolved_by": actor if done else None,
            "resolved_at": now if done else None,
        }
        connection.execute(update(exceptions).where(exceptions.c.exception_id == exception_key).values(**values))
        words = "; ".join(w for w in (f"assigned to {assignee}" if assignee else "", note) if w)
        audit.record(connection, now, [_entry(actor, exception_key, old["status"], status, words or None)])


def accepted_references(connection: Connection, origin: str, category: str) -> set[str]:
    """References whose exception of this class a person accepted."""
    mine = and_(exceptions.c.origin == origin, exceptions.c.category == category, exceptions.c.status == ACCEPTED)
    return set(connection.scalars(select(exceptions.c.source_reference).where(mine)))


def all_exceptions(store: Store, *, open_only: bool = False) -> list[dict[str, Any]]:
    """Exceptions as dicts, oldest first."""
    query = select(exceptions).order_by(exceptions.c.first_seen_at, exceptions.c.exception_id)
    if open_only:
        query = query.where(exceptions.c.status.not_in(DONE))
    with store.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def _entry(actor: str, key: str, old: str | None, new: str, words: str | None) -> audit.Entry:
    """The log's line about a change of status, readable as it stands."""
    detail = f"{old or 'new'} -> {new}" + (f": {words}" if words else "")
    return audit.Entry(actor, "exception", f"exception:{key}", old, new, detail)


def _facts(item: Item) -> dict[str, Any]:
    facts = item._asdict()
    facts["next_action"] = item.next_action or next_step(item.category)
    facts["source_reference"] = facts.pop("reference")
    del facts["key"]
    return facts


def _new_row(origin: str, key: str, item: Item, now: dt.datetime) -> dict[str, Any]:
    if not item.owner_team:
        raise StoreError(f"an exception of class {item.category!r} has no owner.")
    lasting = {"exception_id": key, "origin": origin, "status": OPEN, "reopened": 0}
    return _facts(item) | lasting | {"first_seen_at": now, "opened_at": now, "last_seen_at": now}


def _reopened(times: int, now: dt.datetime) -> dict[str, Any]:
    gone = dict.fromkeys(("cleared_at", "resolution", "resolved_at", "resolved_by"))
    return {"status": OPEN, "opened_at": now, "reopened": times + 1} | gone


def _cleared_row(key: str, now: dt.datetime) -> dict[str, Any]:
    done = {"status": RESOLVED, "cleared_at": now, "resolution": CLEARED, "resolved_at": now, "resolved_by": "system"}
    return done | {"key_": key}
