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
from revenue_assets.posting.erp.netsuite_client import NetSuiteClient
from revenue_assets.posting.erp.port import ErpError, ErpPeriod, Failure, Journal, MasterKey

T = TypeVar("T")
_STANDARD_TABLES = {"department": "department", "class": "classification", "location": "location"}


@dataclass(frozen=True, slots=True)
class Subsidiary:
    """A company of the account. `company` is the name that our configuration knows it by."""

    id: str
    company: str
    currency: str


@dataclass(frozen=True, slots=True)
class Currency:
    """`precision`: digits after the point that NetSuite keeps of an amount."""

    id: str
    code: str
    precision: int


@dataclass(frozen=True, slots=True)
class Period:
    """A posting period (no quarter, no year, no adjustment period). NetSuite's periods are those of the account.

    name: `YYYY-MM`, the month of its middle day, as the platform names months and periods of weeks. label: NetSuite's
    own name, which is in the account's language and people may change.
    """

    id: str
    name: str
    label: str
    start_date: dt.date
    end_date: dt.date
    is_open: bool

    def as_port(self, company: str) -> ErpPeriod:
        return ErpPeriod(company, self.name, self.start_date, self.end_date, "open" if self.is_open else "closed")


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
        rows = self._client.query("SELECT id, name, currency FROM subsidiary WHERE isinactive = 'F' ORDER BY id")
        found: dict[str, Subsidiary] = {}
        for row in rows:
            number = str(row["id"])
            company = names.get(number) or str(row["name"])
            if number not in names and company in self._configured:
                continue  # another subsidiary was configured for this name
            if any(other.company == company for other in found.values()):
                words = f"Two subsidiaries are called {company!r}; give its internal id in options.subsidiaries."
                raise ErpError(Failure("mapping_missing", words))
            found[number] = Subsidiary(number, company, codes.get(str(row["currency"]), ""))
        return found

    def _currencies(self) -> dict[str, Currency]:
        sql = "SELECT id, symbol, currencyprecision FROM currency WHERE isinactive = 'F' ORDER BY id"
        return self._once(
            "currencies",
            lambda: {
                r["symbol"]: Currency(str(r["id"]), r["symbol"], int(r["currencyprecision"]))
                for r in self._client.query(sql)
            },
        )

    def _read_periods(self) -> tuple[Period, ...]:
        sql = (
            "SELECT id, periodname, TO_CHAR(startdate, 'YYYY-MM-DD') AS startdate, "
            "TO_CHAR(enddate, 'YYYY-MM-DD') AS enddate, closed, alllocked FROM accountingperiod "
            "WHERE isposting = 'T' AND isquarter = 'F' AND isyear = 'F' AND isadjust = 'F' ORDER BY startdate, id"
        )
        found: dict[str, Period] = {}
        for row in self._client.query(sql):
            start, end = dt.date.fromisoformat(row["startdate"]), dt.date.fromisoformat(row["enddate"])
            name = f"{start + (end - start) / 2:%Y-%m}"
            if name in found:
                words = f"Posting periods {found[name].label} and {row['periodname']} are both {name}."
                raise ErpError(Failure("mapping_missing", words))
            is_open = row["closed"] == "F" and row["alllocked"] == "F"
            found[name] = Period(str(row["id"]), name, row["periodname"], start, end, is_open)
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
