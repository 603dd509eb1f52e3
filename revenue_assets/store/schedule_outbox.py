"""The outbox of revenue schedules: one row per version, from planned to verified. Writes are compare-and-swap.

Like `store.outbox`, with what a schedule adds: versions of one schedule follow each other, the newest is the truth,
and a version waits while an older one of its schedule may still reach the ERP.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, exists, func, insert, or_, select, update

from revenue_assets.domain import schedule_state as state
from revenue_assets.store import audit
from revenue_assets.store.engine import Store, StoreError
from revenue_assets.store.outbox import Stale
from revenue_assets.store.tables import schedule_attempts, schedule_updates

U = schedule_updates.c
# Rows of one statement: below the number of parameters that every SQLite takes.
_CHUNK = 500


class Update(NamedTuple):
    """One version of one schedule as the worker needs it. Instants naive UTC."""

    update_key: str
    schedule_key: str
    version: int
    seq: int
    entity_id: str
    erp_company: str
    currency: str
    total_tc: int
    document_json: str
    content_hash: str
    status: str
    fence: int
    attempts: int
    next_attempt_at: dt.datetime | None
    settle_until: dt.datetime | None
    sent_at: dt.datetime | None
    erp_schedule_id: str | None
    last_error_class: str | None


_UPDATE = [U[name] for name in Update._fields]
_MOVING = frozenset(
    {"attempts", "next_attempt_at", "settle_until", "sent_at", "verified_at", "erp_schedule_id", "last_error_class",
     "last_error"}
)  # fmt: skip


class Step(NamedTuple):
    """One transition of one version, with what is noted about it."""

    update: Update
    status: str
    action: str
    outcome: str
    values: Mapping[str, Any] = MappingProxyType({})
    error_class: str | None = None
    detail: str | None = None


class Known(NamedTuple):
    """The newest version of a schedule."""

    schedule_key: str
    entity_id: str
    version: int
    content_hash: str


def update_key(schedule_key: str, version: int) -> str:
    """The name of a version: what its exceptions and its lines in the audit log go by."""
    return f"{schedule_key}.{version}"


def newest(connection: Connection, entities: Iterable[str]) -> list[Known]:
    """The newest version of every schedule of the entities."""
    last = (
        select(U.schedule_key, func.max(U.version).label("version"))
        .where(U.entity_id.in_(sorted(entities)))
        .group_by(U.schedule_key)
        .subquery()
    )
    query = select(*(U[name] for name in Known._fields)).join(
        last, and_(U.schedule_key == last.c.schedule_key, U.version == last.c.version)
    )
    return [Known._make(row) for row in connection.execute(query)]


def add_versions(connection: Connection, rows: Sequence[dict[str, Any]], now: dt.datetime) -> int:
    """Adds planned versions; what was planned of their schedules and never sent is superseded with it.

    `rows`: the columns of identity and content. Returns how many were superseded. Another process that planned the same
    version at the same moment makes one of the two fail on the table's key.
    """
    if not rows:
        return 0
    seq = connection.scalar(select(func.max(U.seq))) or 0
    moving = {"status": state.PLANNED, "fence": 0, "attempts": 0, "created_at": now}
    new = [
        row | moving | {"seq": seq + n, "update_key": update_key(row["schedule_key"], row["version"])}
        for n, row in enumerate(rows, 1)
    ]
    overtaken: list[Update] = []
    for start in range(0, len(new), _CHUNK):
        keys = [row["schedule_key"] for row in new[start : start + _CHUNK]]
        waiting = select(*_UPDATE).where(U.schedule_key.in_(keys), U.status == state.PLANNED)
        overtaken += [Update._make(row) for row in connection.execute(waiting)]
    connection.execute(insert(schedule_updates), new)
    actor = connection.info.get("actor", "system")
    log = [
        audit.Entry(actor, "schedule", f"schedule:{r['update_key']}", None, r["content_hash"], r["status"]) for r in new
    ]
    steps = [Step(one, state.SUPERSEDED, "plan", "overtaken") for one in overtaken]
    audit.record(connection, now, log + _write(connection, steps, None, actor, now, actor))
    return len(overtaken)


def due(
    connection: Connection, company: str, now: dt.datetime, statuses: Iterable[str], settle_seconds: float, limit: int
) -> list[Update]:
    """Versions of one ERP company in these states whose time has come, in the order in which they were planned.

    A planned one waits for an older version that is in flight, and for one that died while it was.
    """
    mine = and_(U.status.in_(list(statuses)), _can_move(company, now, now - dt.timedelta(seconds=settle_seconds)))
    query = select(*_UPDATE).where(mine).order_by(U.seq).limit(limit)
    return [Update._make(row) for row in connection.execute(query)]


def _can_move(company: str, now: dt.datetime, settled: dt.datetime) -> Any:
    """`settled`: what was sent before then has reached the ERP, or never will."""
    older = schedule_updates.alias()
    before = and_(older.c.schedule_key == U.schedule_key, older.c.version < U.version)
    moving = or_(
        older.c.status.in_(list(state.IN_FLIGHT)), and_(older.c.status == state.DEAD, older.c.sent_at > settled)
    )
    return and_(
        U.erp_company == company,
        or_(U.next_attempt_at.is_(None), U.next_attempt_at <= now),
        or_(U.settle_until.is_(None), U.settle_until <= now),
        or_(U.status != state.PLANNED, ~exists().where(before, moving)),
    )


def backlog(connection: Connection, company: str, now: dt.datetime) -> tuple[int, dt.datetime | None]:
    """How many versions of the company a worker could take up now, and when the oldest of them was planned."""
    mine = and_(U.status.in_(list(state.WORKABLE)), _can_move(company, now, now))
    number = connection.scalar(select(func.count()).select_from(schedule_updates).where(mine)) or 0
    return number, connection.scalar(select(func.min(U.created_at)).where(mine))


def companies(connection: Connection) -> list[str]:
    """ERP companies with versions that are not at their end."""
    return sorted(connection.scalars(select(U.erp_company).where(U.status.in_(list(state.WORKABLE))).distinct()))


def waiting(connection: Connection, company: str) -> int:
    """How many versions of the company are not at their end."""
    mine = and_(U.erp_company == company, U.status.in_(list(state.WORKABLE)))
    return connection.scalar(select(func.count()).select_from(schedule_updates).where(mine)) or 0


def orphaned(connection: Connection, company: str, fence: int) -> list[Update]:
    """Versions left in `sent` by an earlier holder: nobody knows whether the ERP has them."""
    query = select(*_UPDATE).where(U.erp_company == company, U.status == state.SENT, U.fence < fence).order_by(U.seq)
    return [Update._make(row) for row in connection.execute(query)]


def next_due(connection: Connection, company: str) -> dt.datetime | None:
    """When the next unfinished version of the company may be touched; None if there is none."""
    query = select(U.next_attempt_at, U.settle_until).where(
        U.erp_company == company, U.status.in_(list(state.WORKABLE))
    )
    least = dt.datetime.min  # noqa: DTZ901
    return min((max(r[0] or least, r[1] or least) for r in connection.execute(query)), default=None)


def apply(
    connection: Connection, steps: Sequence[Step], fence: int, holder: str, now: dt.datetime, actor: str = "system"
) -> tuple[list[Update], list[str]]:
    """Writes the transitions in the caller's transaction; returns the versions as they are now, and the keys of those
    that came to their end: verified, superseded, and older ones that a verified one leaves behind.

    Compare-and-swap on (status, fence): IllegalTransition or Stale for any of them and nothing is written.
    """
    log = _write(connection, steps, fence, holder, now, actor)
    left: list[Update] = []
    for step in steps:
        if step.status == state.VERIFIED:
            mine = and_(U.schedule_key == step.update.schedule_key, U.version < step.update.version)
            query = select(*_UPDATE).where(mine, U.status.in_([state.DEAD, state.PLANNED]))
            left += [Update._make(row) for row in connection.execute(query)]
    log += _write(
        connection, [Step(one, state.SUPERSEDED, "overtake", "overtaken") for one in left], None, holder, now, actor
    )
    audit.record(connection, now, log)
    after = [
        step.update._replace(
            status=step.status, fence=fence, **{k: v for k, v in step.values.items() if k in Update._fields}
        )
        for step in steps
    ]
    over = [one.update_key for one in after if one.status in state.FINAL]
    return after, over + [one.update_key for one in left]


def _write(
    connection: Connection, steps: Sequence[Step], fence: int | None, holder: str, now: dt.datetime, actor: str
) -> list[audit.Entry]:
    """The transitions, their attempts; returns what the audit log is to say. `fence` None: each keeps its own."""
    log, attempts = [], []
    for step in steps:
        old = step.update
        state.check(old.status, step.status)
        unknown = set(step.values) - _MOVING
        if unknown:
            raise StoreError(f"a transition cannot write {sorted(unknown)}.")
        mine = and_(U.update_key == old.update_key, U.status == old.status, U.fence == old.fence)
        new_fence = old.fence if fence is None else fence
        changed = connection.execute(
            update(schedule_updates)
            .where(mine, U.fence <= new_fence)
            .values(status=step.status, fence=new_fence, **step.values)
        )
        if changed.rowcount != 1:
            raise Stale(f"schedule {old.update_key} is no longer {old.status!r} under fence {old.fence}.")
        tries = int(step.values.get("attempts", old.attempts))
        attempts.append(
            {
                "update_key": old.update_key, "attempt_no": tries, "fence": new_fence, "holder": holder,
                "action": step.action, "at": now, "outcome": step.outcome, "error_class": step.error_class,
                "detail": step.detail,
            }
        )  # fmt: skip
        before, after = (old.status, old.attempts), (step.status, tries)
        detail = f"{old.status} -> {step.status}"
        log.append(audit.Entry(actor, "schedule", f"schedule:{old.update_key}", before, after, detail))
    if attempts:
        connection.execute(insert(schedule_attempts), attempts)
    return log


def get(connection: Connection, update_key: str) -> Update:
    """One version; StoreError if there is none with this key."""
    row = connection.execute(select(*_UPDATE).where(U.update_key == update_key)).one_or_none()
    if row is None:
        raise StoreError(f"there is no schedule update {update_key}.")
    return Update._make(row)


def newer_than(connection: Connection, one: Update) -> int | None:
    """The newest version of the schedule if it is not this one."""
    newest_version = connection.scalar(select(func.max(U.version)).where(U.schedule_key == one.schedule_key))
    return newest_version if newest_version is not None and newest_version > one.version else None


def misses(connection: Connection, update_keys: Sequence[str]) -> dict[str, int]:
    """How often a read-back did not find each version; those that were always found are missing."""
    a = schedule_attempts.c
    query = (
        select(a.update_key, func.count())
        .where(a.update_key.in_(update_keys), a.action == "read back", a.outcome == "not found")
        .group_by(a.update_key)
    )
    found: dict[str, int] = dict(connection.execute(query).all())
    return found


def counts(store: Store, entity_id: str | None = None) -> dict[str, int]:
    """Status -> number of versions, every status present; of all entities or of one."""
    query = select(U.status, func.count()).group_by(U.status)
    if entity_id is not None:
        query = query.where(U.entity_id == entity_id)
    with store.read() as connection:
        found: dict[str, int] = dict(connection.execute(query).all())
    return {status: found.get(status, 0) for status in state.STATES}


def standing(store: Store) -> dict[str, int]:
    """Status -> number of schedules whose newest version is in it, as far as there are any."""
    last = select(U.schedule_key, func.max(U.version).label("version")).group_by(U.schedule_key).subquery()
    newest_row = and_(U.schedule_key == last.c.schedule_key, U.version == last.c.version)
    query = select(U.status, func.count()).select_from(schedule_updates).join(last, newest_row).group_by(U.status)
    with store.read() as connection:
        found: dict[str, int] = dict(connection.execute(query).all())
    return {status: found[status] for status in state.STATES if status in found}


def unfinished(connection: Connection, entity_id: str) -> dict[str, int] | None:
    """Status -> number of versions of the entity that are not at their end; None if it has no schedules at all."""
    query = select(U.status, func.count()).where(U.entity_id == entity_id).group_by(U.status)
    found: dict[str, int] = dict(connection.execute(query).all())
    return {s: n for s, n in sorted(found.items()) if s not in state.FINAL} if found else None


def all_updates(store: Store) -> list[dict[str, Any]]:
    """Every row as a dict, in the order of planning."""
    with store.read() as connection:
        return [dict(row) for row in connection.execute(select(schedule_updates).order_by(U.seq)).mappings()]


def attempts_of(store: Store, update_key: str) -> list[dict[str, Any]]:
    """What was tried with one version, oldest first."""
    query = select(schedule_attempts).where(schedule_attempts.c.update_key == update_key)
    with store.read() as connection:
        return [dict(row) for row in connection.execute(query.order_by(schedule_attempts.c.attempt_id)).mappings()]
