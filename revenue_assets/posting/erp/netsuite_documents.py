"""Journals to NetSuite's `journalEntry`, and what it would refuse of any document, or take and get wrong. Pure but for
masters.

How a line in another currency than the company's is posted is decided here; docs/decisions gives the reasons.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from revenue_assets.domain.config_erp import NetSuiteOptions
from revenue_assets.domain.money import to_major
from revenue_assets.posting.erp.documents import unfit
from revenue_assets.posting.erp.netsuite_masters import Masters, Subsidiary
from revenue_assets.posting.erp.netsuite_rates import exact_rate
from revenue_assets.posting.erp.port import Capabilities, ErpError, Failure, Journal, Line

JOURNAL, INVOICE, CREDIT_MEMO, PAYMENT = "journalEntry", "invoice", "creditMemo", "customerPayment"
# Record types of documents besides journals -> what NetSuite's tables call them.
DETAIL_TYPES = {INVOICE: "CustInvc", CREDIT_MEMO: "CustCred", PAYMENT: "CustPymt"}
MEMO_CHARS_MAX = 999
_APPROVAL: dict[tuple[str, str], Any] = {
    ("approvalStatus", "pending"): {"id": "1"},
    ("approvalStatus", "approved"): {"id": "2"},
    ("approved", "pending"): False,
    ("approved", "approved"): True,
}


class Documents:
    """`exponents`: currency -> minor-unit digits; amounts are whole minor units on our side, Decimal on NetSuite's."""

    def __init__(
        self, masters: Masters, exponents: Mapping[str, int], capabilities: Capabilities, options: NetSuiteOptions
    ) -> None:
        self._masters, self._exponents = masters, dict(exponents)
        self._capabilities, self._options = capabilities, options

    def values(self, document: Journal) -> dict[str, Any]:
        """The journal to create. The document must have passed `refusal`."""
        native = self.native_rate(document)
        values = self.head(document, *(native or (document.functional_currency, Decimal(1)))) | self.approval()
        values["line"] = {"items": [self._line(document, x, native) for x in document.lines if x.debit or x.credit]}
        if document.reverses is not None and self._options.reversal_field is not None:
            values[self._options.reversal_field] = {"id": document.reverses}
        return values

    def head(self, document: Journal, currency_code: str, rate: Decimal) -> dict[str, Any]:
        """What every record says of itself. Raises ErpError for a master that is gone."""
        subsidiary = self._masters.subsidiary(document.company)
        period = self._masters.period_at(document.accounting_date)
        currency = self._masters.currency(currency_code)
        if subsidiary is None or period is None or currency is None:
            raise ErpError(
                Failure("mapping_missing", f"Masters of document {document.key} vanished while it was sent.")
            )
        return {
            "externalId": document.key,
            "tranDate": document.accounting_date.isoformat(),
            "memo": document.text[:MEMO_CHARS_MAX],
            "subsidiary": {"id": subsidiary.id},
            "currency": {"id": currency.id},
            "exchangeRate": rate,
            "postingPeriod": {"id": period.id},
        }

    def approval(self) -> dict[str, Any]:
        """The field that says whether a new journal or invoice waits, if the account shall not decide."""
        field = self._options.approval_field
        return {} if self._options.create_as == "default" else {field: _APPROVAL[field, self._options.create_as]}

    def dimensions(self, line: Line) -> dict[str, Any]:
        """The line's fields for the dimensions that are mapped."""
        known = self._masters.dimensions
        return {
            known[name].field: {"id": self._masters.dimension(name, value)}
            for name, value in line.dimensions.items()
            if name in known
        }

    def native_rate(self, document: Journal) -> tuple[str, Decimal] | None:
        """(currency, rate) if the document may be posted in its own currency, with every functional amount exact."""
        if self._options.foreign_currency != "native" or document.kind != "journal":
            return None
        moving = [x for x in document.lines if x.debit or x.credit]
        currencies = {x.currency for x in moving}
        if len(currencies) != 1 or currencies == {document.functional_currency}:
            return None
        (code,) = currencies
        rate = exact_rate(
            [(x.amount_tc, x.debit - x.credit) for x in moving],
            self._exponents[code],
            self._exponents[document.functional_currency],
        )
        balanced = sum(x.amount_tc for x in moving) == 0
        return (code, rate) if rate is not None and balanced else None

    def refusal(self, document: Journal) -> Failure | None:
        """What NetSuite would refuse, or take and get wrong, found before it is asked."""
        subsidiary = self._masters.subsidiary(document.company)
        if subsidiary is None:
            return Failure("mapping_missing", f"NetSuite has no subsidiary {document.company!r} that the role may see.")
        missing = self._mapping_gap(document, subsidiary)
        if missing is not None:
            return Failure("mapping_missing", missing)
        unsound = unfit(document, self._capabilities)
        if unsound is not None:
            return unsound
        for line in document.lines:
            if line.amount_tc and not line.debit and not line.credit:
                words = f"Line {line.line_no} of document {document.key} moves {line.currency} alone; NetSuite has no "
                return Failure("unsupported", words + "journal line without an amount in the company's currency.")
        period = self._masters.period_at(document.accounting_date)
        if period is None:
            return Failure("mapping_missing", f"NetSuite has no posting period for {document.accounting_date}.")
        if not period.is_open:
            return Failure("period_closed", f"Period {period.name} ({period.label}) is closed or locked in NetSuite.")
        if document.kind != "journal" and not period.takes_receivables:
            return Failure("period_closed", f"Period {period.name} ({period.label}) is locked for A/R in NetSuite.")
        return None

    def _mapping_gap(self, document: Journal, subsidiary: Subsidiary) -> str | None:
        if subsidiary.currency != document.functional_currency:
            return (
                f"{document.company} keeps its books in {subsidiary.currency} in NetSuite, the document is in "
                f"{document.functional_currency}."
            )
        unknown = {document.functional_currency, *(x.currency for x in document.lines)} - set(self._exponents)
        missing = self._masters.missing(document)
        missing += [f"number of minor-unit digits of {code}" for code in sorted(unknown)]
        if missing:
            return f"Missing in NetSuite for {document.company}: {', '.join(missing)}."
        native = self.native_rate(document)
        for code in {document.functional_currency, *([native[0]] if native else [])}:
            currency = self._masters.currency(code)
            if currency is None:
                return f"Missing in NetSuite for {document.company}: currency {code}."
            if currency.precision < self._exponents[code]:
                return (
                    f"NetSuite keeps {currency.precision} digits of {code}, amounts have {self._exponents[code]}: it "
                    "would round them. Raise the currency's precision."
                )
        if (
            native is None
            and document.kind == "journal"
            and self._options.foreign_fields is None
            and any(_is_foreign(document, x) for x in document.lines)
        ):
            return (
                f"Document {document.key} has lines in another currency than {document.functional_currency} that "
                "NetSuite cannot derive to the cent; name two line fields for them in options.foreign_fields."
            )
        return None

    def _line(self, document: Journal, line: Line, native: tuple[str, Decimal] | None) -> dict[str, Any]:
        side = "debit" if line.debit else "credit"
        if native is not None:
            amount = to_major(abs(line.amount_tc), self._exponents[line.currency])
        else:
            amount = to_major(line.debit or line.credit, self._exponents[document.functional_currency])
        values: dict[str, Any] = {
            "account": {"id": self._masters.account(line.account_code)},
            side: amount,
            "memo": line.text[:MEMO_CHARS_MAX],
            **self.dimensions(line),
        }
        fields = self._options.foreign_fields
        if native is None and fields is not None and _is_foreign(document, line):
            values[fields.currency] = line.currency
            values[fields.amount] = format(to_major(line.amount_tc, self._exponents[line.currency]), "f")
        return values


def _is_foreign(document: Journal, line: Line) -> bool:
    return bool(line.amount_tc) and line.currency != document.functional_currency
