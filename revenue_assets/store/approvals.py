"""Approvals: what waits for a second person, and their decision. Maker is not checker.

The rules stand in the database (migration 0004): whoever bypasses this module meets the same refusals, only in fewer
words. A batch's maker is who ran its cut; a held entry's is who has it, else the system. A checker is a person named in
the config, for the entity and up to an amount.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from revenue_assets.domain import posting_state as state
from revenue_assets.domain.config_approvals import Approvals
from revenue_assets.domain.periods import HARD_CLOSED
from revenue_assets.store import audit, exceptions, leases, outbox, periods
from revenue_assets.store.clock import SYSTEM_CLOCK, Clock
from revenue_assets.store.engine import Store, StoreError
from revenue_assets.store.tables import approval_limits, approvals, approvers, posting_batches
from revenue_assets.store.tables import exceptions as exception_table

APPROVED, REJECTED = "approved", "rejected"
MATERIAL = "closed_period_material"
# Only what booking holds can be approved: the subledger itself refuses by period events, before there is an entry.
BOOKING = "booking"
_ABOUT_REJECTED = (
    "Correct the document at its source: booking reverses the entries and books what is right. Neither this batch nor "
    "the reversal of its entries is posted."
)


class Waiting(NamedTuple):
    """Something that waits for a second person. `amount` in minor units of `currency`; `limit`: what it exceeds."""

    subject: str
    entity_id: str
    period: str | None
    what: str
    currency: str
    amount: int
    limit: int | None
    maker: str
    since: dt.datetime

    @property
    def id(self) -> str:
        return self.subject.partition(":")[2]


def adopt(store: Store, config: Approvals, *, actor: str, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Makes limits and approvers of the store those of the config; True if that changed anything (which is logged)."""
    wanted_limits = sorted((r.entity, r.currency, r.above) for r in config.limits)
    wanted = sorted((r.name, r.entity, r.currency, r.up_to) for r in config.approvers)
    with store.read() as connection:
        before = _authority(connection)
    if before == (wanted_limits, wanted):
        return False
    with store.write() as connection:
        before = _authority(connection)
        for table, rows in ((approval_limits, wanted_limits), (approvers, wanted)):
            connection.execute(delete(table))
            if rows:
                names = [c.name for c in table.c]
                connection.execute(insert(table), [dict(zip(names, row, strict=True)) for row in rows])
        words = f"{len(wanted_limits)} limits, {len(wanted)} approvers"
        change = audit.Entry(actor, "authority", "approvals", before, (wanted_limits, wanted), words)
        audit.record(connection, clock.now(), [change])
    return True


def waiting(store: Store, *, rejected_too: bool = False) -> list[Waiting]:
    """All that waits for a second person, oldest first. `rejected_too`: also entries that were rejected and are still
    held at the same amount; a decision about them may still change."""
    b, e = posting_batches.c, exception_table.c
    with store.read() as connection:
        batches = connection.execute(
            select(b.batch_key, b.entity_id, b.period, b.event_class, b.functional_currency, b.debit_fc,
                   b.approval_limit, b.prepared_by, b.created_at)
            .where(b.status == state.AWAITING_APPROVAL)
        ).all()  # fmt: skip
        held = connection.execute(
            select(e.exception_id, e.entity_id, e.period, e.error_message, e.currency, e.amount, e.assignee,
                   e.opened_at)
            .where(e.category == MATERIAL, e.origin == BOOKING, e.status.not_in(exceptions.DONE))
        ).all()  # fmt: skip
        decided = set(connection.execute(select(approvals.c.subject, approvals.c.amount)).tuples())
    found = [Waiting(f"batch:{r[0]}", r[1], r[2], r[3], *r[4:]) for r in batches]
    found += [
        Waiting(f"exception:{r[0]}", r[1], r[2], r[3] or MATERIAL, r[4], r[5], None, r[6] or "system", r[7])
        for r in held
        if rejected_too or (f"exception:{r[0]}", r[5]) not in decided
    ]
    return sorted(found, key=lambda w: (w.since, w.subject))


def decisions(store: Store, subject: str | None = None) -> list[dict[str, Any]]:
    """Decisions so far, oldest first; of one subject if it is named."""
    query = select(approvals).order_by(approvals.c.approval_id)
    if subject is not None:
        query = query.where(approvals.c.subject == subject)
    with store.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def decide(
    store: Store, id_: str, decision: str, *, checker: str, reason: str, os_login: str, clock: Clock = SYSTEM_CLOCK
) -> Waiting:
    """One person's decision about one waiting batch or entry (its id, or the first 6 characters or more).

    Approved: the batch is planned, the entry is booked by the next run. Rejected: the batch is dead for ever and an
    exception with owner and next step; the entry stays held. StoreError with the reason for whatever is not allowed.
    """
    if not reason.strip():
        raise StoreError("say why: a decision without a reason is not kept.")
    one = _one(waiting(store, rejected_too=True), id_)
    with store.write() as connection:
        now = clock.now()
        _may(connection, one, decision, checker)
        if one.subject.startswith("batch:"):
            batch = outbox.get(connection, one.id)
            _still_waits(batch.status == state.AWAITING_APPROVAL)
            if decision == APPROVED and periods.status_of(connection, batch.entity_id, batch.period) == HARD_CLOSED:
                raise StoreError(
                    f"{batch.period} of {batch.entity_id} is hard closed: nothing is posted there any more. "
                    "Reject the batch, or reopen the period first."
                )
            _sign(connection, one, decision, checker, reason, os_login, now)
            _move(connection, batch, one, decision, checker, reason, now)
        else:
            _sign(connection, one, decision, checker, reason, os_login, now)
            _accept(connection, one, decision, checker, reason, now)
    return one


