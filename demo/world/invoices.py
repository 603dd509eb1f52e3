"""Finalising drafts - number, taxes, stored credit - and the processor's invoice object with its lines."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from demo.world.books import Books
from demo.world.calendar import midnight
from demo.world.catalogue import PRODUCTS, Catalogue, usage_unit_text
from demo.world.customers import customer_id, invoice_prefix
from demo.world.model import Invoice, Line
from demo.world.notes import tax_objects, total_taxes
from demo.world.subscriptions import deal_metadata, item_id, subscription_id
from demo.world.tax import rates_for, tax_line


class Finaliser:
    """Finalises the drafts of one processor customer after another, in the order of time.

    Stored credit: an invoice below zero leaves credit on the customer (balance below zero); the next invoice above
    zero uses it. `balance` holds where each customer ended.
    """

    def __init__(self, books: Books) -> None:
        self._ids = books.ids
        self._numbers: dict[tuple[str, str], int] = defaultdict(int)
        self.balance: dict[tuple[str, str], int] = defaultdict(int)

    def finalise(self, invoice: Invoice) -> None:
        """Give the draft its id, number, taxes, total and its share of stored credit."""
        deal = invoice.deal
        customer = deal.customer_key
        self._numbers[customer] += 1
        prefix = invoice_prefix(self._ids, invoice.entity, deal.customer)
        invoice.id = invoice_id(self._ids, invoice)
        invoice.number = f"{prefix}-{self._numbers[customer]:04d}"
        rates = rates_for(deal.customer, invoice.entity)
        for n, line in enumerate(invoice.lines):
            line.invoice = invoice
            line.id = self._ids.stripe("il", invoice.key, n)
            tax_line(line, rates)
        invoice.total = sum(line.net for line in invoice.lines)
        if not invoice.tax_hidden:
            invoice.total += sum(line.tax for line in invoice.lines)
        invoice.starting_balance = self.balance[customer]
        applied = min(invoice.total, -invoice.starting_balance)
        if invoice.voided_on:
            applied = 0
        invoice.ending_balance = invoice.starting_balance + applied
        self.balance[customer] = invoice.ending_balance


def invoice_id(ids: Any, invoice: Invoice) -> str:
    """Id of an invoice; known before it is finalised."""
    return ids.stripe("in", invoice.key)


def invoice_object(books: Books, catalogue: Catalogue, invoice: Invoice) -> dict[str, Any]:
    """The processor's invoice in its last state, all lines embedded."""
    deal, ids = invoice.deal, books.ids
    lines = [_line_object(books, catalogue, invoice, line) for line in invoice.lines]
    subtotal = sum(line.amount for line in invoice.lines)
    discount = sum(line.discount for line in invoice.lines)
    metadata = {"salesforce_opportunity_id": invoice.opportunity_id}
    if deal.consolidated_from and invoice.day >= deal.consolidated_from:
        metadata["consolidated_invoice_id"] = f"{deal.consolidation_key}-{invoice.day:%Y%m%d}"
    parent = None
    if invoice.subscription_key:
        parent = {
            "quote_details": None,
            "subscription_details": {
                "metadata": deal_metadata(deal, deal.phase_at(invoice.day)),
                "subscription": subscription_id(ids, invoice.subscription_key),
                "subscription_proration_date": (
                    midnight(invoice.entity, invoice.proration_date) if invoice.proration_date else None
                ),
            },
            "type": "subscription_details",
        }
    discounts = [d["discount"] for line in lines for d in line["discount_amounts"]]
    send = deal.collection == "send_invoice" and invoice.subscription_key is not None
    return {
        "id": invoice.id,
        "object": "invoice",
        "account_country": deal.customer.country,
        "amount_due": invoice.amount_due,
        "amount_overpaid": 0,
        "amount_paid": invoice.amount_paid,
        "amount_remaining": invoice.amount_remaining,
        "amount_shipping": 0,
        "attempt_count": invoice.attempts,
        "attempted": invoice.attempts > 0 or invoice.amount_due <= 0,
        "auto_advance": False,
        "billing_reason": invoice.reason,
        "collection_method": "send_invoice" if send else "charge_automatically",
        "created": invoice.created,
        "currency": invoice.currency.lower(),
        "customer": customer_id(ids, invoice.entity, deal.customer),
        "customer_email": deal.customer.email,
        "customer_name": deal.customer.name,
        "description": None,
        "discounts": discounts,
        "due_date": invoice.created + deal.days_until_due * 86400 if send else None,
        "effective_at": invoice.created,
        "ending_balance": invoice.ending_balance,
        "issuer": {"type": "self"},
        "latest_revision": None,
        "lines": {
            "object": "list",
            "data": lines,
            "has_more": False,
            "total_count": len(lines),
            "url": f"/v1/invoices/{invoice.id}/lines",
        },
        "livemode": True,
        "metadata": metadata,
        "next_payment_attempt": invoice.next_attempt,
        "number": invoice.number,
        "on_behalf_of": None,
        "parent": parent,
        "period_end": invoice.created,
        "period_start": invoice.created,
        "post_payment_credit_notes_amount": invoice.post_payment_notes,
        "pre_payment_credit_notes_amount": invoice.pre_payment_notes,
        "starting_balance": invoice.starting_balance,
        "status": invoice.status,
        "status_transitions": {
            "finalized_at": invoice.created,
            "marked_uncollectible_at": invoice.uncollectible_at,
            "paid_at": invoice.paid_at,
            "voided_at": invoice.voided_at,
        },
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal,
        "test_clock": None,
        "total": invoice.total,
        "total_discount_amounts": [d for line in lines for d in line["discount_amounts"]],
        "total_excluding_tax": subtotal - discount,
        "total_pretax_credit_amounts": [],
        "total_taxes": total_taxes([line["taxes"] for line in lines]),
    }


