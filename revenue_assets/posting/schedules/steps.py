"""From what the ERP said to the next state of a schedule version. Pure: (version, answer, clock) -> Step.

Two rules are behind all of it. A version goes back to be sent only if it cannot be in the ERP, or a look-up after the
ERP's settle time says that it is not. And what the ERP holds decides, never what it once answered: an answer only
makes a version `taken`.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from revenue_assets.domain import schedule_state as state
from revenue_assets.domain.failures import backoff_seconds, failure
from revenue_assets.posting.erp.port import Failure
from revenue_assets.posting.erp.schedules import (
    HeldSchedule,
    RevenueSchedule,
    ScheduleOutcome,
    SchedulePart,
    differences,
)  # fmt: skip
from revenue_assets.posting.steps import Limits
from revenue_assets.store.exceptions import Item
from revenue_assets.store.outbox import content_hash
from revenue_assets.store.schedule_outbox import Step, Update

SHOWN_DIFFERENCES = 10
_DONE: dict[str, Any] = {"next_attempt_at": None, "settle_until": None, "last_error_class": None, "last_error": None}


def schedule_of(update: Update) -> RevenueSchedule:
    """The version as the ERP port takes it. Raises ValueError if the stored content is not what was planned."""
    if content_hash(update.document_json) != update.content_hash:
        raise ValueError(f"the stored content of schedule {update.update_key} is not what was planned")
    document = json.loads(update.document_json)
    names = (
        "reference", "line", "customer_id", "item", "currency", "functional_currency", "balance_account",
        "revenue_account", "discount_account",
    )  # fmt: skip
    parts = tuple(
        SchedulePart(**(part | {"recognised_on": dt.date.fromisoformat(part["recognised_on"])}))
        for part in document["parts"]
    )
    return RevenueSchedule(
        key=update.schedule_key, version=update.version, company=update.erp_company, parts=parts,
        **{name: document[name] for name in names},
    )  # fmt: skip


def intent(update: Update, now: dt.datetime) -> Step:
    """-> sent: committed before the request leaves."""
    values = {"attempts": update.attempts + 1, "sent_at": now, "next_attempt_at": None, "settle_until": None}
    return Step(update, state.SENT, "put", "intent", values)


def after_put(update: Update, outcome: ScheduleOutcome | None, now: dt.datetime, settle: float, limits: Limits) -> Step:
    """What the answer to a put means. No outcome at all means that nobody knows."""
    if outcome is None:
        outcome = ScheduleOutcome("", failure=Failure("uncertain", "The adapter gave no outcome for this schedule."))
    problem = outcome.failure
    if problem is None:
        values = _DONE | {"erp_schedule_id": outcome.schedule_id}
        return Step(update, state.TAKEN, "put", "ok", values)
    kind = failure(problem.failure_class)
    if not kind.retry or (kind.name == "uncertain" and update.attempts >= limits.attempts_max):
        return dead(update, "put", "failed", problem)
    words = _words(problem)
    noted: dict[str, Any] = {"last_error_class": kind.name, "last_error": words}
    wait = problem.retry_after or backoff_seconds(
        update.attempts, update.update_key, base=limits.backoff_base_seconds, cap=limits.backoff_cap_seconds
    )
    if kind.look_up_first:
        settled = now + dt.timedelta(seconds=max(settle, wait if kind.name == "unavailable" else 0.0))
        return Step(update, state.UNCERTAIN, "put", "unknown", noted | {"settle_until": settled}, kind.name, words)
    later = noted | {"next_attempt_at": now + dt.timedelta(seconds=wait)}
    return Step(update, state.PLANNED, "put", "refused", later, kind.name, words)


def after_look_up(update: Update, held: HeldSchedule | None, newer: int | None) -> Step:
    """What the ERP holds, looked up after the settle time. `newer`: a newer version that we planned meanwhile."""
    version = 0 if held is None else held.schedule.version
    if held is not None and version == update.version:
        return Step(update, state.TAKEN, "find", "found", _DONE | {"erp_schedule_id": held.schedule_id})
    if version > update.version or newer is not None:
        return _overtaken(update, "find", version, newer)
    return Step(update, state.PLANNED, "find", "not there", {"settle_until": None, "next_attempt_at": None})


def after_read_back(
    update: Update, held: HeldSchedule | None, newer: int | None, seen: int, now: dt.datetime, limits: Limits
) -> Step:
    """taken -> verified if the ERP's schedule is ours, part by part. `seen`: read-backs before this one that missed."""
    if held is None or held.schedule.version < update.version:
        if seen + 1 < limits.readbacks_max:
            wait = backoff_seconds(
                seen + 1, update.update_key, base=limits.backoff_base_seconds, cap=limits.backoff_cap_seconds
            )
            values = {"next_attempt_at": now + dt.timedelta(seconds=wait)}
            return Step(update, state.TAKEN, "read back", "not found", values)
        there = "has no such schedule" if held is None else f"holds version {held.schedule.version}"
        words = f"The ERP took version {update.version} and {there}."
        return dead(update, "read back", "different", Failure("readback_mismatch", words))
    if held.schedule.version > update.version:
        return _overtaken(update, "read back", held.schedule.version, newer)
    found = differences(schedule_of(update), held)
    if found:
        rest = len(found) - SHOWN_DIFFERENCES
        words = "; ".join(found[:SHOWN_DIFFERENCES]) + (f"; and {rest} more" if rest > 0 else "")
        return dead(update, "read back", "different", Failure("readback_mismatch", words))
    values = _DONE | {"erp_schedule_id": held.schedule_id, "verified_at": now}
    return Step(update, state.VERIFIED, "read back", "equal", values)


def dead(update: Update, action: str, outcome: str, problem: Failure) -> Step:
    """-> dead: a person must act."""
    words = _words(problem)
    values = {
        "last_error_class": problem.failure_class, "last_error": words, "next_attempt_at": None, "settle_until": None,
    }  # fmt: skip
    return Step(update, state.DEAD, action, outcome, values, problem.failure_class, words)


def exception_of(step: Step, now: dt.datetime) -> Item:
    """The exception of a version that went dead, or has waited long: class, owner, next step in plain words."""
    kind, update = failure(step.error_class or "invalid"), step.update
    document = json.loads(update.document_json)
    return Item(
        category=kind.name,
        reference=update.update_key,
        owner_team=kind.owner,
        entity_id=update.entity_id,
        currency=update.currency,
        amount=update.total_tc,
        blocks_close=True,
        severity="error",
        customer_id=document["customer_id"],
        idempotency_key=update.update_key,
        erp_document=update.erp_schedule_id,
        error_code=kind.name,
        error_message=f"Revenue schedule of {document['reference']}, line {document['line']}, version "
        f"{update.version}: {step.detail}",
        next_action=kind.next_step,
        attempts=update.attempts,
        last_attempt_at=now,
    )


def _overtaken(update: Update, action: str, held: int, newer: int | None) -> Step:
    """A newer version of ours makes this one history. If the ERP's newer one is not ours, somebody else wrote it, or
    our store is older than the ERP: nothing may be written over it."""
    if newer is not None and held <= newer:
        return Step(update, state.SUPERSEDED, action, "overtaken", _DONE)
    words = (
        f"The ERP holds version {held} of this schedule and we are at {newer or update.version}: another system wrote "
        "it, or the operational store was restored from an older backup."
    )
    return dead(update, action, "conflict", Failure("conflict", words))


def _words(problem: Failure) -> str:
    return problem.message + (f" ({problem.evidence[:500]})" if problem.evidence else "")
