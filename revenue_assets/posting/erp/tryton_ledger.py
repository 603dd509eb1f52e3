"""What stands in Tryton: documents by key and by id, whatever they are there, and account balances. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from revenue_assets.domain.money import MoneyError
from revenue_assets.posting.erp.open_items import ORDER
from revenue_assets.posting.erp.port import AccountBalance, DocumentKind, ErpError, Failure, Found, PostedDocument
from revenue_assets.posting.erp.tryton_customers import Customers
from revenue_assets.posting.erp.tryton_documents import STATES, Documents, applied
from revenue_assets.posting.erp.tryton_invoices import PREFIX, Invoices
from revenue_assets.posting.erp.tryton_masters import Masters, Period
from revenue_assets.sources.tryton_rpc import TrytonRpc

# What a document is in Tryton.
INVOICE_KINDS: frozenset[DocumentKind] = frozenset({"invoice", "credit_note"})
_MOVE_FIELDS = [
    "description", "number", "state", "date", "period", "company.party.name", "company.currency.code", "journal.code",
]  # fmt: skip
_LINE_FIELDS = [
    "move", "account.code", "debit", "credit", "amount_second_currency", "second_currency.code", "description", "party",
    "invoice_payment.reference",
]  # fmt: skip


class Ledger:
    """Moves and invoices of one ERP. Raises RpcFault where the ERP gives no answer."""

    def __init__(
        self, rpc: TrytonRpc, masters: Masters, customers: Customers, documents: Documents, invoices: Invoices
    ) -> None:
        self._rpc, self._masters, self._customers = rpc, masters, customers
        self._documents, self._invoices = documents, invoices

    def find(
        self, company: str, keys: Sequence[str], kinds: Collection[DocumentKind] = ORDER
    ) -> dict[str, tuple[Found, ...]]:
        """Documents by key. `kinds`: what the documents are, if that is known; one look-up fewer."""
        found: dict[str, tuple[Found, ...]] = {key: () for key in keys}
        hits: list[Found] = []
        if not INVOICE_KINDS.issuperset(kinds):
            rows = self._rpc.search_read(
                "account.move",
                [["company", "=", self._masters.company(company)], ["description", "in", list(found)]],
                ["description", "number", "state"],
                self._masters.context(company),
                order=[["id", "ASC"]],
            )
            hits += [Found(row["description"], str(row["id"]), row["number"], STATES[row["state"]]) for row in rows]
        if not INVOICE_KINDS.isdisjoint(kinds):
            hits += self._invoices.find(company, found)
        for hit in hits:
            found[hit.key] = (*found[hit.key], hit)
        return found

    def lines(self, company: str, document_ids: Sequence[str]) -> dict[str, PostedDocument]:
        """The documents by id, with every line; what is not there is left out."""
        if not document_ids:
            return {}
        context = self._masters.context(company)
        invoices = self._invoices.read(
            company, [int(i.removeprefix(PREFIX)) for i in document_ids if i.startswith(PREFIX)]
        )
        of_invoice = {row["move"]: row for row in invoices.values() if row["move"]}
        ids = [int(i) for i in document_ids if not i.startswith(PREFIX)] + list(of_invoice)
        moves = self._rpc.search_read("account.move", [["id", "in", ids]], _MOVE_FIELDS, context)
        rows = self._rpc.search_read(
            "account.move.line", [["move", "in", ids]], _LINE_FIELDS, context, order=[["id", "ASC"]]
        )
        periods = self._periods(company, {move["period"] for move in moves})
        customers = self._customers.codes(
            [row["party"] for row in (*rows, *invoices.values()) if row["party"] is not None]
        )
        by_move: dict[int, list[dict[str, Any]]] = {}
        for row in rows:
            by_move.setdefault(row["move"], []).append(row)
        held: list[PostedDocument] = []
        for move in moves:
            mine = by_move.get(move["id"], [])
            document = self._documents.read(move, mine, periods)
            if len(document.lines) == len(mine):
                document = replace(document, applies_to=applied(mine, document.lines))
            if move["id"] in of_invoice:
                row = of_invoice[move["id"]]
                document = self._invoices.described(document, row, customers.get(row["party"]))
            elif self._masters.kind_of_move(move["journal."]["code"]) == "cash_application":
                parties = {row["party"] for row in mine if row["party"] is not None}
                customer = customers.get(next(iter(parties))) if len(parties) == 1 else None
                document = replace(document, kind="cash_application", customer_id=customer)
            held.append(document)
        for row in invoices.values():
            if not row["move"]:
                draft = self._invoices.draft(company, row)
                held.append(self._invoices.described(draft, row, customers.get(row["party"])))
        return {document.document_id: document for document in held}

    def balances(self, company: str, period: str) -> tuple[AccountBalance, ...]:
        """Every account that moved in the period. Raises ErpError for a period or an amount that is none."""
        found = next((p for p in self._masters.periods(company) if p.name == period), None)
        if found is None:
            raise ErpError(Failure("mapping_missing", f"{company} has no period {period} in the ERP."))
        currency = self._masters.functional_currency(company)
        rows = self._rpc.search_read(
            "account.account",
            [["company", "=", self._masters.company(company)], ["type", "!=", None]],
            ["code", "debit", "credit"],
            self._masters.context(company) | {"periods": [found.id], "posted": True},
            order=[["code", "ASC"]],
        )
        try:
            minor = self._documents.minor
            return tuple(
                AccountBalance(
                    company,
                    period,
                    row["code"],
                    currency,
                    minor(row["debit"], currency),
                    minor(row["credit"], currency),
                )
                for row in rows
                if row["debit"] or row["credit"]
            )
        except MoneyError as error:
            raise ErpError(
                Failure("readback_mismatch", f"A balance of {company} {period} is no money: {error}")
            ) from error

    def _periods(self, company: str, wanted: Collection[int]) -> dict[int, Period]:
        """Periods by id; kept ones may lack what the ERP has opened since."""
        periods = {period.id: period for period in self._masters.periods(company)}
        if not set(wanted) <= set(periods):
            self._masters.forget()
            periods = {period.id: period for period in self._masters.periods(company)}
        return periods
