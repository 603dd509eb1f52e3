"""Journals in the form of the generic contracts (docs/erp-generic.md), to and from: amounts as text in major units,
debits and credits in the company's currency, each line with its own currency beside. Pure.

The REST contract carries these records as JSON, the file contract as one CSV row per line.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from revenue_assets.domain.money import MoneyError, to_major, to_minor
from revenue_assets.posting.erp.documents import unfit
from revenue_assets.posting.erp.port import (
    AccountBalance,
    Capabilities,
    DocumentState,
    ErpError,
    ErpPeriod,
    Failure,
    Found,
    Journal,
    Line,
    MasterKey,
    PostedDocument,
)

# The contract's closed list of reasons, and what each means for a poster. A reason that is not here is `invalid`.
REASONS: dict[str, str] = {
    "period_closed": "period_closed",
    "no_period": "mapping_missing",
    "unknown_account": "mapping_missing",
    "unknown_company": "mapping_missing",
    "duplicate": "conflict",
    "key_reused": "conflict",
    "unbalanced": "invalid",
    "invalid": "invalid",
}
_STATES: dict[str, DocumentState] = {"accepted": "accepted", "created": "created", "posted": "posted"}


def refused(code: str, message: str) -> Failure:
    """What the ledger's own refusal means."""
    return Failure(REASONS.get(code, "invalid"), f"The ledger refused it: {message or code}", evidence=code)


@dataclass(frozen=True, slots=True)
class CompanyMasters:
    """What a company's postings may name. `accounts`: codes."""

    currency: str
    accounts: frozenset[str]
    periods: tuple[ErpPeriod, ...] = field(default=())