def reopen_period(
    store: Store, entity_id: str, period: str, *, requested_by: str, approver: str, reason: str,
    clock: Clock = SYSTEM_CLOCK,
) -> None:  # fmt: skip
    """Opens a period again; a hard-closed one on the approval of a person who did not request it.

    Where the entity has approvers, `approver` must be one of them: a period has no amount, so any of them may.
    """
    with store.read() as connection:
        is_hard = periods.status_of(connection, entity_id, period) == HARD_CLOSED
        named: set[str] = set(connection.scalars(select(approvers.c.name).where(approvers.c.entity_id == entity_id)))
    if not is_hard:
        who = {"actor": requested_by or approver, "approver": approver if requested_by else ""}
        periods.reopen(store, entity_id, period, **who, reason=reason, clock=clock)
        return
    if not requested_by or requested_by.lower() == approver.lower():
        raise StoreError(
            f"{period} of {entity_id} is closed: reopening it needs a second person. Say who requested it; you approve."
        )
    if named and approver not in named:
        raise StoreError(f"{approver} is no approver of {entity_id} (company.yaml, approvals).")
    periods.reopen(store, entity_id, period, actor=requested_by, approver=approver, reason=reason, clock=clock)


def _one(found: Sequence[Waiting], id_: str) -> Waiting:
    fits = [w for w in found if w.id == id_ or (len(id_) >= 6 and w.id.startswith(id_))]
    if len(fits) != 1:
        what = "several things that wait for approval have" if fits else "nothing that waits for approval has"
        raise StoreError(f"{what} the id {id_}; `revenue approvals list` shows them.")
    return fits[0]


def _may(connection: Connection, one: Waiting, decision: str, checker: str) -> None:
    if checker.lower() == one.maker.lower():
        raise StoreError(f"{checker} prepared it and cannot decide about it: a second person must.")
    mine = (approvers.c.name == checker) & (approvers.c.entity_id == one.entity_id)
    row = connection.execute(select(approvers).where(mine)).one_or_none()
    if row is None:
        raise StoreError(f"{checker} is no approver of {one.entity_id} (company.yaml, approvals).")
    if decision == APPROVED and (row.currency != one.currency or row.up_to < one.amount):
        raise StoreError(
            f"{checker} may approve up to {row.up_to} {row.currency} (minor units) for {one.entity_id}; "
            f"this is {one.amount} {one.currency}."
        )


def _still_waits(is_so: bool) -> None:
    if not is_so:
        raise StoreError("somebody else decided about it at this moment.")


def _sign(
    connection: Connection, one: Waiting, decision: str, checker: str, reason: str, os_login: str, now: dt.datetime
) -> None:
    connection.execute(
        insert(approvals).values(
            subject=one.subject, entity_id=one.entity_id, maker=one.maker, checker=checker, decision=decision,
            currency=one.currency, amount=one.amount, limit_exceeded=one.limit, at=now, reason=reason.strip(),
            os_login=os_login,
        )
    )  # fmt: skip


def _move(
    connection: Connection,
    batch: outbox.Batch,
    one: Waiting,
    decision: str,
    checker: str,
    reason: str,
    now: dt.datetime,
) -> None:
    words = f"{decision} by {checker}: {reason.strip()}"
    target, error = (state.PLANNED, None) if decision == APPROVED else (state.DEAD, REJECTED)
    values = {} if error is None else {"last_error_class": error, "last_error": words}
    step = outbox.Step(batch, target, "decide", decision, values, error, words)
    fence = max(batch.fence, leases.fence_of(connection, f"erp:{batch.erp_company}"))
    log: list[audit.Entry] = []
    if error is not None:
        item = exceptions.Item(
            category=REJECTED, reference=batch.batch_key, owner_team=exceptions.owner_of(REJECTED, None, {}),
            entity_id=batch.entity_id, period=batch.period, currency=one.currency, amount=one.amount,
            blocks_close=True, severity="error", idempotency_key=batch.batch_key, error_code=REJECTED,
            error_message=f"The batch was {words}", next_action=_ABOUT_REJECTED,
        )  # fmt: skip
        log.append(exceptions.raise_one(connection, "posting", item, now))
    outbox.apply(connection, [step], fence, checker, now, checker)
    audit.record(connection, now, log)


def _accept(connection: Connection, one: Waiting, decision: str, checker: str, reason: str, now: dt.datetime) -> None:
    t = exception_table.c
    open_one = (t.exception_id == one.id) & t.status.not_in(exceptions.DONE)
    values: dict[str, Any] = {"resolution_note": reason.strip()}
    if decision == APPROVED:
        values |= {"status": exceptions.ACCEPTED, "resolution": "accepted", "resolved_by": checker, "resolved_at": now}
    else:
        values["next_action"] = f"Rejected by {checker}: correct the document at its source, or reopen its period."
    changed = connection.execute(update(exception_table).where(open_one).values(**values))
    _still_waits(changed.rowcount == 1)
    words = f"{decision} by {checker}, prepared by {one.maker}: {reason.strip()}"
    audit.record(connection, now, [audit.Entry(checker, "approval", one.subject, None, decision, words)])


def _authority(connection: Connection) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    limits = sorted(tuple(row) for row in connection.execute(select(approval_limits)))
    return limits, sorted(tuple(row) for row in connection.execute(select(approvers)))