def _line_object(books: Books, catalogue: Catalogue, invoice: Invoice, line: Line) -> dict[str, Any]:
    ids, entity = books.ids, invoice.entity
    if line.start is None or line.end is None:
        period = {"start": invoice.created, "end": invoice.created}
    else:
        period = {"start": midnight(entity, line.start), "end": midnight(entity, line.end)}
    unit = usage_unit_text(invoice.currency) if line.unit_amount is None else str(line.unit_amount)
    return {
        "id": line.id,
        "object": "line_item",
        "amount": line.amount,
        "currency": invoice.currency.lower(),
        "description": _description(line),
        "discount_amounts": (
            [{"amount": line.discount, "discount": ids.stripe("di", line.id)}] if line.discount else []
        ),
        "discountable": line.kind == "one_time",
        "discounts": [ids.stripe("di", line.id)] if line.discount else [],
        "invoice": invoice.id,
        "livemode": True,
        "metadata": {},
        "parent": _line_parent(books, invoice, line),
        "period": period,
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": line.price_id, "product": catalogue.product_id(entity, line.code)},
            "type": "price_details",
            "unit_amount_decimal": unit,
        },
        "quantity": line.quantity,
        "quantity_decimal": str(line.quantity),
        "subtotal": line.amount,
        "taxes": [] if invoice.tax_hidden else tax_objects(books, line.taxes, line.net),
    }


def _description(line: Line) -> str:
    name = PRODUCTS[line.code].name
    if line.kind == "proration" and line.amount < 0:
        return f"Unused time on {line.quantity} x {name} after {line.start}"
    if line.kind == "proration":
        return f"Remaining time on {line.quantity} x {name} after {line.start}"
    return f"{line.quantity} x {name}"


def _line_parent(books: Books, invoice: Invoice, line: Line) -> dict[str, Any]:
    ids = books.ids
    if line.kind == "one_time" or invoice.subscription_key is None:
        return {
            "invoice_item_details": {
                "invoice_item": ids.stripe("ii", line.id),
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": (subscription_id(ids, invoice.subscription_key) if invoice.subscription_key else None),
            },
            "subscription_item_details": None,
            "type": "invoice_item_details",
        }
    credited = None
    if line.credits is not None and line.credits.invoice is not None:
        credited = {"invoice": line.credits.invoice.id, "invoice_line_items": [line.credits.id]}
    proration = line.kind == "proration"
    return {
        "invoice_item_details": None,
        "subscription_item_details": {
            "invoice_item": ids.stripe("ii", line.id) if proration else None,
            "proration": proration,
            "proration_details": {"credited_items": credited},
            "subscription": subscription_id(ids, invoice.subscription_key),
            "subscription_item": item_id(ids, invoice.subscription_key, line.code),
        },
        "type": "subscription_item_details",
    }
