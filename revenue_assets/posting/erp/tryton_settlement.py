"""Who settles what in Tryton: payments and credit notes against the receivable lines of invoices.

A receivable line that settles an invoice is one of its payment lines from the moment it is made; when an invoice has
nothing left to pay, its lines are reconciled with each other and Tryton calls it paid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from revenue_assets.posting.erp.port import Failure, Journal
from revenue_assets.posting.erp.tryton_masters import Masters
from revenue_assets.sources.tryton_rpc import TrytonRpc

_WIZARD = "wizard.account.move.reconcile_lines"


@dataclass(frozen=True, slots=True)
class Target:
    """A posted invoice with our reference. `open_amount` in major units of `currency`."""

    id: int
    party: int
    currency: str
    open_amount: Decimal


class Settlement:
    """Reads what is open and settles it. Invoices are found by the billing platform's number."""

    def __init__(self, rpc: TrytonRpc, masters: Masters) -> None:
        self._rpc, self._masters = rpc, masters

    def targets(self, company: str, references: Iterable[str]) -> dict[str, tuple[Target, ...]]:
        """Posted invoices by number; several under one number are for a person to sort out."""
        wanted = sorted(set(references))
        if not wanted:
            return {}
        rows = self._rpc.search_read(
            "account.invoice",
            [
                ["company", "=", self._masters.company(company)], ["type", "=", "out"], ["reference", "in", wanted],
                ["state", "in", ["posted", "paid"]],
            ],
            ["reference", "party", "currency.code", "amount_to_pay"],
            self._masters.context(company),
            order=[["id", "ASC"]],
        )  # fmt: skip
        found: dict[str, tuple[Target, ...]] = {}
        for row in rows:
            target = Target(row["id"], row["party"], row["currency."]["code"], Decimal(row["amount_to_pay"] or 0))
            found[row["reference"]] = (*found.get(row["reference"], ()), target)
        return found

    def first_lines(self, company: str, references: Iterable[str]) -> dict[str, int]:
        """The first line of each invoice, by its number: the origin of what credits it."""
        targets = {hits[0].id: number for number, hits in self.targets(company, references).items()}
        if not targets:
            return {}
        rows = self._rpc.search_read(
            "account.invoice.line", [["invoice", "in", sorted(targets)]], ["invoice"], self._masters.context(company),
            order=[["id", "ASC"]],
        )  # fmt: skip
        found: dict[str, int] = {}
        for row in rows:
            found.setdefault(targets[row["invoice"]], row["id"])
        return found

    def unsettled(self, company: str, lines: Mapping[int, Sequence[int]]) -> set[int]:
        """Of credit notes and their receivable lines: those whose lines settle nothing."""
        if not lines:
            return set()
        ids = [line for held in lines.values() for line in held]
        rows = self._rpc.search_read(
            "account.move.line", [["id", "in", ids]], ["reconciliation", "invoice_payment"],
            self._masters.context(company),
        )  # fmt: skip
        idle = {row["id"] for row in rows if row["reconciliation"] is None and row["invoice_payment"] is None}
        return {document for document, held in lines.items() if idle & set(held)}

    def refusals(self, company: str, documents: Sequence[Journal], minor: Any) -> dict[str, Failure]:
        """By key: what cannot be settled as it says. Documents that settle one invoice share what is open on it."""
        targets = self.targets(company, [part.reference for d in documents for part in d.applies_to])
        left = {
            number: minor(hits[0].open_amount, hits[0].currency) for number, hits in targets.items() if len(hits) == 1
        }
        refused: dict[str, Failure] = {}
        for document in documents:
            for part in document.applies_to:
                words = None
                hits = targets.get(part.reference, ())
                if not hits:
                    words = f"has no posted invoice {part.reference} to settle; post that first"
                elif len(hits) > 1:
                    words = f"has {len(hits)} invoices with the number {part.reference}"
                elif hits[0].currency != part.currency:
                    words = f"has invoice {part.reference} in {hits[0].currency}, not in {part.currency}"
                elif left[part.reference] < part.amount_tc:
                    words = (
                        f"has {left[part.reference]} minor units {part.currency} open on {part.reference}, less than "
                        f"the {part.amount_tc} to settle"
                    )
                if words is not None:
                    refused[document.key] = Failure(
                        "invalid", f"Document {document.key} was not sent: the ERP {words}."
                    )
                    break
            else:
                for part in document.applies_to:
                    left[part.reference] -= part.amount_tc
        return refused

    def credit(self, company: str, lines: Sequence[int], reference: str) -> None:
        """Lets the receivable lines of a credit note settle the invoice, as far as they do not yet."""
        context = self._masters.context(company)
        rows = self._rpc.search_read(
            "account.move.line", [["id", "in", list(lines)]], ["reconciliation", "invoice_payment"], context
        )
        idle = [row["id"] for row in rows if row["reconciliation"] is None and row["invoice_payment"] is None]
        targets = self.targets(company, [reference]).get(reference, ())
        if not targets:
            return
        if idle:
            self._rpc.call("model.account.move.line.write", idle, {"invoice_payment": targets[0].id}, context)
        self.close(company, [targets[0].id])

    def close(self, company: str, invoices: Iterable[int]) -> None:
        """Reconciles the lines of every invoice that has nothing left to pay and is not closed yet."""
        context = self._masters.context(company)
        wanted = sorted(set(invoices))
        if not wanted:
            return
        rows = self._rpc.search_read(
            "account.invoice", [["id", "in", wanted], ["state", "=", "posted"]],
            ["amount_to_pay", "lines_to_pay", "payment_lines"], context,
        )  # fmt: skip
        done = [row for row in rows if not row["amount_to_pay"] and row["payment_lines"]]
        ids = [line for row in done for line in (*row["lines_to_pay"], *row["payment_lines"])]
        if not ids:
            return
        lines = self._rpc.search_read(
            "account.move.line", [["id", "in", ids], ["reconciliation", "=", None]], ["debit"], context
        )
        still_open = {line["id"] for line in lines}
        for row in done:
            together = [line for line in (*row["lines_to_pay"], *row["payment_lines"]) if line in still_open]
            if together:
                self._reconcile(together, context)

    def _reconcile(self, lines: list[int], context: dict[str, Any]) -> None:
        """Tryton's own dialogue for it: the lines balance, so it asks nothing."""
        context = context | {"active_model": "account.move.line", "active_ids": lines, "active_id": lines[0]}
        session, start, _end = self._rpc.call(f"{_WIZARD}.create", context)
        self._rpc.call(f"{_WIZARD}.execute", session, {}, start, context)
        self._rpc.call(f"{_WIZARD}.delete", session, context)
