"""Credit notes, before and after payment, with the refund that settles the latter."""

from __future__ import annotations

from datetime import date
from typing import Any

from demo.world.books import Books
from demo.world.calendar import at
from demo.world.customers import customer_id
from demo.world.model import Invoice, Line
from demo.world.money import half_up
from demo.world.tax import DocumentLine, document, tax_rate_id


def credit_note(
    books: Books, lines: tuple[tuple[Line, int], ...], day: date, reason: str, kind: str
) -> dict[str, Any] | None:
    """Credit net amounts on lines of one invoice, with tax in proportion to each original tax line.

    `pre_payment` lowers what is left to pay; `post_payment` is refunded five minutes later to the one charge that
    paid the invoice. The tax engine gets a return document of the same day. None if there is nothing to credit.
    """
    lines = tuple((line, amount) for line, amount in lines if amount > 0)
    if not lines:
        return None
    invoice = lines[0][0].invoice
    if invoice is None or any(line.invoice is not invoice for line, _ in lines):
        raise ValueError("a credit note belongs to exactly one invoice")
    key = f"{invoice.key}/note/{day}"
    note_id = books.ids.stripe("cn", key)
    created = at(invoice.entity, day, 15, 10)
    taxes = [_tax_share(line, amount) for line, amount in lines]
    net = sum(amount for _, amount in lines)
    tax = sum(amount for shares in taxes for _, amount in shares)
    total = net + tax
    refunds = []
    if kind == "post_payment":
        if len(invoice.charges) != 1:
            raise ValueError("a refund goes to the one charge that paid the invoice")
        charge = books.charges[invoice.charges[0]]
        refund = books.refund(invoice.entity, charge, total, created + 300, key, "requested_by_customer")
        refunds.append({"amount_refunded": total, "refund": refund["id"], "type": "refund"})
        invoice.post_payment_notes += total
        invoice.refunded = True
    else:
        invoice.pre_payment_notes += total
    invoice.noted = True
    note = _note_object(books, invoice, note_id, created, day, lines, taxes, reason, kind, refunds, net, tax)
    books.add(invoice.entity, "credit_note", note)
    engine_lines = [
        DocumentLine(line.code, line.quantity, -amount, 0, tuple((k, -t) for k, t in shares))
        for (line, amount), shares in zip(lines, taxes, strict=True)
    ]
    books.add(
        invoice.entity,
        "tax_document",
        document(
            books.ids, invoice.deal, note_id, "ReturnInvoice", day, engine_lines,
            committed_at=created, reference=invoice.id,
        ),
    )  # fmt: skip
    return note


def _tax_share(line: Line, amount: int) -> list[tuple[str, int]]:
    return [(key, half_up(tax * amount, line.net)) for key, tax in line.taxes]


def tax_objects(books: Books, taxes: list[tuple[str, int]], taxable: int) -> list[dict[str, Any]]:
    """`taxes` of an invoice or credit note line."""
    return [
        {
            "amount": amount,
            "tax_behavior": "exclusive",
            "tax_rate_details": {"tax_rate": tax_rate_id(books.ids, key)},
            "taxability_reason": "standard_rated",
            "taxable_amount": taxable,
            "type": "tax_rate_details",
        }
        for key, amount in taxes
    ]


def total_taxes(lines: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Document totals per tax rate out of the lines' `taxes`."""
    totals: dict[str, dict[str, Any]] = {}
    for tax in (tax for taxes in lines for tax in taxes):
        rate = tax["tax_rate_details"]["tax_rate"]
        if rate in totals:
            totals[rate]["amount"] += tax["amount"]
            totals[rate]["taxable_amount"] += tax["taxable_amount"]
        else:
            totals[rate] = {**tax, "tax_rate_details": dict(tax["tax_rate_details"])}
    return list(totals.values())


def _note_object(
    books: Books,
    invoice: Invoice,
    note_id: str,
    created: int,
    day: date,
    lines: tuple[tuple[Line, int], ...],
    taxes: list[list[tuple[str, int]]],
    reason: str,
    kind: str,
    refunds: list[dict[str, Any]],
    net: int,
    tax: int,
) -> dict[str, Any]:
    shown = [tax_objects(books, shares, amount) for (_, amount), shares in zip(lines, taxes, strict=True)]
    total = net + tax
    post = kind == "post_payment"
    return {
        "id": note_id,
        "object": "credit_note",
        "amount": total,
        "amount_shipping": 0,
        "created": created,
        "currency": invoice.currency.lower(),
        "customer": customer_id(books.ids, invoice.entity, invoice.deal.customer),
        "customer_balance_transaction": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": created,
        "invoice": invoice.id,
        "lines": {
            "object": "list",
            "data": [
                {
                    "id": books.ids.stripe("cnli", note_id, n),
                    "object": "credit_note_line_item",
                    "amount": amount,
                    "description": None,
                    "discount_amount": 0,
                    "discount_amounts": [],
                    "invoice_line_item": line.id,
                    "livemode": True,
                    "pretax_credit_amounts": [],
                    "quantity": 1,
                    "taxes": line_taxes,
                    "type": "invoice_line_item",
                    "unit_amount": amount,
                    "unit_amount_decimal": str(amount),
                }
                for n, ((line, amount), line_taxes) in enumerate(zip(lines, shown, strict=True))
            ],
            "has_more": False,
            "url": f"/v1/credit_notes/{note_id}/lines",
        },
        "livemode": True,
        "memo": None,
        "metadata": {"salesforce_opportunity_id": invoice.opportunity_id},
        "number": f"{invoice.number}-CN-{day:%m%d}",
        "out_of_band_amount": None,
        "post_payment_amount": total if post else 0,
        "pre_payment_amount": 0 if post else total,
        "pretax_credit_amounts": [],
        "reason": reason,
        "refunds": refunds,
        "status": "issued",
        "subtotal": net,
        "subtotal_excluding_tax": net,
        "total": total,
        "total_excluding_tax": net,
        "total_taxes": total_taxes(shown),
        "type": kind,
        "voided_at": None,
    }
