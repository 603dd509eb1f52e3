"""Journals to Tryton's moves and back, and what Tryton would refuse or get wrong. No request of its own but masters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from revenue_assets.domain.money import MoneyError, to_major, to_minor
from revenue_assets.posting.erp.documents import unfit
from revenue_assets.posting.erp.port import (
    Capabilities,
    DocumentState,
    Failure,
    Journal,
    Line,
    MasterKey,
    PostedDocument,
)
from revenue_assets.posting.erp.tryton_masters import Masters, Period

STATES: dict[str, DocumentState] = {"draft": "created", "posted": "posted"}


class Documents:
    """`exponents`: currency -> minor-unit digits; amounts are whole minor units on our side, Decimal on Tryton's."""

    def __init__(self, masters: Masters, exponents: Mapping[str, int], capabilities: Capabilities) -> None:
        self._masters = masters
        self._exponents = dict(exponents)
        self._capabilities = capabilities

    def values(self, document: Journal) -> dict[str, Any]:
        """The move to create. Raises ErpError for a master that is not there; `refusal` finds it first."""
        company = document.company
        values: dict[str, Any] = {
            "company": self._masters.company(company),
            "journal": self._masters.journal(),
            "period": self._masters.period_of(company, document.accounting_date).id,
            "date": document.accounting_date,
            "description": document.key,
            "lines": [["create", [self._line_values(document, line) for line in document.lines]]],
        }
        if document.reverses is not None:
            values["origin"] = f"account.move,{int(document.reverses)}"
        return values

    def _line_values(self, document: Journal, line: Line) -> dict[str, Any]:
        """A second currency only where there is an amount in it, of the same sign as debit minus credit."""
        functional = self._exponents[document.functional_currency]
        values: dict[str, Any] = {
            "account": self._masters.account(document.company, line.account_code),
            "debit": to_major(line.debit, functional),
            "credit": to_major(line.credit, functional),
            "description": line.text,
        }
        if line.amount_tc and line.currency != document.functional_currency:
            values["second_currency"] = self._masters.currency(line.currency)
            values["amount_second_currency"] = to_major(line.amount_tc, self._exponents[line.currency])
        return values

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
        for line in document.lines:
            if line.amount_tc * (line.debit - line.credit) < 0:
                return Failure(
                    "invalid", f"Document {document.key}: the amounts of line {line.line_no} differ in sign."
                )
        period = self._masters.period_at(document.company, document.accounting_date)
        if period is None:
            return Failure(
                "mapping_missing", f"{document.company} has no period for {document.accounting_date} in the ERP."
            )
        if period.state != "open":
            return Failure("period_closed", f"Period {period.name} of {document.company} is closed in the ERP.")
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

    def minor(self, value: Any, currency: str) -> int:
        """Whole minor units. Raises MoneyError for a fraction of one, KeyError for an unknown currency."""
        return to_minor(value or 0, self._exponents[currency])
