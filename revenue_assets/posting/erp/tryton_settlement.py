"""Who settles what in Tryton: payments and credit notes against the receivable lines of invoices.

A receivable line that settles an invoice is one of its payment lines from the moment it is made; when an invoice has
nothing left to pay, its lines are reconciled with each other and Tryton calls it paid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from revenue_assets.posting.erp.open_items import OpenItem, refusals
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

    def refusals(
        self, company: str, documents: Sequence[Journal], minor: Any, customers: Mapping[str, str]
    ) -> dict[str, Failure]:
        """By key: what cannot be settled as it says. `customers`: our id -> party."""
        targets = self.targets(company, [part.reference for d in documents for part in d.applies_to])
        shown = {
            number: [OpenItem(str(t.id), str(t.party), t.currency, minor(t.open_amount, t.currency)) for t in hits]
            for number, hits in targets.items()
        }
        return refusals(documents, shown, customers)

    def credit(self, company: str, settling: Mapping[str, Sequence[int]]) -> None:
        """Lets receivable lines of credit notes settle invoices, as far as they do not yet. `settling`: number of an
        invoice -> the lines that credit it."""
        lines = [line for mine in settling.values() for line in mine]
        if not lines:
            return
        context = self._masters.context(company)
        rows = self._rpc.search_read(
            "account.move.line", [["id", "in", lines]], ["reconciliation", "invoice_payment"], context
        )
        idle = {row["id"] for row in rows if row["reconciliation"] is None and row["invoice_payment"] is None}
        targets = {number: hits[0].id for number, hits in self.targets(company, settling).items()}
        changes: list[Any] = []
        for number, mine in settling.items():
            if number in targets and (left := [line for line in mine if line in idle]):
                changes += [left, {"invoice_payment": targets[number]}]
        if changes:
            self._rpc.call("model.account.move.line.write", *changes, context)
        self.close(company, targets.values())

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
        """Tryton's own dialogue for it, one for each invoice: its reconciliations cannot be written from outside. The
        lines balance, so it asks nothing."""
        context = context | {"active_model": "account.move.line", "active_ids": lines, "active_id": lines[0]}
        session, start, _end = self._rpc.call(f"{_WIZARD}.create", context)
        self._rpc.call(f"{_WIZARD}.execute", session, {}, start, context)
        self._rpc.call(f"{_WIZARD}.delete", session, context)