class GenericDocuments:
    """`exponents`: currency -> minor-unit digits."""

    def __init__(self, exponents: Mapping[str, int], capabilities: Capabilities) -> None:
        self._exponents = dict(exponents)
        self._capabilities = capabilities

    def unfit(self, document: Journal) -> Failure | None:
        """What needs no look at the ledger: the document itself, and currencies whose digits nobody knows."""
        unknown = {document.functional_currency, *(x.currency for x in document.lines)} - set(self._exponents)
        if unknown:
            return Failure("mapping_missing", f"The minor-unit digits of {', '.join(sorted(unknown))} are not known.")
        return unfit(document, self._capabilities)

    def refusal(self, document: Journal, masters: CompanyMasters | None) -> Failure | None:
        """What the ledger would refuse, by its master data. `masters`: None if it has no such company."""
        unsound = self.unfit(document)
        if unsound is not None:
            return unsound
        company = document.company
        if masters is None:
            return Failure("mapping_missing", f"The ledger has no company {company!r}.")
        if masters.currency != document.functional_currency:
            words = f"{company} keeps its books in {masters.currency}, the document is in"
            return Failure("mapping_missing", f"{words} {document.functional_currency}.")
        missing = sorted({x.account_code for x in document.lines} - masters.accounts)
        if missing:
            return Failure("mapping_missing", f"Missing in the ledger for {company}: account {', '.join(missing)}.")
        date = document.accounting_date
        period = next((p for p in masters.periods if p.start_date <= date <= p.end_date), None)
        if period is None:
            return Failure("mapping_missing", f"{company} has no period for {date} in the ledger.")
        if period.state != "open":
            return Failure("period_closed", f"Period {period.name} of {company} is closed in the ledger.")
        return None

    def record(self, document: Journal) -> dict[str, Any]:
        """The document as the contract carries it."""
        functional = document.functional_currency
        return {
            "external_id": document.key,
            "date": document.accounting_date.isoformat(),
            "currency": functional,
            "text": document.text,
            "reverses": document.reverses,
            "lines": [
                {
                    "account": line.account_code,
                    "debit": self._major(line.debit, functional),
                    "credit": self._major(line.credit, functional),
                    "currency": line.currency,
                    "amount": self._major(line.amount_tc, line.currency),
                    "text": line.text,
                    "dimensions": dict(line.dimensions),
                }
                for line in document.lines
            ],
        }

    def found(self, record: Mapping[str, Any]) -> Found:
        """The record as the answer to a search. Raises ErpError if it is none."""
        try:
            return Found(record["external_id"], str(record["id"]), record["number"] or None, _STATES[record["state"]])
        except (KeyError, TypeError) as error:
            raise ErpError(Failure("unavailable", f"The ledger's answer is no journal: {error}.")) from error

    def read(self, company: str, record: Mapping[str, Any]) -> PostedDocument:
        """The journal as the ledger holds it; what is odd about it is named in `defects`, because it is evidence."""
        defects: list[str] = []
        lines: list[Line] = []
        found = self.found(record)
        functional = str(record.get("currency"))
        for number, row in enumerate(record.get("lines") or (), start=1):
            try:
                lines.append(self._line(number, row, functional))
            except (MoneyError, KeyError, TypeError) as error:
                defects.append(f"line {number}: {error}")
        try:
            date = dt.date.fromisoformat(record["date"])
        except (KeyError, TypeError, ValueError) as error:
            raise ErpError(Failure("unavailable", f"Journal {found.document_id} has no date: {error}.")) from error
        return PostedDocument(
            key=found.key, document_id=found.document_id, number=found.number, state=found.state, company=company,
            accounting_date=date, period=str(record.get("period") or ""), functional_currency=functional,
            lines=tuple(lines), defects=tuple(defects),
        )  # fmt: skip

    def _line(self, number: int, row: Mapping[str, Any], functional: str) -> Line:
        debit, credit = self._minor(row["debit"], functional), self._minor(row["credit"], functional)
        currency = row["currency"]
        amount = self._minor(row["amount"], currency)
        return Line(number, row["account"], debit, credit, currency, amount, row.get("text") or "")

    def balance(self, company: str, period: str, record: Mapping[str, Any]) -> AccountBalance:
        """One row of the balances. Raises ErpError if it is no money."""
        try:
            currency = record["currency"]
            debit, credit = self._minor(record["debit"], currency), self._minor(record["credit"], currency)
            return AccountBalance(company, period, record["account"], currency, debit, credit)
        except (MoneyError, KeyError, TypeError) as error:
            words = f"A balance of {company} {period} is no money: {error}"
            raise ErpError(Failure("readback_mismatch", words)) from error

    def _major(self, minor: int, currency: str) -> str:
        return format(to_major(minor, self._exponents[currency]), "f")

    def _minor(self, text: Any, currency: str) -> int:
        """Text only: a JSON number may have been through a float on its way."""
        if not isinstance(text, str):
            raise MoneyError(f"{text!r} is not an amount in text")
        if currency not in self._exponents:
            raise MoneyError(f"the minor-unit digits of {currency} are not known")
        return to_minor(text, self._exponents[currency])


def periods_of(company: str, rows: Iterable[Mapping[str, Any]]) -> tuple[ErpPeriod, ...]:
    """Periods by start date. Anything but `open` takes no posting. Raises ErpError for rows that are no periods."""
    try:
        made = [
            ErpPeriod(
                company, row["name"], dt.date.fromisoformat(row["start_date"]), dt.date.fromisoformat(row["end_date"]),
                "open" if row["state"] == "open" else "closed",
            )
            for row in rows
        ]  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise ErpError(Failure("unavailable", f"The periods of {company} cannot be read: {error}.")) from error
    return tuple(sorted(made, key=lambda period: period.start_date))


def resolved(
    wanted: Sequence[MasterKey], masters: Mapping[str, CompanyMasters | None], known: Iterable[str]
) -> dict[MasterKey, str]:
    """Ids of masters; in the generic contracts a master's id is its code. `known`: currencies with known digits."""
    found: dict[MasterKey, str] = {}
    currencies = set(known)
    for key in wanted:
        company = masters.get(key.company)
        there = {
            "company": masters.get(key.code) is not None,
            "account": company is not None and key.code in company.accounts,
            "currency": key.code in currencies,
        }.get(key.kind, False)
        if there:
            found[key] = key.code
    return found
