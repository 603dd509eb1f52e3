"""Which Stripe objects land, from which list, how they change, and what a whole one looks like.

No list of the vendor can be filtered by time of change. Records that never change are read by a window of `created`
with a look-back; all others by a wider window, plus the events of the last days as hints which older ones to fetch
again, plus a full listing now and then (also the only way to see that something is gone).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from revenue_assets.sources.base import ObjectContract

LOOKBACK_SECONDS = 600  # ids can appear slightly late (the vendor's own connectors use ten minutes)
DAY = 86_400


@dataclass(frozen=True, slots=True)
class Listing:
    """One list endpoint. `lookback`: seconds of `created` read again each time; None: the rescan window of the source.

    `hints`: event types that name a changed object of this list. `nested`: lists inside the object of which the answer
    shows only the first rows.
    """

    path: str
    contract: ObjectContract
    params: dict[str, Any] = field(default_factory=dict)
    created_filter: bool = True
    lookback: int | None = None
    hints: tuple[str, ...] = ()
    nested: tuple[str, ...] = ()


def _types(prefix: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{prefix}.{name}" for name in names)


def _contract(*required: str, amounts: tuple[str, ...] = (), **more: Any) -> ObjectContract:
    more.setdefault("stamps", ("created",))
    more.setdefault("currency", "currency" if amounts else None)
    return ObjectContract(("id", *more["stamps"], *required), amounts=amounts, **more)


LISTINGS: dict[str, Listing] = {
    "customer": Listing("/v1/customers", _contract(), hints=_types("customer", "created", "updated", "deleted")),
    "product": Listing("/v1/products", _contract("name"), hints=_types("product", "created", "updated", "deleted")),
    "price": Listing(
        "/v1/prices",
        _contract("currency", "product", amounts=("unit_amount",)),
        params={"expand": ["data.tiers"]},
        hints=_types("price", "created", "updated", "deleted"),
    ),
    "tax_rate": Listing("/v1/tax_rates", _contract("percentage"), hints=_types("tax_rate", "created", "updated")),
    "subscription": Listing(
        "/v1/subscriptions",
        _contract("customer", "status", "items", "currency"),
        params={"status": "all"},
        hints=_types(
            "customer.subscription",
            *("created", "updated", "deleted", "paused", "resumed", "trial_will_end"),
            *("pending_update_applied", "pending_update_expired"),
        ),
        nested=("items",),
    ),
    "subscription_schedule": Listing(
        "/v1/subscription_schedules",
        _contract("customer", "status", "phases"),
        hints=_types(
            "subscription_schedule", "created", "updated", "released", "completed", "canceled", "aborted", "expiring"
        ),
    ),
    "invoice": Listing(
        "/v1/invoices",
        _contract("customer", "currency", "status", "total", "lines", amounts=("total", "amount_due")),
        hints=_types(
            "invoice",
            *("created", "updated", "finalized", "sent", "paid", "payment_succeeded", "payment_failed"),
            *("payment_action_required", "overdue", "overpaid", "marked_uncollectible", "voided", "deleted"),
        ),
        nested=("lines",),
    ),
    "invoice_payment": Listing(
        "/v1/invoice_payments",
        _contract("invoice", "status", "payment", "currency", amounts=("amount_requested", "amount_paid")),
        hints=_types("invoice_payment", "paid"),
    ),
    "credit_note": Listing(
        "/v1/credit_notes",
        _contract("invoice", "currency", "status", "total", amounts=("total", "amount")),
        hints=_types("credit_note", "created", "updated", "voided"),
        nested=("lines",),
    ),
    "charge": Listing(
        "/v1/charges",
        _contract("amount", "currency", "status", amounts=("amount", "amount_refunded")),
        hints=_types("charge", "succeeded", "failed", "captured", "pending", "expired", "refunded", "updated"),
    ),
    "refund": Listing(
        "/v1/refunds",
        _contract("amount", "currency", "status", amounts=("amount",)),
        hints=(*_types("refund", "created", "updated", "failed"), "charge.refund.updated"),
    ),
    "dispute": Listing(
        "/v1/disputes",
        _contract("amount", "currency", "status", "charge", amounts=("amount",)),
        hints=_types("charge.dispute", "created", "updated", "closed", "funds_withdrawn", "funds_reinstated"),
    ),
    "payout": Listing(
        "/v1/payouts",
        _contract("amount", "currency", "status", "arrival_date", amounts=("amount",)),
        hints=_types("payout", "created", "updated", "paid", "failed", "canceled", "reconciliation_completed"),
    ),
    "balance_transaction": Listing(
        "/v1/balance_transactions",
        _contract("amount", "net", "fee", "currency", "type", amounts=("amount", "fee", "net")),
        lookback=30 * DAY,  # amounts never change; the status turns from pending to available within weeks
    ),
    "meter": Listing("/v1/billing/meters", _contract("event_name"), created_filter=False),
    "event": Listing("/v1/events", _contract("type", "data", immutable=True), lookback=LOOKBACK_SECONDS),
}

COMPOSED: dict[str, ObjectContract] = {
    "payout_member": ObjectContract(("payout", "balance_transaction")),
    "meter_event_summary": ObjectContract(
        ("customer", "meter", "start_time", "end_time", "aggregated_value"), stamps=("start_time", "end_time")
    ),
    "balance_report": ObjectContract(
        ("period", "currency", "starting_balance", "ending_balance"),
        amounts=("starting_balance", "ending_balance"),
        amount_kind="major",
        currency="currency",
    ),
}
