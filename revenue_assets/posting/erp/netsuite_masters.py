"""NetSuite's master data as postings need it: internal ids of subsidiaries, accounts, currencies, dimensions, periods.

Read with SuiteQL and kept for `keep_seconds`. A refusal is never built on kept data: the adapter calls `forget` and
asks again before it says that something is missing or closed.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from revenue_assets.domain.config_erp import Dimension
from revenue_assets.posting.erp.port import ErpError, Failure, Journal, MasterKey
from revenue_assets.sources import netsuite_tables
from revenue_assets.sources.netsuite_client import NetSuiteClient
from revenue_assets.sources.netsuite_tables import Currency, Period

T = TypeVar("T")
_STANDARD_TABLES = {"department": "department", "class": "classification", "location": "location"}


@dataclass(frozen=True, slots=True)
class Subsidiary:
    """A company of the account. `company` is the name that our configuration knows it by."""

    id: str
    company: str
    currency: str


class Masters:
    """Lookups by name or code. `subsidiaries`: configured company name -> internal id, before any name is compared."""

    def __init__(
        self,
        client: NetSuiteClient,
        subsidiaries: Mapping[str, str],
        dimensions: Mapping[str, Dimension],
        keep_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._configured, self.dimensions = client, dict(subsidiaries), dict(dimensions)
        self._keep, self._clock = keep_seconds, clock
        self.forget()

    def forget(self) -> None:
        """Reads everything anew when it is asked for again."""
        self._kept: dict[str, object] = {}
        self._since = self._clock()
        self.is_fresh = True

    def age(self) -> None:
        """Called before a piece of work: what is kept counts as old from now on, and goes if it is too old."""
        self.is_fresh = False
        if self._clock() - self._since >= self._keep:
            self.forget()

    def subsidiary(self, company: str) -> Subsidiary | None:
        return next((s for s in self._subsidiaries().values() if s.company == company), None)

    def company(self, subsidiary_id: str) -> str:
        """Our name of a subsidiary; its bare id if it is none of ours, which no document of ours equals."""
        known = self._subsidiaries().get(subsidiary_id)
        return known.company if known else f"subsidiary {subsidiary_id}"

    def functional_currency(self, subsidiary_id: str) -> str:
        known = self._subsidiaries().get(subsidiary_id)
        return known.currency if known else ""

    def subsidiary_ids(self) -> tuple[str, ...]:
        """All active ones that the role may see, ours or not."""
        return tuple(self._subsidiaries())

    def currency(self, code: str) -> Currency | None:
        return self._currencies().get(code)

    def currency_code(self, currency_id: str) -> str:
        return next((c.code for c in self._currencies().values() if c.id == currency_id), "")

    def account(self, code: str) -> str | None:
        """Internal id of an active account that takes postings."""
        sql = (
            "SELECT id, acctnumber FROM account WHERE isinactive = 'F' AND issummary = 'F' AND acctnumber IS NOT NULL "
            "ORDER BY id"
        )
        accounts = self._once("accounts", lambda: {r["acctnumber"]: str(r["id"]) for r in self._client.query(sql)})
        return accounts.get(code)

    def is_receivable(self, code: str) -> bool:
        """Does the account keep what customers owe?"""
        sql = "SELECT acctnumber FROM account WHERE accttype = 'AcctRec' AND acctnumber IS NOT NULL ORDER BY id"
        return code in self._once("receivables", lambda: {row["acctnumber"] for row in self._client.query(sql)})

    def periods(self) -> tuple[Period, ...]:
        """Posting months by start date."""
        return self._once("periods", self._read_periods)

    def period_at(self, date: dt.date) -> Period | None:
        return next((p for p in self.periods() if p.start_date <= date <= p.end_date), None)

    def dimension(self, name: str, value: str) -> str | None:
        """Internal id of our value of a mapped dimension."""
        return self._dimension_values(name).get(value)

    def dimension_value(self, name: str, internal_id: str) -> str:
        """Our value of an internal id; the id itself if it is none of ours."""
        return next((v for v, known in self._dimension_values(name).items() if known == internal_id), internal_id)

    def lookup(self, key: MasterKey) -> str | None:
        """The internal id, or None if NetSuite has no such master (or the role may not see it)."""
        match key.kind:
            case "company":
                company = self.subsidiary(key.code)
                return company.id if company else None
            case "account":
                return self.account(key.code)
            case "currency":
                currency = self.currency(key.code)
                return currency.id if currency else None
            case _ if key.kind in self.dimensions:
                return self.dimension(key.kind, key.code)
            case _:
                return None

    def missing(self, document: Journal) -> list[str]:
        """Names of the masters that the document needs and NetSuite lacks."""
        wanted = [MasterKey("currency", document.company, document.functional_currency)]
        for line in document.lines:
            wanted.append(MasterKey("account", document.company, line.account_code))
            wanted += [MasterKey(n, document.company, v) for n, v in line.dimensions.items() if n in self.dimensions]
        return [f"{key.kind} {key.code}" for key in dict.fromkeys(wanted) if self.lookup(key) is None]

    def _subsidiaries(self) -> dict[str, Subsidiary]:
        return self._once("subsidiaries", self._read_subsidiaries)

    def _read_subsidiaries(self) -> dict[str, Subsidiary]:
        names = {number: company for company, number in self._configured.items()}
        codes = {c.id: c.code for c in self._currencies().values()}
        found: dict[str, Subsidiary] = {}
        for row in netsuite_tables.subsidiaries(self._client):
            number, company = row.id, names.get(row.id) or row.name
            if number not in names and company in self._configured:
                continue  # another subsidiary was configured for this name
            if any(other.company == company for other in found.values()):
                words = f"Two subsidiaries are called {company!r}; give its internal id in options.subsidiaries."
                raise ErpError(Failure("mapping_missing", words))
            found[number] = Subsidiary(number, company, codes.get(row.currency, ""))
        return found

    def _currencies(self) -> dict[str, Currency]:
        return self._once("currencies", lambda: {c.code: c for c in netsuite_tables.currencies(self._client)})

    def _read_periods(self) -> tuple[Period, ...]:
        found: dict[str, Period] = {}
        for period in netsuite_tables.periods(self._client):
            if period.is_adjustment:
                continue
            if period.name in found:
                words = f"Posting periods {found[period.name].label} and {period.label} are both {period.name}."
                raise ErpError(Failure("mapping_missing", words))
            found[period.name] = period
        return tuple(found.values())

    def _dimension_values(self, name: str) -> dict[str, str]:
        dimension = self.dimensions[name]
        if dimension.values:
            return dimension.values
        table = dimension.table or _STANDARD_TABLES[dimension.field]
        sql = f"SELECT id, name FROM {table} WHERE isinactive = 'F' ORDER BY id"
        return self._once(f"dimension {name}", lambda: {row["name"]: str(row["id"]) for row in self._client.query(sql)})

    def _once(self, what: str, read: Callable[[], T]) -> T:
        if what not in self._kept:
            self._kept[what] = read()
        return self._kept[what]  # type: ignore[return-value]
