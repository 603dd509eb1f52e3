"""Journals and payments to Tryton's moves and back, and what Tryton would refuse or get wrong. Asks for masters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from revenue_assets.domain.money import MoneyError, to_major, to_minor
from revenue_assets.posting.erp.documents import RECEIVABLE, receivable_lines, unfit
from revenue_assets.posting.erp.port import (
    Application,
    Capabilities,
    DocumentState,
    Failure,
    Journal,
    Line,
    MasterKey,
    PostedDocument,
)
from revenue_assets.posting.erp.tryton_customers import Customers
from revenue_assets.posting.erp.tryton_masters import Account, Masters, Period

STATES: dict[str, DocumentState] = {"draft": "created", "posted": "posted"}


class Documents:
    """`exponents`: currency -> minor-unit digits; amounts are whole minor units on our side, Decimal on Tryton's.

    `sundry`: our code of the customer that summarised lines go to on an account where every line names one.
    """

    def __init__(
        self,
        masters: Masters,
        customers: Customers,
        exponents: Mapping[str, int],
        capabilities: Capabilities,
        sundry: str | None,
    ) -> None:
        self._masters, self._customers, self._sundry = masters, customers, sundry
        self._exponents = dict(exponents)
        self._capabilities = capabilities

    def values(self, document: Journal, targets: Mapping[str, int]) -> dict[str, Any]:
        """The move to create. `targets`: number of an invoice that it settles -> Tryton's id. Raises ErpError for a
        master that is not there; `refusal` finds it first."""
        company = document.company
        lines = [
            self._line_values(document, line, targets.get(settles) if settles else None)
            for line, settles in _split(document)
        ]
        values: dict[str, Any] = {
            "company": self._masters.company(company),
            "journal": self._masters.journal(document.kind),
            "period": self._masters.period_of(company, document.accounting_date).id,
            "date": document.accounting_date,
            "description": document.key,
            "lines": [["create", lines]],
        }
        if document.reverses is not None:
            values["origin"] = f"account.move,{int(document.reverses)}"
        return values

    def _line_values(self, document: Journal, line: Line, settles: int | None) -> dict[str, Any]:
        """A second currency only where there is an amount in it, of the same sign as debit minus credit."""
        account = self._masters.account(document.company, line.account_code)
        values: dict[str, Any] = {
            "account": account.id,
            "debit": self.major(line.debit, document.functional_currency),
            "credit": self.major(line.credit, document.functional_currency),
            "description": line.text,
        }
        if account.needs_party:
            values["party"] = self._party(document, line)
        if settles is not None:
            values["invoice_payment"] = settles
        if line.amount_tc and line.currency != document.functional_currency:
            values["second_currency"] = self._masters.currency(line.currency)
            values["amount_second_currency"] = self.major(line.amount_tc, line.currency)
        return values

    def customers_of(self, documents: Iterable[Journal]) -> set[str]:
        """Our codes of all customers that the documents may name, the sundry one among them."""
        named = {document.customer.id for document in documents if document.customer}
        named |= {c for document in documents for x in document.lines if (c := x.dimensions.get("customer_id"))}
        return named | ({self._sundry} if self._sundry is not None else set())

    def _party(self, document: Journal, line: Line) -> int | None:
        """The customer of the document, else of the line if it is one, else the sundry one."""
        customer = document.customer.id if document.customer else line.dimensions.get("customer_id")
        found = self._customers.party(customer) if customer else None
        if found is None and document.customer is None and self._sundry is not None:
            found = self._customers.party(self._sundry)
        return found

    def refusal(self, document: Journal) -> Failure | None:
        """What Tryton would refuse, or take and get wrong, found before it is asked."""
        if self._masters.lookup(MasterKey("company", document.company, document.company)) is None:
            return Failure("mapping_missing", f"The ERP has no company {document.company!r} that the robot may see.")
        functional = self._masters.functional_currency(document.company)
        if functional != document.functional_currency:
            return Failure(
                "mapping_missing",
                f"{document.company} keeps its books in {functional} in the ERP, the document is in "
                f"{document.functional_currency}.",
            )
        currencies = {functional, *(line.currency for line in document.lines)}
        unknown = sorted(currencies - set(self._exponents))
        missing = self._masters.missing(document) + [f"number of minor-unit digits of {code}" for code in unknown]
        if missing:
            return Failure("mapping_missing", f"Missing in the ERP for {document.company}: {', '.join(missing)}.")
        unsound = unfit(document, self._capabilities)
        if unsound is not None:
            return unsound
        if document.customer is not None and self._customers.party(document.customer.id) is None:
            return Failure("mapping_missing", f"The ERP has no customer {document.customer.id}.")
        for line in document.lines:
            if line.amount_tc * (line.debit - line.credit) < 0:
                return Failure(
                    "invalid", f"Document {document.key}: the amounts of line {line.line_no} differ in sign."
                )
            account = self._masters.account(document.company, line.account_code)
            if account.is_closed:
                words = f"Account {line.account_code} of {document.company} is closed in the ERP."
                return Failure("mapping_missing", words)
            if account.needs_party and self._party(document, line) is None:
                words = (
                    f"Account {line.account_code} of {document.company} asks for a customer, and the ERP has none for"
                )
                return Failure("mapping_missing", f"{words} line {line.line_no} of document {document.key}.")
        period = self._masters.period_at(document.company, document.accounting_date)
        if period is None:
            return Failure(
                "mapping_missing", f"{document.company} has no period for {document.accounting_date} in the ERP."
            )
        if period.state != "open":
            return Failure("period_closed", f"Period {period.name} of {document.company} is closed in the ERP.")
        return None

    def unsettleable(self, document: Journal) -> Failure | None:
        """Why a payment cannot settle anything on its receivable account."""
        for line in receivable_lines(document):
            account: Account = self._masters.account(document.company, line.account_code)
            if not (account.needs_party and account.reconciles):
                words = f"Account {line.account_code} of {document.company} keeps no open items in the ERP."
                return Failure("mapping_missing", words)
            if line.currency != document.functional_currency:
                words = f"Document {document.key} is in {line.currency}; post payments in that currency as journals."
                return Failure("invalid", words)
        return None

    def read(
        self, move: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], periods: Mapping[int, Period]
    ) -> PostedDocument:
        """The move as it is, with every oddity named in `defects` instead of raised: it is evidence."""
        company = move["company."]
        functional = company["currency."]["code"]
        defects: list[str] = []
        lines: list[Line] = []
        for number, row in enumerate(rows, start=1):
            try:
                lines.append(self._line(number, row, functional))
            except (MoneyError, KeyError) as error:
                defects.append(f"line {number}: {error}")
        period = periods.get(move["period"])
        if period is None or not period.start_date <= move["date"] <= period.end_date:
            defects.append(f"its date {move['date']} is not in its period {period.name if period else move['period']}")
        return PostedDocument(
            key=move["description"] or "",
            document_id=str(move["id"]),
            number=move["number"],
            state=STATES[move["state"]],
            company=company["party."]["name"],
            accounting_date=move["date"],
            period=period.name if period else "",
            functional_currency=functional,
            lines=tuple(lines),
            defects=tuple(defects),
        )

    def _line(self, number: int, row: Mapping[str, Any], functional: str) -> Line:
        debit, credit = self.minor(row["debit"], functional), self.minor(row["credit"], functional)
        second = row.get("second_currency.")
        currency = second["code"] if second else functional
        amount = self.minor(row["amount_second_currency"] or 0, currency) if second else debit - credit
        return Line(number, row["account."]["code"], debit, credit, currency, amount, row["description"] or "")

    def major(self, amount: int, currency: str) -> Decimal:
        """Major units as Tryton takes them."""
        return to_major(amount, self._exponents[currency])

    def minor(self, value: Any, currency: str) -> int:
        """Whole minor units. Raises MoneyError for a fraction of one, KeyError for an unknown currency."""
        return to_minor(value or 0, self._exponents[currency])


def applied(rows: Sequence[Mapping[str, Any]], lines: Sequence[Line]) -> tuple[Application, ...]:
    """What a move's lines settle, from the rows and the lines read from them."""
    return tuple(
        Application(row["invoice_payment."]["reference"] or "", -line.amount_tc, line.currency)
        for row, line in zip(rows, lines, strict=True)
        if row.get("invoice_payment.")
    )


def _split(document: Journal) -> list[tuple[Line, str | None]]:
    """The lines, with the receivable of a payment cut up by what it settles; a rest stays on the customer's account."""
    if document.kind != "cash_application":
        return [(line, None) for line in document.lines]
    owed = -sum(line.amount_tc for line in receivable_lines(document))
    parts: list[tuple[int, str | None]] = [(part.amount_tc, part.reference) for part in document.applies_to]
    rest = owed - sum(amount for amount, _ in parts)
    first = receivable_lines(document)[0]
    cut = [
        (
            Line(first.line_no, first.account_code, 0, amount, first.currency, -amount, first.text, first.dimensions,
                 RECEIVABLE),
            reference,
        )
        for amount, reference in [*parts, *([(rest, None)] if rest else [])]
    ]  # fmt: skip
    return [*((line, None) for line in document.lines if line.role != RECEIVABLE), *cut]
