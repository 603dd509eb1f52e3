"""The same business told otherwise: scaled, shifted, its invoices or credit notes split, or told only up to a close.

Each function takes a history's events and gives new ones; what must then be true of the figures is the test's business.
"""

from __future__ import annotations

import copy
from typing import Any

from businesses import History

Event = dict[str, Any]
MONEY = {
    "amount", "tax_amount", "discount_amount", "gross", "fee", "net", "ssp", "old_amount", "new_amount", "refund",
    "customer_balance", "out_of_band", "variable_amount", "constrained_amount",
}  # fmt: skip


def scaled(history: History, factor: int) -> list[Event]:
    """Every amount of money times `factor`."""

    def walk(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: walk(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [walk(item) for item in value]
        return value * factor if key in MONEY and isinstance(value, int) else value

    return [event | {"data": walk(event["data"])} for event in history.events]


def shifted(history: History, years: int) -> list[Event]:
    """Every date and instant `years` later."""

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: walk(item) for name, item in value.items()}
        if isinstance(value, list):
            return [walk(item) for item in value]
        if isinstance(value, str) and len(value) >= 7 and value[:2] == "20" and value[4] == "-":
            return f"{int(value[:4]) + years}{value[4:]}"
        return value

    return [
        event | {key: walk(event[key]) for key in ("time", "effective", "recorded", "data")} for event in history.events
    ]


def lines_split(history: History) -> list[Event]:
    """Every plain invoice line becomes two lines of the same window, and every credit of it two lines of the note.

    Lines that bill usage or a contract stay: they name something of which there is one.
    """
    left: dict[tuple[str, str], list[list[int]]] = {}
    credited: dict[str, Any] = {}
    events = copy.deepcopy(history.events)
    for event in events:
        data = event["data"]
        if event["type"] == "invoice.posted":
            lines = []
            for line in data["lines"]:
                if line["amount"] < 3 or "contract_id" in line or "subscription_item_id" in line:
                    lines.append(line)
                    continue
                parts = [dict(line, line_id=line["line_id"] + suffix) for suffix in ("a", "b")]
                for name in ("amount", "tax_amount", "discount_amount"):
                    parts[0][name] = line.get(name, 0) // 3
                    parts[1][name] = line.get(name, 0) - parts[0][name]
                left[data["invoice_id"], line["line_id"]] = [[p["amount"], p["tax_amount"]] for p in parts]
                lines += parts
            data["lines"] = lines
        elif event["type"] == "credit_note.issued":
            data["lines"] = [part for line in data["lines"] for part in _credited(line, data["invoice_id"], left)]
            credited[data["credit_note_id"]] = data
        elif event["type"] == "credit_note.voided":
            note = credited[data["credit_note_id"]]
            for part in note["lines"]:
                if rests := left.get((note["invoice_id"], part["invoice_line_id"][:-1])):
                    rest = rests["ab".index(part["invoice_line_id"][-1])]
                    rest[0], rest[1] = rest[0] + part["amount"], rest[1] + part["tax_amount"]
        elif event["type"] == "tax.recalculated":
            for line in data["lines"]:
                if rests := left.get((data["document_id"], line["line_id"])):
                    old = rests[0][1]
                    change = line["new_amount"] - line["old_amount"]
                    line |= {"line_id": line["line_id"] + "a", "old_amount": old, "new_amount": old + change}
                    rests[0][1] += change
    return events


def _credited(line: Event, invoice_id: str, left: dict[tuple[str, str], list[list[int]]]) -> list[Event]:
    rests = left.get((invoice_id, line["invoice_line_id"]))
    if rests is None:
        return [line]
    parts = []
    for number, name in enumerate(("amount", "tax_amount")):
        first = min(rests[0][number], max(line[name] - rests[1][number], line[name] // 3))
        parts.append((first, line[name] - first))
    for part in (0, 1):
        rests[part][0] -= parts[0][part]
        rests[part][1] -= parts[1][part]
    return [
        {
            "invoice_line_id": line["invoice_line_id"] + "ab"[part],
            "amount": parts[0][part],
            "tax_amount": parts[1][part],
        }
        for part in (0, 1)
        if parts[0][part] or parts[1][part]
    ]


def credits_split(history: History) -> list[Event]:
    """Every credit note becomes two of the same day that add up to it; its voiding becomes two as well."""
    events: list[Event] = []
    halved: set[str] = set()
    for event in copy.deepcopy(history.events):
        data = event["data"]
        if event["type"] == "credit_note.issued" and all(line["amount"] > 1 for line in data["lines"]):
            halved.add(data["credit_note_id"])
            for suffix, first in (("a", True), ("b", False)):
                lines = [
                    line | {k: line[k] // 2 if first else line[k] - line[k] // 2 for k in ("amount", "tax_amount")}
                    for line in data["lines"]
                ]
                events.append(_named(event, suffix, data | {"lines": lines}))
        elif event["type"] == "credit_note.voided" and data["credit_note_id"] in halved:
            events += [_named(event, suffix, data) for suffix in ("a", "b")]
        else:
            events.append(event)
    return events


def _named(event: Event, suffix: str, data: dict[str, Any]) -> Event:
    return event | {
        "id": event["id"] + suffix, "sequence": suffix,
        "data": data | {"credit_note_id": data["credit_note_id"] + suffix},
    }  # fmt: skip


def known_at_last_close(history: History) -> tuple[list[Event], str] | None:
    """What had been recorded when the last month was closed that nobody reopened, and that month; None without one."""
    closes = [event for event in history.events if event["type"].endswith("_closed")]
    reopened = [event for event in history.events if event["type"] == "period.reopened"]
    if not closes or reopened:
        return None
    last = closes[-1]
    return [event for event in history.events if event["recorded"] <= last["recorded"]], last["data"]["period"]
