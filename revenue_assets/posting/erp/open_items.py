"""What payments and credit notes may settle of an ERP's invoices. Pure; the adapter says what is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from revenue_assets.posting.erp.port import DocumentKind, Failure, Journal

# What settles comes after what is settled.
ORDER: tuple[DocumentKind, ...] = ("journal", "invoice", "credit_note", "cash_application")


@dataclass(frozen=True, slots=True)
class OpenItem:
    """A posted invoice that carries the billing platform's number. `id` and `customer` are the ERP's own ids;
    `open_amount` in minor units of `currency`."""

    id: str
    customer: str
    currency: str
    open_amount: int


def refusals(
    documents: Sequence[Journal],
    open_items: Mapping[str, Sequence[OpenItem]],
    customers: Mapping[str, str],
    *,
    missing_class: str = "invalid",
) -> dict[str, Failure]:
    """By key: what cannot be settled as it says. Documents that settle one invoice share what is open on it.

    `open_items`: by number of the invoice; `customers`: our id -> the ERP's. `missing_class`: what it means that an
    invoice is not shown: `uncertain` where it may come yet.
    """
    left = {number: hits[0].open_amount for number, hits in open_items.items() if len(hits) == 1}
    refused: dict[str, Failure] = {}
    for document in documents:
        owner = customers.get(document.customer.id) if document.customer else None
        for part in document.applies_to:
            words, failure_class = None, "invalid"
            hits = open_items.get(part.reference, ())
            if not hits:
                words = f"has no posted invoice {part.reference} to settle; post that first"
                failure_class = missing_class
            elif len(hits) > 1:
                words = f"has {len(hits)} invoices with the number {part.reference}"
            elif hits[0].currency != part.currency:
                words = f"has invoice {part.reference} in {hits[0].currency}, not in {part.currency}"
            elif owner is not None and hits[0].customer != owner:
                words = f"has invoice {part.reference} of another customer"
            elif left[part.reference] < part.amount_tc:
                words = (
                    f"has {left[part.reference]} minor units {part.currency} open on {part.reference}, less than the "
                    f"{part.amount_tc} to settle"
                )
            if words is not None:
                refused[document.key] = Failure(
                    failure_class, f"Document {document.key} was not sent: the ERP {words}."
                )
                break
        else:
            for part in document.applies_to:
                left[part.reference] -= part.amount_tc
    return refused
