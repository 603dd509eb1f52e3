"""The processor's event feed: what changed in the account during the last thirty days of the horizon."""

from __future__ import annotations

from typing import Any

from demo.world.books import Books
from demo.world.ids import Ids

API_VERSION = "2026-10-28.endive"
_DAYS = 30


def events(ids: Ids, books: Books, entity: str) -> list[dict[str, Any]]:
    """Events of one account, oldest first. Each shows the object as it is now, which is what a refetch would give."""
    since = books.end(entity) - _DAYS * 86400
    until = books.end(entity)
    made = []
    for kind, objects in sorted(books.objects[entity].items()):
        for record in objects:
            for created, name in _moments(kind, record):
                if created is not None and since <= created <= until:
                    made.append(_event(ids, entity, name, created, record))
    made.sort(key=lambda e: (e["created"], e["id"]))
    return made


def _moments(kind: str, r: dict[str, Any]) -> list[tuple[int | None, str]]:
    """(instant, event type) of everything an object's own fields tell about its history."""
    if kind == "invoice":
        moved = r["status_transitions"]
        return [
            (r["created"], "invoice.created"),
            (moved["finalized_at"], "invoice.finalized"),
            (moved["paid_at"], "invoice.paid"),
            (moved["voided_at"], "invoice.voided"),
            (moved["marked_uncollectible_at"], "invoice.marked_uncollectible"),
        ]
    if kind == "charge":
        return [(r["created"], "charge.succeeded" if r["paid"] else "charge.failed")]
    if kind == "invoice_payment":
        return [(r["status_transitions"]["paid_at"], "invoice_payment.paid")]
    if kind == "dispute":
        closed = r["metadata"].get("closed_at")
        moments: list[tuple[int | None, str]] = [
            (r["created"], "charge.dispute.created"),
            (r["created"], "charge.dispute.funds_withdrawn"),
        ]
        if closed:
            moments.append((int(closed), "charge.dispute.closed"))
            if r["status"] == "won":
                moments.append((int(closed), "charge.dispute.funds_reinstated"))
        return moments
    if kind == "subscription":
        return [
            (r["created"], "customer.subscription.created"),
            (r["ended_at"], "customer.subscription.deleted"),
        ]
    if kind == "payout":
        return [(r["created"], "payout.created"), (r["created"], "payout.paid")]
    simple = {
        "customer": "customer.created",
        "price": "price.created",
        "refund": "refund.created",
        "credit_note": "credit_note.created",
        "subscription_schedule": "subscription_schedule.created",
    }
    return [(r["created"], simple[kind])] if kind in simple else []


def _event(ids: Ids, entity: str, name: str, created: int, record: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": ids.stripe("evt", entity, name, record["id"], created),
        "object": "event",
        "api_version": API_VERSION,
        "created": created,
        "data": {"object": record},
        "livemode": True,
        "pending_webhooks": 0,
        "request": {"id": None, "idempotency_key": None},
        "type": name,
    }
