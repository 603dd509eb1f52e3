"""Which objects the Stripe simulator lists, with the filters each list endpoint takes and what it hides.

The parameter names are those of the vendor's public client 16.1 (API 2026-10-28). A parameter the vendor has but the
demo has no data for (`test_clock`, `transfer_group`, ...) is known and matches nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from demo.simulators.tables import Record

#: Lists that are part of an object show this many rows; the rest is on the sub-list endpoint.
EMBEDDED_MAX = 10


@dataclass(frozen=True)
class Filter:
    """One list filter: `kind` is eq, bool, range or any; `path` where the value sits in the record.

    `refers` names the resource whose id the value must be (an unknown id is a 400); `choices` the values allowed.
    """

    kind: str
    path: str
    refers: str | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Resource:
    """One list endpoint: file of the world, noun of error messages, id prefixes, filters, what a list hides."""

    path: str
    file: str
    noun: str
    prefixes: tuple[str, ...]
    filters: dict[str, Filter] = field(default_factory=dict)
    prepare: Callable[[Record], Record | None] | None = None
    order_by: str = "created"
    created_filter: bool = True


def _without(*names: str) -> Callable[[Record], Record | None]:
    def prepare(record: Record) -> Record | None:
        if not any(name in record for name in names):
            return None
        return {key: value for key, value in record.items() if key not in names}

    return prepare


def rows_of(record: Record, name: str) -> list[Record]:
    """The rows of an embedded list, whether the file holds a list object or a bare array."""
    value = record.get(name)
    if isinstance(value, dict):
        value = value.get("data")
    return value if isinstance(value, list) else []


def embedded(rows: list[Record], url: str) -> dict[str, Any]:
    """A list object inside another object: the first ten rows and where the others are."""
    return {"object": "list", "data": rows[:EMBEDDED_MAX], "has_more": len(rows) > EMBEDDED_MAX, "url": url}


def _invoice(record: Record) -> Record | None:
    rows = rows_of(record, "lines")
    if "payments" not in record and isinstance(record.get("lines"), dict) and len(rows) <= EMBEDDED_MAX:
        return None
    shown = {key: value for key, value in record.items() if key != "payments"}
    shown["lines"] = embedded(rows, f"/v1/invoices/{record['id']}/lines")
    return shown


def _credit_note(record: Record) -> Record | None:
    rows = rows_of(record, "lines")
    if isinstance(record.get("lines"), dict) and len(rows) <= EMBEDDED_MAX:
        return None
    return {**record, "lines": embedded(rows, f"/v1/credit_notes/{record['id']}/lines")}


def _subscription(record: Record) -> Record | None:
    """Tiers are shown only when asked for, also inside a subscription's items."""
    items = rows_of(record, "items")
    if not any("tiers" in (item.get("price") or {}) for item in items):
        return None
    shown = [{**item, "price": _strip_tiers(item["price"])} if item.get("price") else item for item in items]
    return {**record, "items": {**record["items"], "data": shown}}


def _strip_tiers(price: Record) -> Record:
    return {key: value for key, value in price.items() if key != "tiers"}


def _eq(path: str, refers: str | None = None, *choices: str) -> Filter:
    return Filter("eq", path, refers, choices)


_CUSTOMER = {"customer": _eq("customer", "customer"), "customer_account": _eq("customer_account")}
_INVOICE_STATUS = ("draft", "open", "paid", "uncollectible", "void")
SUBSCRIPTION_STATUS = "active canceled incomplete incomplete_expired past_due paused trialing unpaid all ended".split()

