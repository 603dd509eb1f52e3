"""Invoices, credit notes and payments as NetSuite's own records, so that its ledger gets our lines to the cent.

An invoice debits the receivable with its total and credits the account of each item; a credit memo the other way round.
So every line of ours but the receivable is an item line (`netsuite_customers` finds the item), tax included: NetSuite
must compute no tax of its own. A payment debits one account and credits the receivable; one that moves more accounts
(a fee, an exchange difference) does not fit it. docs/erp-netsuite-documents.md says more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from revenue_assets.domain.config_erp import NetSuiteDetails
from revenue_assets.domain.money import to_major
from revenue_assets.posting.erp.documents import receivable_lines
from revenue_assets.posting.erp.netsuite_customers import Customers, item_lines
from revenue_assets.posting.erp.netsuite_documents import CREDIT_MEMO, INVOICE, MEMO_CHARS_MAX, PAYMENT, Documents
from revenue_assets.posting.erp.netsuite_masters import Masters
from revenue_assets.posting.erp.netsuite_settlement import Settlement
from revenue_assets.posting.erp.open_items import OpenItem, refusals
from revenue_assets.posting.erp.port import ErpError, Failure, Journal, Line


class Invoices:
    """`exponents`: currency -> minor-unit digits."""

    def __init__(
        self, masters: Masters, customers: Customers, documents: Documents, settlement: Settlement,
        exponents: Mapping[str, int], details: NetSuiteDetails,
    ) -> None:  # fmt: skip
        self._masters, self._customers, self._documents = masters, customers, documents
        self._settlement, self._exponents, self._details = settlement, dict(exponents), details
        # Invoices that the last check saw, by company and number.
        self._seen: dict[tuple[str, str], tuple[OpenItem, ...]] = {}

    def record_type(self, document: Journal) -> str:
        """The record that the document becomes."""
        if document.kind == "invoice":
            return INVOICE
        return PAYMENT if document.kind == "cash_application" and _fits_payment(document) else CREDIT_MEMO

    def refusals(self, documents: Sequence[Journal]) -> dict[str, Failure]:
        """By key: what NetSuite would refuse, convert, or settle otherwise. The documents are sound in themselves."""
        customers = self._customers.customers(d.customer.id for d in documents if d.customer)
        found = {d.key: failure for d in documents if (failure := self._refusal(d, customers)) is not None}
        for company in dict.fromkeys(d.company for d in documents):
            settling = [d for d in documents if d.company == company and d.applies_to and d.key not in found]
            if settling:
                numbers = [part.reference for d in settling for part in d.applies_to]
                shown = self._settlement.open_items(company, numbers)
                self._seen |= {(company, number): shown.get(number, ()) for number in numbers}
                found |= refusals(settling, shown, customers, missing_class="uncertain")
        return found

    def _refusal(self, document: Journal, customers: Mapping[str, str]) -> Failure | None:
        assert document.customer is not None
        if document.customer.id not in customers:
            return Failure("mapping_missing", f"NetSuite has no active customer {document.customer.id}.")
        receivable = receivable_lines(document)[0].account_code
        if not self._masters.is_receivable(receivable):
            words = f"Account {receivable} is of no receivable type in NetSuite: it takes no invoices and payments."
            return Failure("mapping_missing", words)
        foreign = sorted({x.currency for x in document.lines} - {document.functional_currency})
        if foreign:
            words = (
                f"Document {document.key} is in {', '.join(foreign)}: NetSuite would convert it at a rate of its own; "
                "post that currency as journals."
            )
            return Failure("invalid", words)
        if any(line.account_code == receivable for line in item_lines(document)):
            return Failure("invalid", f"Document {document.key} has a line on {receivable} that is no receivable.")
        is_odd = document.kind == "cash_application" and not _fits_payment(document)
        if is_odd and self._details.payments_of_many_accounts == "refuse":
            words = (
                f"Payment {document.key} moves more than one account besides the receivable, which a NetSuite payment "
                "cannot: post this event class as summary, or set options.details.payments_of_many_accounts to "
                "credit_memo."
            )
            return Failure("invalid", words)
        return None

    def values(self, document: Journal) -> dict[str, Any]:
        """The record to create of a document that has passed `refusals` and whose items are there."""
        assert document.customer is not None
        record = self.record_type(document)
        receivable = self._masters.account(receivable_lines(document)[0].account_code)
        who = {"id": self._customers.customers([document.customer.id]).get(document.customer.id)}
        values = self._documents.head(document, document.functional_currency, Decimal(1))
        values |= self._details.fields.get(record, {})  # type: ignore[call-overload]
        if record == PAYMENT:
            (other,) = item_lines(document)
            values |= {
                "customer": who,
                "arAcct": {"id": receivable},
                "account": {"id": self._masters.account(other.account_code)},
                "payment": self._major(other.debit, document),
                "autoApply": False,
            }
        else:
            sign = 1 if record == INVOICE else -1
            values |= {"entity": who, "account": {"id": receivable}}
            values["item"] = {"items": [self._item_line(document, x, sign) for x in item_lines(document)]}
        if document.reference is not None:
            values[self._details.number_field] = document.reference
        if record == INVOICE:
            values["dueDate"] = (document.due_date or document.accounting_date).isoformat()
            values |= self._documents.approval()
        if document.applies_to:
            values["apply"] = {"items": self._applications(document)}
        return values

    def _item_line(self, document: Journal, line: Line, sign: int) -> dict[str, Any]:
        item = self._customers.item_of(line)
        if item is None:
            raise ErpError(Failure("mapping_missing", f"The item of line {line.line_no} vanished while it was sent."))
        amount = self._major(sign * (line.credit - line.debit), document)
        return {
            "item": {"id": item.id},
            "quantity": 1,
            "rate": amount,
            "amount": amount,
            "description": line.text[:MEMO_CHARS_MAX],
            **self._documents.dimensions(line),
        }

    def _applications(self, document: Journal) -> list[dict[str, Any]]:
        parts = []
        for part in document.applies_to:
            hits = self._seen.get((document.company, part.reference), ())
            if len(hits) != 1:
                raise ErpError(
                    Failure("uncertain", f"Invoice {part.reference} was not looked up before it is settled.")
                )
            amount = self._major(part.amount_tc, document)
            parts.append({"doc": {"id": hits[0].id}, "apply": True, "amount": amount})
        return parts

    def _major(self, amount: int, document: Journal) -> Decimal:
        return to_major(amount, self._exponents[document.functional_currency])


def _fits_payment(document: Journal) -> bool:
    """A NetSuite payment debits one account, once, with all that the customer paid."""
    others = item_lines(document)
    return len(others) == 1 and others[0].debit > 0
