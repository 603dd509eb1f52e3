"""Tryton's master data as postings need it: ids of companies, accounts, currencies, journals and periods.

Kept for `keep_seconds`. A refusal is never built on kept data: the adapter calls `forget` and asks again before it says
that something is missing or closed.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from revenue_assets.posting.erp.port import DocumentKind, ErpError, ErpPeriod, Failure, Journal, MasterKey
from revenue_assets.sources.tryton_rpc import TrytonRpc


@dataclass(frozen=True, slots=True)
class Period:
    """One row of account.period. `state` is open, closed or locked."""

    id: int
    name: str
    start_date: dt.date
    end_date: dt.date
    state: str

    def as_port(self, company: str) -> ErpPeriod:
        """Locked is closed for ever; for a posting both are closed."""
        return ErpPeriod(
            company, self.name, self.start_date, self.end_date, "open" if self.state == "open" else "closed"
        )


@dataclass(frozen=True, slots=True)
class Account:
    """One row of account.account. `needs_party`: every line on it names a customer, and on no other account may a line
    do so. `is_receivable`: an invoice may stand on it. `reconciles`: payments may settle invoices on it. `is_closed`:
    it takes no more postings."""

    id: int
    needs_party: bool
    is_receivable: bool
    reconciles: bool
    is_closed: bool


class Masters:
    """Lookups by name or code. A missing master raises ErpError(mapping_missing) with a sentence.

    `journals`: code of the journal that documents of a kind go into. `is_fresh`: all that is known was read since
    `forget`, for the piece of work under way.
    """

    def __init__(
        self,
        rpc: TrytonRpc,
        journals: Mapping[DocumentKind, str],
        keep_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rpc = rpc
        self._journal_codes = dict(journals)
        self._keep, self._clock = keep_seconds, clock
        self.forget()

    def age(self) -> bool:
        """Called before a piece of work: what is kept counts as old from now on, and goes if it is too old. Whether it
        went."""
        self.is_fresh = False
        if is_too_old := self._clock() - self._since >= self._keep:
            self.forget()
        return is_too_old

    def forget(self) -> None:
        """Reads everything anew when it is asked for again."""
        self._since = self._clock()
        self.is_fresh = True
        self._companies: dict[str, tuple[int, str]] | None = None
        self._currencies: dict[str, int] | None = None
        self._journals: dict[str, int] | None = None
        self._accounts: dict[str, dict[str, Account]] = {}
        self._periods: dict[str, tuple[Period, ...]] = {}

    def context(self, company: str) -> dict[str, Any]:
        """Every call names the company it is about; the robot sees several."""
        return {"company": self.company(company)}

    def company(self, name: str) -> int:
        return self._company_row(name)[0]

    def functional_currency(self, name: str) -> str:
        return self._company_row(name)[1]

    def account(self, company: str, code: str) -> Account:
        found: Account = self._require(self._account_rows(company).get(code), f"account {code} of {company}")
        return found

    def currency(self, code: str) -> int:
        if self._currencies is None:
            rows = self._rpc.search_read("currency.currency", [], ["code"], {})
            self._currencies = {row["code"]: row["id"] for row in rows}
        return self._require(self._currencies.get(code), f"currency {code}")

    def journal(self, kind: DocumentKind) -> int:
        code = self._journal_codes[kind]
        return self._require(self._journal_ids().get(code), f"journal {code}")

    def kind_of_move(self, journal_code: str) -> DocumentKind:
        """What a move of that journal is to us: a journal, unless payments have a journal of their own."""
        cash = self._journal_codes["cash_application"]
        return "cash_application" if journal_code == cash != self._journal_codes["journal"] else "journal"

    def periods(self, company: str) -> tuple[Period, ...]:
        """Standard periods by start date; adjustment periods take no postings of ours."""
        if company not in self._periods:
            rows = self._rpc.search_read(
                "account.period",
                [["company", "=", self.company(company)], ["type", "=", "standard"]],
                ["name", "start_date", "end_date", "state"],
                self.context(company),
                order=[["start_date", "ASC"]],
            )
            self._periods[company] = tuple(
                Period(row["id"], row["name"], row["start_date"], row["end_date"], row["state"]) for row in rows
            )
        return self._periods[company]

    def period_at(self, company: str, date: dt.date) -> Period | None:
        return next((p for p in self.periods(company) if p.start_date <= date <= p.end_date), None)

    def period_of(self, company: str, date: dt.date) -> Period:
        found = self.period_at(company, date)
        if found is None:
            raise ErpError(Failure("mapping_missing", f"{company} has no period for {date} in the ERP."))
        return found

    def lookup(self, key: MasterKey) -> int | None:
        """The id, or None if the ERP has no such master (or the robot may not see it)."""
        try:
            match key.kind:
                case "company":
                    return self.company(key.code)
                case "account":
                    return self.account(key.company, key.code).id
                case "currency":
                    return self.currency(key.code)
                case "journal":
                    return self._journal_ids().get(key.code) if key.code in self._journal_codes.values() else None
                case _:
                    return None
        except ErpError:
            return None

    def missing(self, document: Journal) -> list[str]:
        """Names of the masters that the document needs and the ERP lacks."""
        wanted = [MasterKey("journal", document.company, self._journal_codes[document.kind])]
        for line in document.lines:
            wanted.append(MasterKey("account", document.company, line.account_code))
            if line.amount_tc and line.currency != document.functional_currency:
                wanted.append(MasterKey("currency", document.company, line.currency))
        return [f"{key.kind} {key.code}" for key in dict.fromkeys(wanted) if self.lookup(key) is None]

    def _company_row(self, name: str) -> tuple[int, str]:
        if self._companies is None:
            rows = self._rpc.search_read("company.company", [], ["party.name", "currency.code"], {})
            self._companies = {row["party."]["name"]: (row["id"], row["currency."]["code"]) for row in rows}
        return self._require(self._companies.get(name), f"company {name}")

    def _journal_ids(self) -> dict[str, int]:
        if self._journals is None:
            wanted = sorted(set(self._journal_codes.values()))
            rows = self._rpc.search_read("account.journal", [["code", "in", wanted]], ["code"], {})
            self._journals = {row["code"]: row["id"] for row in rows}
        return self._journals

    def _account_rows(self, company: str) -> dict[str, Account]:
        if company not in self._accounts:
            rows = self._rpc.search_read(
                "account.account",
                [["company", "=", self.company(company)], ["type", "!=", None]],
                ["code", "party_required", "reconcile", "closed", "type.receivable"],
                self.context(company),
            )
            self._accounts[company] = {
                row["code"]: Account(
                    row["id"],
                    bool(row["party_required"]),
                    bool(row["type."]["receivable"]),
                    bool(row["reconcile"]),
                    bool(row["closed"]),
                )
                for row in rows
            }
        return self._accounts[company]

    @staticmethod
    def _require(value: Any, what: str) -> Any:
        if value is None:
            raise ErpError(Failure("mapping_missing", f"The ERP has no {what}."))
        return value
