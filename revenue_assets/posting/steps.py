"""From what the ERP said to the batch's next state. Pure: (batch, answer, clock) -> Step; the worker writes it.

The one rule behind all of it: a batch goes back to be sent only if nothing of it can be in the ERP, or a look-up made
after the ERP's settle time says that nothing is.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from revenue_assets.domain import posting_state as state
from revenue_assets.domain.failures import backoff_seconds, failure
from revenue_assets.posting.erp.documents import Difference, as_json, compare, short_key
from revenue_assets.posting.erp.port import (
    Application,
    Customer,
    Failure,
    Found,
    Journal,
    Line,
    Outcome,
    PostedDocument,
)  # fmt: skip
from revenue_assets.store.audit import canonical
from revenue_assets.store.exceptions import Item
from revenue_assets.store.outbox import Batch, Step, content_hash

UNPOSTED = "unposted"


@dataclass(frozen=True)
class Limits:
    """Bounds of one drain. Seconds unless the name says otherwise.

    documents_per_call: intents committed together, and sent in one `submit` (the adapter's own bound applies too).
    max_wait_seconds: how long a drain may sleep for settle times
        and back-off before it leaves the rest to the next one.
    breaker_failures: failed calls in a row that open the company's circuit.
    attempts_max: sends of one batch whose outcome stays unknown before a person must look.
    readbacks_max: read-backs that do not find the document before a person must look.
    draft_seconds: how long the ERP may hold a document unposted (an approval, a queue) before somebody is told.
    lease_seconds: must outlast the longest single call to the ERP.
    """

    documents_per_call: int = 50
    max_wait_seconds: float = 0.0
    backoff_base_seconds: float = 2.0
    backoff_cap_seconds: float = 900.0
    breaker_failures: int = 3
    attempts_max: int = 25
    readbacks_max: int = 5
    draft_seconds: float = 86_400.0
    lease_seconds: float = 300.0
    lease_wait_seconds: float = 10.0


def journal_of(batch: Batch, key_length_max: int) -> Journal:
    """The outbox row as the ERP port takes it. Raises ValueError if the stored document is not what was committed."""
    if content_hash(batch.document_json) != batch.content_hash:
        raise ValueError(f"the stored document of batch {batch.batch_key} is not the one its key was made for")
    document = json.loads(batch.document_json)
    customer, due_date = document.get("customer"), document.get("due_date")
    return Journal(
        key=short_key(batch.batch_key, key_length_max),
        company=batch.erp_company,
        accounting_date=dt.date.fromisoformat(document["date"]),
        period=document["period"],
        functional_currency=document["functional_currency"],
        lines=tuple(_line(line, document["functional_currency"]) for line in document["lines"]),
        text=f"{document['event_class']} {document['entity_id']} {document['period']}",
        kind=document.get("kind", "journal"),
        customer=Customer(customer["id"], customer.get("name") or customer["id"]) if customer else None,
        reference=document.get("reference"),
        due_date=dt.date.fromisoformat(due_date) if due_date else None,
        applies_to=tuple(
            Application(part["reference"], part["amount_tc"], part["currency"])
            for part in document.get("applies_to") or ()
        ),
    )


def _line(line: dict[str, Any], functional_currency: str) -> Line:
    words = [line["account_role"], line["product_family"] or "", "prior period" if line["prior_period"] else ""]
    count = line["member_count"]
    text = f"{' '.join(w for w in words if w)} ({count} {'line' if count == 1 else 'lines'})"
    dimensions = {k: str(v) for k, v in line["dimensions"].items()}
    if line["product_family"]:
        dimensions["product_family"] = line["product_family"]
    # In the company's own currency an ERP line has one amount. The exchange leg of a cross-currency settlement carries
    # another functional value than its transaction amount; the ERP takes the functional one.
    own = line["currency"] == functional_currency
    amount_tc = line["debit_fc"] - line["credit_fc"] if own else line["amount_tc"]
    return Line(
        line["line_no"], line["account_code"], line["debit_fc"], line["credit_fc"], line["currency"], amount_tc,
        text, dimensions, line["account_role"], line.get("item"),
    )  # fmt: skip


def intent(batch: Batch, now: dt.datetime) -> Step:
    """-> sent: committed before the request leaves."""
    values = {"attempts": batch.attempts + 1, "sent_at": now, "next_attempt_at": None, "settle_until": None}
    return Step(batch, state.SENT, "submit", "intent", values)


def period_closed(batch: Batch) -> Step:
    """-> dead: its period was hard closed here before it was sent. The store would refuse the intent too."""
    words = f"{batch.period} of {batch.entity_id} was hard closed here before this batch was sent; nothing was sent."
    values = {"last_error_class": "period_closed", "last_error": words, "next_attempt_at": None, "settle_until": None}
    return Step(batch, state.DEAD, "check", "refused", values, "period_closed", words)


def after_submit(batch: Batch, outcome: Outcome | None, now: dt.datetime, settle: float, limits: Limits) -> Step:
    """What a `submit` (or `poll`) answer means. No outcome at all means that nobody knows."""
    action = "poll" if batch.status == state.ACCEPTED else "submit"
    if outcome is None:
        outcome = Outcome("", failure=Failure("uncertain", "The adapter gave no outcome for this document."))
    known = _erp_values(batch, outcome)
    if outcome.failure is None:
        return _progress(batch, outcome, action, known, now, limits)
    problem = outcome.failure
    noted: dict[str, Any] = {"error_class": problem.failure_class, "detail": _words(problem)}
    values = known | {"last_error_class": problem.failure_class, "last_error": _words(problem)}
    wait = _wait(batch, problem, limits)
    kind = failure(problem.failure_class)
    if not kind.retry or (kind.look_up_first and batch.attempts >= limits.attempts_max and kind.name == "uncertain"):
        return Step(
            batch, state.DEAD, action, "failed", values | {"next_attempt_at": None, "settle_until": None}, **noted
        )
    if kind.look_up_first:
        settled = now + dt.timedelta(seconds=max(settle, wait if kind.name == "unavailable" else 0.0))
        return Step(batch, state.UNCERTAIN, action, "unknown", values | {"settle_until": settled}, **noted)
    later = values | {"next_attempt_at": now + dt.timedelta(seconds=wait)}
    if batch.status == state.ACCEPTED:
        return Step(batch, state.ACCEPTED, action, "refused", later, **noted)
    return Step(batch, state.PLANNED if outcome.state is None else state.CREATED, action, "refused", later, **noted)


def after_look_up(batch: Batch, found: tuple[Found, ...], now: dt.datetime, limits: Limits) -> Step | None:
    """What a look-up made after the settle time means; None: the ERP does not have it, send it (again)."""
    if not found:
        return None
    if len(found) > 1:
        ids = ", ".join(f.number or f.document_id for f in found)
        values = {
            "last_error_class": "conflict",
            "last_error": f"The ERP has {len(found)} documents with this key: {ids}.",
        }
        return Step(batch, state.DEAD, "find", "conflict", values, "conflict", values["last_error"])
    (one,) = found
    fields: dict[str, Any] = {
        "erp_document_id": one.document_id,
        "erp_document_number": one.number,
        "settle_until": None,
    }
    if one.state == "posted":
        fields |= {"posted_at": now, "next_attempt_at": None}
    else:
        fields |= _unposted(batch, now, limits)
    return Step(batch, one.state, "find", "found", fields)


def after_read_back(
    batch: Batch, journal: Journal, document: PostedDocument | None, seen: int, now: dt.datetime, limits: Limits
) -> Step:
    """posted -> verified if the ERP holds exactly what was sent. `seen`: read-backs of this batch before this one."""
    if document is None:
        if seen + 1 < limits.readbacks_max:
            wait = backoff_seconds(
                seen + 1, batch.batch_key, base=limits.backoff_base_seconds, cap=limits.backoff_cap_seconds
            )
            values = {"next_attempt_at": now + dt.timedelta(seconds=wait)}
            return Step(batch, state.POSTED, "read back", "not found", values)
        return _mismatch(
            batch, [f"the ERP no longer has document {batch.erp_document_number or batch.erp_document_id}"]
        )
    differences: list[Any] = list(compare(journal, document))
    if document.state != "posted":
        differences.append(Difference("state", None, "posted", document.state))
    if document.document_id != batch.erp_document_id:
        differences.append(Difference("document id", None, str(batch.erp_document_id), document.document_id))
    held = canonical(as_json(document))
    if differences:
        return _mismatch(batch, differences)._replace(read_back=held)
    fields: dict[str, Any] = {
        "verified_at": now, "next_attempt_at": None, "settle_until": None, "last_error_class": None, "last_error": None,
        "erp_document_number": document.number or batch.erp_document_number,
    }  # fmt: skip
    return Step(batch, state.VERIFIED, "read back", "equal", fields, read_back=held)


def dead_letter(step: Step, now: dt.datetime) -> Item:
    """The exception of a batch that went dead: class, owner and next step in plain words."""
    kind = failure(step.error_class or "invalid")
    return _item(step.batch, kind.name, step.detail, now, step.values.get("erp_document_number"))


def outage(step: Step, now: dt.datetime) -> Item:
    """The exception of a batch that has been waiting for the ERP for a while; it still goes on by itself."""
    return _item(step.batch, step.error_class or "unavailable", step.detail, now, None)


def _item(batch: Batch, category: str, message: str | None, now: dt.datetime, number: str | None) -> Item:
    kind = failure(category)
    return Item(
        category=category,
        reference=batch.batch_key,
        owner_team=kind.owner,
        entity_id=batch.entity_id,
        period=batch.period,
        currency=batch.functional_currency,
        amount=batch.debit_fc,
        blocks_close=True,
        severity="error",
        idempotency_key=batch.batch_key,
        erp_document=number or batch.erp_document_number or batch.erp_document_id,
        error_code=category,
        error_message=message,
        next_action=kind.next_step,
        attempts=batch.attempts,
        last_attempt_at=now,
    )


def _progress(
    batch: Batch, outcome: Outcome, action: str, known: dict[str, Any], now: dt.datetime, limits: Limits
) -> Step:
    target = outcome.state
    if target is None:
        return after_submit(batch, None, now, 0.0, limits)
    values = known | {"last_error_class": None, "last_error": None, "settle_until": None, "next_attempt_at": None}
    if target == "posted":
        values["posted_at"] = now
    else:
        values |= _unposted(batch, now, limits)
    return Step(batch, target, action, "already there" if outcome.already_there else "ok", values)


def _unposted(batch: Batch, now: dt.datetime, limits: Limits) -> dict[str, Any]:
    """Queued or drafted: it moves at the pace of the ERP and of its people. Look again when it is half as old again as
    now, so that an approval of two days costs some hundred look-ups; and note when it is overdue."""
    age = (now - (batch.sent_at or now)).total_seconds()
    wait = min(limits.backoff_cap_seconds, max(limits.backoff_base_seconds, age / 2))
    values: dict[str, Any] = {"next_attempt_at": now + dt.timedelta(seconds=wait)}
    if age >= limits.draft_seconds:
        words = f"The ERP has held the document unposted since {batch.sent_at:%Y-%m-%d %H:%M} UTC."
        values |= {"last_error_class": UNPOSTED, "last_error": words}
    return values


def is_overdue(step: Step) -> bool:
    """True for the first look that finds the document still unposted after `draft_seconds`."""
    return step.values.get("last_error_class") == UNPOSTED != step.batch.last_error_class


def overdue(step: Step, now: dt.datetime) -> Item:
    """The exception of a document that the ERP holds and does not post; looking goes on by itself."""
    return _item(step.batch, UNPOSTED, step.values["last_error"], now, step.values.get("erp_document_number"))


def _erp_values(batch: Batch, outcome: Outcome) -> dict[str, Any]:
    return {
        "erp_document_id": outcome.document_id or batch.erp_document_id,
        "erp_document_number": outcome.number or batch.erp_document_number,
        "erp_job_id": outcome.job_id or batch.erp_job_id,
    }


def _wait(batch: Batch, problem: Failure, limits: Limits) -> float:
    """Seconds to the next try: the ERP's own wish if it has one, else back-off with jitter."""
    if problem.retry_after is not None:
        return problem.retry_after
    return backoff_seconds(
        batch.attempts, batch.batch_key, base=limits.backoff_base_seconds, cap=limits.backoff_cap_seconds
    )


def _mismatch(batch: Batch, differences: list[Any]) -> Step:
    words = "; ".join(str(d) for d in differences[:10]) + (
        f"; and {len(differences) - 10} more" if len(differences) > 10 else ""
    )
    values = {"last_error_class": "readback_mismatch", "last_error": words, "next_attempt_at": None}
    return Step(batch, state.DEAD, "read back", "different", values, "readback_mismatch", words)


def _words(problem: Failure) -> str:
    return problem.message + (f" ({problem.evidence[:500]})" if problem.evidence else "")
