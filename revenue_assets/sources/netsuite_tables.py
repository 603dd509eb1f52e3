"""NetSuite's subsidiaries, currencies and accounting periods, read with SuiteQL. What they mean is the caller's."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from revenue_assets.sources.netsuite_client import NetSuiteClient


@dataclass(frozen=True, slots=True)
class Subsidiary:
    """A company of the account; `currency` is its base currency's internal id."""

    id: str
    name: str
    currency: str


@dataclass(frozen=True, slots=True)
class Currency:
    """`precision`: digits after the point that NetSuite keeps of an amount."""

    id: str
    code: str
    precision: int


@dataclass(frozen=True, slots=True)
class Period:
    """A period that takes postings. NetSuite's periods are those of the account, not of a subsidiary.

    name: `YYYY-MM`, the month of its middle day, as the platform names months and periods of weeks; of an adjustment
    period NetSuite's own name. label: NetSuite's name, which is in the account's language and people may change.
    """

    id: str
    name: str
    label: str
    start_date: dt.date
    end_date: dt.date
    is_open: bool
    is_adjustment: bool


def subsidiaries(client: NetSuiteClient) -> list[Subsidiary]:
    """Active ones, by id."""
    rows = client.query("SELECT id, name, currency FROM subsidiary WHERE isinactive = 'F' ORDER BY id")
    return [Subsidiary(str(row["id"]), str(row["name"]), str(row["currency"])) for row in rows]


def currencies(client: NetSuiteClient) -> list[Currency]:
    """Active ones, by id."""
    rows = client.query("SELECT id, symbol, currencyprecision FROM currency WHERE isinactive = 'F' ORDER BY id")
    return [Currency(str(row["id"]), str(row["symbol"]), int(row["currencyprecision"])) for row in rows]


def periods(client: NetSuiteClient) -> list[Period]:
    """Months and adjustment periods, no quarters and years, by start date."""
    rows = client.query(
        "SELECT id, periodname, TO_CHAR(startdate, 'YYYY-MM-DD') AS startdate, "
        "TO_CHAR(enddate, 'YYYY-MM-DD') AS enddate, closed, alllocked, isadjust FROM accountingperiod "
        "WHERE isposting = 'T' AND isquarter = 'F' AND isyear = 'F' ORDER BY startdate, id"
    )
    found = []
    for row in rows:
        start, end = dt.date.fromisoformat(row["startdate"]), dt.date.fromisoformat(row["enddate"])
        label, is_adjustment = str(row["periodname"]), row["isadjust"] == "T"
        name = label if is_adjustment else f"{start + (end - start) / 2:%Y-%m}"
        is_open = row["closed"] == "F" and row["alllocked"] == "F"
        found.append(Period(str(row["id"]), name, label, start, end, is_open, is_adjustment))
    return found
