"""Inputs at the edge of the event contract, for the reader and for SQL alike, and the catalogue's texts."""

from __future__ import annotations

import copy
from typing import Any

from revenue_assets.domain.events import EVENT_TYPES, dataschema


def event(event_type: str, event_id: str = "e1", data: Any = None, **more: Any) -> dict[str, Any]:
    """A whole valid event; `...` as a value leaves the attribute out."""
    body = {
        "specversion": "1.0",
        "id": event_id,
        "source": "/acme/billing",
        "type": event_type,
        "time": "2026-10-01T09:00:00Z",
        "recordedtime": "2026-10-01T09:00:05Z",
        "dataschema": dataschema(event_type),
        "entityid": "US",
        "effectivedate": "2026-10-01",
        "data": copy.deepcopy(EVENT_TYPES[event_type].example) if data is None else data,
    }
    return {key: value for key, value in (body | more).items() if value is not ...}


def changed(event_type: str, path: str, value: Any) -> dict[str, Any]:
    """The example of a type with one field set, or left out with `...`; path such as `lines.0.amount`."""
    data: Any = copy.deepcopy(EVENT_TYPES[event_type].example)
    *way, last = path.split(".")
    place = data
    for step in way:
        place = place[int(step)] if step.isdigit() else place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return data


# (event type, payload, accepted by reader and SQL, words of the reader's reason)
PAYLOADS: list[tuple[str, Any, bool, str]] = [
    *((name, kind.example, True, "") for name, kind in EVENT_TYPES.items()),
    ("invoice.posted", changed("invoice.posted", "lines", []), True, ""),
    ("invoice.posted", changed("invoice.posted", "lines.0.amount", -9000), True, ""),
    ("invoice.posted", changed("invoice.posted", "due_date", None), True, ""),
    ("invoice.posted", changed("invoice.posted", "memo", {"score": 1.5, "amount": 2}), True, ""),
    ("invoice.posted", changed("invoice.posted", "customer_id", ...), False, "data.customer_id is missing"),
    ("invoice.posted", changed("invoice.posted", "customer_id", None), False, "data.customer_id is missing"),
    ("invoice.posted", changed("invoice.posted", "lines.0.amount", 90.5), False, "data.lines[0].amount must be a JSON"),
    ("invoice.posted", changed("invoice.posted", "lines.0.amount", "9000"), False, "data.lines[0].amount must be"),
    ("invoice.posted", changed("invoice.posted", "lines.0.amount", True), False, "data.lines[0].amount must be"),
    ("invoice.posted", changed("invoice.posted", "lines.0.amount", ...), False, "data.lines[0].amount is missing"),
    ("invoice.posted", changed("invoice.posted", "lines", [None]), False, "data.lines[0]"),
    *(
        (name, changed(name, "lines", 2 * EVENT_TYPES[name].example["lines"][:1]), False, "two lines with line_id")
        for name in ("invoice.posted", "contract.booked")
    ),
    (
        "invoice.posted",
        changed("invoice.posted", "advances", [{"payment_id": "P", "amount": 1.5}]),
        False,
        "advances[0]",
    ),
    ("invoice.posted", changed("invoice.posted", "customer_balance_applied", "5"), False, "customer_balance_applied"),
    ("payment.settled", changed("payment.settled", "amount", 9000.0), False, "data.amount must be a JSON integer"),
    ("payment.settled", changed("payment.settled", "amount", 10**25), False, "more than 18 digits"),
    ("payment.settled", changed("payment.settled", "balance_txn.gross", 90.5), False, "data.balance_txn.gross must be"),
    (
        "payment.settled",
        changed("payment.settled", "applications.0.amount", None),
        False,
        "applications[0].amount is m",
    ),
    ("credit_note.issued", changed("credit_note.issued", "timing", "later"), False, "data.timing is not"),
    ("balance.reported", changed("balance.reported", "balance", -59.0), False, "data.balance must be a JSON integer"),
]