RESOURCES: tuple[Resource, ...] = (
    Resource("customers", "customer", "customer", ("cus_",), {"email": _eq("email"), "test_clock": _eq("test_clock")}),
    Resource(
        "products",
        "product",
        "product",
        ("prod_",),
        {
            "active": Filter("bool", "active"),
            "ids": Filter("any", "id"),
            "shippable": Filter("bool", "shippable"),
            "type": _eq("type"),
            "url": _eq("url"),
        },
    ),
    Resource(
        "prices",
        "price",
        "price",
        ("price_", "plan_"),
        {
            "active": Filter("bool", "active"),
            "currency": _eq("currency"),
            "lookup_keys": Filter("any", "lookup_key"),
            "product": _eq("product", "product"),
            "recurring[interval]": _eq("recurring.interval", None, "day", "week", "month", "year"),
            "recurring[meter]": _eq("recurring.meter"),
            "recurring[usage_type]": _eq("recurring.usage_type", None, "licensed", "metered"),
            "type": _eq("type", None, "one_time", "recurring"),
        },
        prepare=_without("tiers", "currency_options"),
    ),
    Resource(
        "subscriptions",
        "subscription",
        "subscription",
        ("sub_",),
        {
            **_CUSTOMER,
            "automatic_tax[enabled]": Filter("bool", "automatic_tax.enabled"),
            "collection_method": _eq("collection_method", None, "charge_automatically", "send_invoice"),
            "current_period_start": Filter("range", "items.data.current_period_start"),
            "current_period_end": Filter("range", "items.data.current_period_end"),
            "price": _eq("items.data.price.id", "price"),
            "plan": _eq("items.data.price.id", "price"),
            "status": _eq("status", None, *SUBSCRIPTION_STATUS),
            "test_clock": _eq("test_clock"),
        },
        prepare=_subscription,
    ),
    Resource(
        "subscription_schedules",
        "subscription_schedule",
        "subscription schedule",
        ("sub_sched_",),
        {
            **_CUSTOMER,
            "canceled_at": Filter("range", "canceled_at"),
            "completed_at": Filter("range", "completed_at"),
            "released_at": Filter("range", "released_at"),
            "scheduled": Filter("bool", "status"),
        },
    ),
    Resource(
        "invoices",
        "invoice",
        "invoice",
        ("in_",),
        {
            **_CUSTOMER,
            "collection_method": _eq("collection_method", None, "charge_automatically", "send_invoice"),
            "due_date": Filter("range", "due_date"),
            "status": _eq("status", None, *_INVOICE_STATUS),
            "subscription": _eq("parent.subscription_details.subscription", "subscription"),
        },
        prepare=_invoice,
    ),
    Resource(
        "invoice_payments",
        "invoice_payment",
        "invoice_payment",
        ("inpay_",),
        {
            "invoice": _eq("invoice", "invoice"),
            "payment[type]": _eq("payment.type", None, "payment_intent", "payment_record"),
            "payment[payment_intent]": _eq("payment.payment_intent", "payment_intent"),
            "payment[payment_record]": _eq("payment.payment_record"),
            "status": _eq("status", None, "open", "paid", "canceled"),
        },
    ),
    Resource(
        "credit_notes",
        "credit_note",
        "credit note",
        ("cn_",),
        {**_CUSTOMER, "invoice": _eq("invoice", "invoice")},
        prepare=_credit_note,
    ),
    Resource("payment_intents", "payment_intent", "payment_intent", ("pi_",), dict(_CUSTOMER)),
    Resource(
        "charges",
        "charge",
        "charge",
        ("ch_", "py_"),
        {
            "customer": _eq("customer", "customer"),
            "payment_intent": _eq("payment_intent", "payment_intent"),
            "transfer_group": _eq("transfer_group"),
        },
        prepare=_without("refunds"),
    ),
    Resource(
        "refunds",
        "refund",
        "refund",
        ("re_", "pyr_"),
        {"charge": _eq("charge", "charge"), "payment_intent": _eq("payment_intent", "payment_intent")},
    ),
    Resource(
        "disputes",
        "dispute",
        "dispute",
        ("dp_", "du_"),
        {"charge": _eq("charge", "charge"), "payment_intent": _eq("payment_intent", "payment_intent")},
    ),
    Resource(
        "payouts",
        "payout",
        "payout",
        ("po_",),
        {
            "arrival_date": Filter("range", "arrival_date"),
            "destination": _eq("destination"),
            "status": _eq("status", None, "pending", "in_transit", "paid", "failed", "canceled"),
        },
    ),
    Resource(
        "balance_transactions",
        "balance_transaction",
        "balance transaction",
        ("txn_",),
        {
            "currency": _eq("currency"),
            "payout": _eq("payout", "payout"),
            "source": _eq("source"),
            "type": _eq("type"),
        },
        prepare=_without("payout"),
    ),
    Resource(
        "tax_rates",
        "tax_rate",
        "tax rate",
        ("txr_",),
        {"active": Filter("bool", "active"), "inclusive": Filter("bool", "inclusive")},
    ),
    Resource(
        "events",
        "event",
        "event",
        ("evt_",),
        {"delivery_success": Filter("bool", "delivery_success"), "type": _eq("type"), "types": Filter("any", "type")},
    ),
    Resource(
        "billing/meters",
        "meter",
        "billing meter",
        ("mtr_",),
        {"status": _eq("status", None, "active", "inactive")},
        created_filter=False,
    ),
)

BY_PATH = {resource.path: resource for resource in RESOURCES}
BY_FILE = {resource.file: resource for resource in RESOURCES}


def resource_of(record_id: str) -> Resource | None:
    """The resource an id belongs to by its prefix; the longest prefix wins (`sub_sched_` before `sub_`)."""
    matches = [(len(prefix), item) for item in RESOURCES for prefix in item.prefixes if record_id.startswith(prefix)]
    return max(matches, key=lambda match: match[0])[1] if matches else None
