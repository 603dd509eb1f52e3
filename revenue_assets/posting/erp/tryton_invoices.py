"""Invoices and credit notes as Tryton's customer invoices, and back.

The key is the invoice's `description`, the billing platform's number its `reference`; Tryton's own number only counts
what it was given, in order, so the invoice date is the day it was given and the accounting date is ours. Lines with an
item become invoice lines on our account; all others but the receivable become manual tax lines, whose amounts Tryton
takes as they are. So the move that Tryton makes has our lines, to the cent, in the company's own currency.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from revenue_assets.posting.erp.documents import receivable_lines
from revenue_assets.posting.erp.port import DocumentKind, Failure, Found, Journal, Line, PostedDocument
from revenue_assets.posting.erp.tryton_customers import Customers
from revenue_assets.posting.erp.tryton_documents import Documents
from revenue_assets.posting.erp.tryton_masters import Masters
from revenue_assets.posting.erp.tryton_settlement import Settlement
from revenue_assets.sources.tryton_rpc import TrytonRpc

PREFIX = "invoice/"
_FIELDS = [
    "description", "reference", "state", "party", "company.party.name", "company.currency.code", "account.code",
    "accounting_date", "payment_term_date", "total_amount", "move", "move.number", "lines_to_pay", "origin_invoices",
]  # fmt: skip
# Tryton asks whether a due date in the past is meant; it is, where invoices come from elsewhere.
_MEANT = "invoice_payment_term"


class Invoices:
    """Invoices of one ERP. Document ids are `invoice/<id>`."""

    def __init__(
        self, rpc: TrytonRpc, masters: Masters, customers: Customers, documents: Documents, settlement: Settlement
    ) -> None:
        self._rpc, self._masters, self._customers = rpc, masters, customers
        self._documents, self._settlement = documents, settlement

    def refusal(self, document: Journal) -> Failure | None:
        """What Tryton would refuse, or convert at a rate of its own. The document is known to be sound in itself."""
        receivables = receivable_lines(document)
        account = self._masters.account(document.company, receivables[0].account_code)
        if not (account.is_receivable and account.needs_party):
            words = f"Account {receivables[0].account_code} of {document.company} takes no invoices in the ERP."
            return Failure("mapping_missing", words)
        foreign = sorted({x.currency for x in document.lines} - {document.functional_currency})
        if foreign:
            words = (
                f"Document {document.key} is in {', '.join(foreign)}: the ERP would convert it at rates of its own; "
                "post that currency as journals."
            )
            return Failure("invalid", words)
        items = {x.item for x in document.lines if x.item is not None}
        if missing := sorted(items - set(self._customers.items(items))):
            return Failure("mapping_missing", f"The ERP has no item {', '.join(missing)}.")
        if document.applies_to:
            opened = sum(-x.amount_tc for x in receivables)
            if len(document.applies_to) > 1 or document.applies_to[0].amount_tc != opened or not items:
                words = f"Document {document.key}: the ERP takes a credit note with items for one invoice, whole."
                return Failure("invalid", words)
        return None

    def values(self, company: str, documents: Sequence[Journal]) -> list[dict[str, Any]]:
        """The invoices to create, in order. Raises ErpError for a master that is not there."""
        parties = self._customers.parties(d.customer.id for d in documents if d.customer)
        addresses = self._customers.addresses(parties.values())
        origins = self._settlement.first_lines(
            company, [part.reference for document in documents for part in document.applies_to]
        )
        return [self._values(document, parties, addresses, origins) for document in documents]

    def _values(
        self, document: Journal, parties: Mapping[str, int], addresses: Mapping[int, int], origins: Mapping[str, int]
    ) -> dict[str, Any]:
        assert document.customer is not None
        party = parties[document.customer.id]
        company = self._masters.company(document.company)
        currency = self._masters.currency(document.functional_currency)
        others = [x for x in document.lines if x not in receivable_lines(document) and (x.debit or x.credit)]
        items = self._customers.items(x.item for x in others if x.item is not None)
        origin = next((origins[part.reference] for part in document.applies_to if part.reference in origins), None)
        lines = [
            {
                "company": company, "currency": currency, "type": "line", "product": items[x.item].id,
                "unit": items[x.item].unit, "quantity": Decimal(1), "unit_price": self._amount(x, document),
                "account": self._masters.account(document.company, x.account_code).id, "description": x.text,
                "origin": None if origin is None else f"account.invoice.line,{origin}",
            }
            for x in others if x.item is not None
        ]  # fmt: skip
        taxes = [
            {
                "description": x.text or x.role or x.account_code, "manual": True, "base": Decimal(0),
                "amount": self._amount(x, document),
                "account": self._masters.account(document.company, x.account_code).id,
            }
            for x in others if x.item is None
        ]  # fmt: skip
        return {
            "company": company,
            "type": "out",
            "description": document.key,
            "reference": document.reference,
            "party": party,
            "invoice_address": addresses.get(party),
            "account": self._masters.account(document.company, receivable_lines(document)[0].account_code).id,
            "currency": currency,
            "journal": self._masters.journal(document.kind),
            "accounting_date": document.accounting_date,
            "payment_term_date": document.due_date or document.accounting_date,
            "lines": [["create", lines]],
            "taxes": [["create", taxes]],
        }

    def _amount(self, line: Line, document: Journal) -> Decimal:
        return self._documents.major(line.credit - line.debit, document.functional_currency)

    def find(self, company: str, keys: Iterable[str]) -> tuple[Found, ...]:
        """Invoices that carry the keys. A posted credit note that does not settle its invoice yet is not finished."""
        rows = self._rows(company, ["description", "in", list(keys)])
        unsettled = self._settlement.unsettled(
            company, {row["id"]: row["lines_to_pay"] for row in rows if _credits(row)}
        )
        return tuple(
            Found(
                row["description"],
                f"{PREFIX}{row['id']}",
                row["move."]["number"] if row["move."] else None,
                "posted" if row["move"] and row["id"] not in unsettled else "created",
            )
            for row in rows
        )

    def read(self, company: str, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """The invoices' rows by id."""
        return {row["id"]: row for row in self._rows(company, ["id", "in", list(ids)])} if ids else {}

    def post(self, company: str, drafts: Mapping[int, Journal], *, is_new: bool) -> None:
        """Posts drafts and lets credit notes settle their invoices. By invoice id; may be repeated with `is_new` false:
        then those that are posted already are not posted again."""
        context = self._masters.context(company)
        known = {} if is_new else self.read(company, list(drafts))
        fresh = [i for i in drafts if i not in known or known[i]["move"] is None]
        if fresh:
            names = [f"{hashlib.md5(f'account.invoice,{i}'.encode()).hexdigest()}.{_MEANT}" for i in fresh]  # noqa: S324
            meant = [{"user": self._rpc.user_id, "name": name, "always": False} for name in names]
            self._rpc.call("model.res.user.warning.create", meant, context)
            self._rpc.call("model.account.invoice.post", fresh, context)
        credits = {i: d.applies_to[0].reference for i, d in drafts.items() if d.applies_to}
        settling: dict[str, list[int]] = {}
        for invoice, row in self.read(company, list(credits)).items():
            settling.setdefault(credits[invoice], []).extend(row["lines_to_pay"])
        self._settlement.credit(company, settling)

    def described(self, document: PostedDocument, row: Mapping[str, Any], customer_id: str | None) -> PostedDocument:
        """The document of the invoice's move, with what the invoice says."""
        kind: DocumentKind = "credit_note" if row["total_amount"] < 0 else "invoice"
        return replace(
            document, document_id=f"{PREFIX}{row['id']}", key=row["description"] or "", kind=kind,
            customer_id=customer_id, reference=row["reference"], due_date=row["payment_term_date"],
        )  # fmt: skip

    def draft(self, company: str, row: Mapping[str, Any]) -> PostedDocument:
        """What the move of a draft will be."""
        context = self._masters.context(company)
        currency = row["company."]["currency."]["code"]
        parts = [(row["account."]["code"], row["total_amount"])]
        for model, domain in (("account.invoice.line", [["type", "=", "line"]]), ("account.invoice.tax", [])):
            found = self._rpc.search_read(
                model, [["invoice", "=", row["id"]], *domain], ["account.code", "amount"], context
            )
            parts += [(part["account."]["code"], -part["amount"]) for part in found]
        lines = []
        for number, (code, major) in enumerate(parts, start=1):
            amount = self._documents.minor(major, currency)
            lines.append(Line(number, code, max(amount, 0), max(-amount, 0), currency, amount))
        period = self._masters.period_at(company, row["accounting_date"])
        return PostedDocument(
            row["description"] or "", f"{PREFIX}{row['id']}", None, "created", company, row["accounting_date"],
            period.name if period else "", currency, tuple(lines),
        )  # fmt: skip

    def items_of(self, company: str, invoice: int) -> dict[str, str]:
        """Our item that stands on each account of an invoice; of several, the last line's."""
        rows = self._rpc.search_read(
            "account.invoice.line", [["invoice", "=", invoice], ["type", "=", "line"]],
            ["account.code", "product.code"], self._masters.context(company), order=[["id", "ASC"]],
        )  # fmt: skip
        return {row["account."]["code"]: row["product."]["code"] for row in rows if row["product."]}

    def _rows(self, company: str, domain: list[Any]) -> list[dict[str, Any]]:
        """A cancelled invoice that never had a move is not there: somebody threw a draft away."""
        rows = self._rpc.search_read(
            "account.invoice",
            [["company", "=", self._masters.company(company)], ["type", "=", "out"], domain],
            _FIELDS,
            self._masters.context(company),
            order=[["id", "ASC"]],
        )
        return [row for row in rows if row["state"] != "cancelled" or row["move"]]


def _credits(row: Mapping[str, Any]) -> bool:
    return bool(row["move"]) and row["total_amount"] < 0 and bool(row["origin_invoices"])
