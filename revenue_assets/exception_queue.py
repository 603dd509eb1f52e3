"""What people do with exceptions: find, understand, assign, settle, replay. The command line and Dagster call this.

A replay never re-keys anything: a dead batch goes on under its old key (and is looked up first if it was ever sent);
whatever else is an exception is looked at again by the next run, because it is found in the data. Replaying
everything any number of times changes nothing after the first time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from revenue_assets.domain import posting_state
from revenue_assets.posting import outbox as posting
from revenue_assets.posting.schedules import outbox as schedule_posting
from revenue_assets.posting.schedules import worker as schedules
from revenue_assets.store import approvals, audit, exceptions, outbox, schedule_outbox
from revenue_assets.store.clock import SYSTEM_CLOCK, Clock
from revenue_assets.store.engine import Store, StoreError
from revenue_assets.store.exceptions import DONE, IN_PROGRESS, OPEN, READY_FOR_REPLAY
from revenue_assets.store.tables import exceptions as table

# Origins of exceptions about a row of an outbox; `idempotency_key` is its key.
POSTING, SCHEDULES = "posting", schedules.ORIGIN
# Origins whose exceptions hold lines back, so that only the correction of the cause ends them.
HELD = ("booking", "batching")
SHORT_ID = 8
FILTERS = ("owner_team", "category", "entity_id", "period", "status", "assignee")


class _Outbox(NamedTuple):
    """What stands behind an origin: its rows are called `noun`, and carry a `content` to the ERP."""

    noun: str
    content: str
    get: Callable[[Connection, str], Any]
    attempts_of: Callable[[Store, str], list[dict[str, Any]]]
    replay: Callable[..., Any]


_OUTBOXES = {
    POSTING: _Outbox("batch", "journal", outbox.get, outbox.attempts_of, posting.replay),
    SCHEDULES: _Outbox(
        "schedule", "version", schedule_outbox.get, schedule_outbox.attempts_of, schedule_posting.replay
    ),
}


class Replayed(NamedTuple):
    """One exception of a replay: whether it moved, and a sentence about it."""

    exception_id: str
    category: str
    reference: str
    moved: bool
    words: str


def listed(store: Store, *, closed_too: bool = False, clock: Clock = SYSTEM_CLOCK, **filters: str | None) -> list[dict]:
    """Exceptions as dicts with `age_days` and `next_action`, oldest first. `filters`: a column of FILTERS -> value."""
    query = select(table).order_by(table.c.opened_at, table.c.exception_id)
    for column, value in filters.items():
        if value is not None:
            query = query.where(table.c[column] == value)
    if not closed_too and not filters.get("status"):
        query = query.where(table.c.status.not_in(DONE))
    now = clock.now()
    with store.read() as connection:
        return [_aged(dict(row), now) for row in connection.execute(query).mappings()]


def get(store: Store, exception_id: str, *, clock: Clock = SYSTEM_CLOCK) -> dict[str, Any]:
    """One exception by its id or the first characters of it (6 or more); StoreError if none or several fit."""
    column = table.c.exception_id
    wanted = column.like(f"{exception_id}%") if len(exception_id) >= 6 and exception_id.isalnum() else None
    query = select(table).where(column == exception_id if wanted is None else wanted).limit(2)
    with store.read() as connection:
        found = connection.execute(query).mappings().all()
    if len(found) != 1:
        raise StoreError(f"{'no exception has' if not found else 'several exceptions have'} the id {exception_id}.")
    return _aged(dict(found[0]), clock.now())


def described(store: Store, exception_id: str, *, clock: Clock = SYSTEM_CLOCK) -> dict[str, Any]:
    """All there is about one exception: its facts, its history in the audit log, its batch (or the version of a revenue
    schedule; `outbox` says which) and what was tried with it.

    `next_step` is what to do now, which depends on how far it has come.
    """
    row = get(store, exception_id, clock=clock)
    out: dict[str, Any] = {"exception": row, "batch": None, "outbox": None, "attempts": [], "next_step": next_step(row)}
    out["history"] = audit.of_subject(store, f"exception:{row['exception_id']}")
    out["decisions"] = approvals.decisions(store, f"exception:{row['exception_id']}")
    if behind := _OUTBOXES.get(row["origin"]):
        with store.read() as connection:
            out["batch"] = behind.get(connection, row["idempotency_key"])._asdict()
        out["batch"].pop("document_json")
        out["outbox"] = behind.noun
        out["decisions"] += approvals.decisions(store, f"{behind.noun}:{row['idempotency_key']}")
        out["attempts"] = behind.attempts_of(store, row["idempotency_key"])
    return out


def next_step(row: dict[str, Any]) -> str:
    """What to do now, in words."""
    if row["status"] in DONE:
        return f"Nothing: {row['status'].lower()} by {row['resolved_by']}."
    if row["status"] == READY_FOR_REPLAY:
        return "Nothing: the next run takes it up (ready_batches_sensor, or `revenue post` / `revenue refresh`)."
    return str(row["next_action"] or exceptions.next_step(row["category"]))


def assign(store: Store, exception_id: str, to: str, *, actor: str, clock: Clock = SYSTEM_CLOCK) -> None:
    """Gives it to a person; an open one is in progress from now on. Assigning it to whoever has it changes nothing."""
    row = _unsettled(store, exception_id)
    if row["assignee"] == to:
        return
    status = IN_PROGRESS if row["status"] == OPEN else row["status"]
    exceptions.set_status(store, row["exception_id"], status, actor=actor, assignee=to, clock=clock)


def settle(store: Store, exception_id: str, status: str, *, actor: str, note: str, clock: Clock = SYSTEM_CLOCK) -> None:
    """`Resolved` (the cause is gone; if it is not, the next run opens it again) or `Accepted` (it may stay as it is).

    Refused with a sentence where it would hide something: a batch that is not in the ERP yet.
    """
    row = _unsettled(store, exception_id)
    if behind := _OUTBOXES.get(row["origin"]):
        with store.read() as connection:
            status = behind.get(connection, row["idempotency_key"]).status
        raise StoreError(
            f"{behind.noun} {row['idempotency_key']} is {status}: its {behind.content} is not in the ERP, and no note "
            f"puts it there. Correct the cause and replay; the exception ends when the {behind.noun} is verified."
        )
    if row["category"] == approvals.MATERIAL:
        raise StoreError(
            f"a second person decides about it: revenue approvals approve {row['exception_id'][:SHORT_ID]}."
            if row["origin"] == approvals.BOOKING
            else "the subledger learned by an event that its period is closed: send period.reopened, or a document "
            "dated in an open period."
        )
    if row["origin"] in HELD:
        raise StoreError("booked or posted lines wait for it; it ends by itself once its cause is corrected.")
    exceptions.set_status(store, row["exception_id"], status, actor=actor, note=note, clock=clock)


def replay(
    store: Store,
    *,
    ids: Iterable[str] = (),
    category: str | None = None,
    actor: str,
    note: str = "",
    clock: Clock = SYSTEM_CLOCK,
) -> list[Replayed]:
    """Takes up again the exceptions named, or all open ones of a class. Each is its own transaction."""
    rows = [get(store, exception_id, clock=clock) for exception_id in ids]
    if category is not None:
        rows += listed(store, category=category, clock=clock)
    return [Replayed(r["exception_id"], r["category"], r["source_reference"], *_again(store, r, actor, note, clock))
            for r in _once(rows)]  # fmt: skip


def _again(store: Store, row: dict[str, Any], actor: str, note: str, clock: Clock) -> tuple[bool, str]:
    if row["status"] in DONE:
        return False, f"is {row['status'].lower()} already"
    behind = _OUTBOXES.get(row["origin"])
    if behind is None:
        if row["status"] == READY_FOR_REPLAY:
            return False, "waits for the next run already"
        exceptions.set_status(store, row["exception_id"], READY_FOR_REPLAY, actor=actor, note=note, clock=clock)
        return True, "the next run looks at it again"
    with store.read() as connection:
        status = behind.get(connection, row["idempotency_key"]).status
    if status != posting_state.DEAD:
        return False, f"its {behind.noun} is {status.replace('_', ' ')} and goes on by itself"
    try:
        after = behind.replay(store, row["idempotency_key"], actor=actor, note=note, clock=clock)
    except StoreError as refused:
        return False, str(refused)
    how = "looked up in the ERP, then sent if it is not there" if after.attempts else "sent"
    return True, f"its {behind.noun} is {how} by the next posting run, under its old key"


def _once(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for row in rows:
        if row["exception_id"] not in seen:
            seen.add(row["exception_id"])
            yield row


def _unsettled(store: Store, exception_id: str) -> dict[str, Any]:
    row = get(store, exception_id)
    if row["status"] in DONE:
        raise StoreError(f"exception {row['exception_id'][:SHORT_ID]} is {row['status'].lower()} already.")
    return row


def _aged(row: dict[str, Any], now: dt.datetime) -> dict[str, Any]:
    return row | {"age_days": max(0, (now - row["opened_at"]).days), "next_step": next_step(row)}
