"""Receivables of NetSuite as open items, in the shape that every ERP's read-back lands. Pure but for one query."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from revenue_assets.sources.netsuite_client import NetSuiteClient, Row
from revenue_assets.sources.netsuite_tables import Applied, chunks
from revenue_assets.sources.read_back import decimal_text

INVOICE, CREDIT_MEMO, PAYMENT = "CustInvc", "CustCred", "CustPymt"
SETTLING = frozenset({CREDIT_MEMO, PAYMENT})
RECEIVABLE = "AcctRec"


@dataclass(frozen=True, slots=True)
class Settled:
    """A part of a document that settles the invoice with this number. `amount`: major units of both documents'
    currency. `is_paid`: NetSuite says that nothing is left on the invoice."""

    number: str
    amount: Decimal
    is_paid: bool


@dataclass(frozen=True, slots=True)
class InvoiceState:
    """`period`: internal id of its posting period; `is_paid`: NetSuite says that nothing is left on it."""

    period: str
    is_paid: bool


def invoice_states(client: NetSuiteClient, invoices: Iterable[str]) -> dict[str, InvoiceState]:
    """By internal id."""
    found: dict[str, InvoiceState] = {}
    for chunk in chunks(sorted({str(int(number)) for number in invoices})):
        rows = client.query(
            "SELECT t.id, t.postingperiod, t.foreignamountunpaid FROM transaction t "
            f"WHERE t.id IN ({', '.join(chunk)}) ORDER BY t.id"
        )
        for row in rows:
            period, is_paid = str(row.get("postingperiod")), _is_zero(row.get("foreignamountunpaid"))
            found[str(row["id"])] = InvoiceState(period, is_paid)
    return found


def settled_parts(applications: Iterable[Applied], states: Mapping[str, InvoiceState]) -> dict[str, list[Settled]]:
    """The applications by the document that settles."""
    parts: dict[str, list[Settled]] = {}
    for one in applications:
        part = Settled(one.number, Decimal(one.amount), one.invoice in states and states[one.invoice].is_paid)
        parts.setdefault(one.settled_by, []).append(part)
    return parts


def document_kind(head: Row) -> str | None:
    """Kind of an invoice or credit note; None for everything else. A credit memo without a number carries a payment."""
    if head["type"] == INVOICE:
        return "invoice"
    return "credit_note" if head["type"] == CREDIT_MEMO and head.get("number") else None


def open_item_lines(line: Mapping[str, Any], row: Row, settled: Sequence[Settled]) -> list[dict[str, Any]]:
    """The landed line with what it says as an open item; a line that settles several invoices becomes one for each, and
    one for what settles none. Only a receivable of a known customer is an open item; amounts in a second currency are
    not cut up."""
    if row.get("accttype") != RECEIVABLE or row["type"] not in (INVOICE, *SETTLING):
        return [dict(line)]
    item = {**line, "customer_id": row.get("customer")}
    if row["type"] == INVOICE:
        is_paid = _is_zero(row.get("foreignamountunpaid"))
        return [{**item, "maturity_date": row.get("duedate"), "is_reconciled": is_paid}]
    if item["second_currency"] is not None or not settled:
        return [item]
    cut: list[dict[str, Any]] = []
    left = Decimal(item["credit"]) - Decimal(item["debit"])
    for number, part in enumerate(settled, start=1):
        left -= part.amount
        changes = {"settles": part.number, "is_reconciled": part.is_paid, "debit": "0"}
        cut.append({**item, **changes, "id": f"{item['id']}/{number}", "credit": decimal_text(part.amount)})
    if left:
        cut.append(
            {**item, "debit": decimal_text(max(-left, Decimal(0))), "credit": decimal_text(max(left, Decimal(0)))}
        )
    return cut


def _is_zero(amount: Any) -> bool:
    return amount is not None and Decimal(str(amount)) == 0
