"""NetSuite's subsidiaries, currencies, periods and applications, read with SuiteQL. What they mean is the caller's."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from revenue_assets.sources.netsuite_client import NetSuiteClient

# The database behind SuiteQL takes at most 1,000 values in a list.
LIST_MAX = 500


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
    takes_receivables: open, and not locked for invoices and payments.
    """

    id: str
    name: str
    label: str
    start_date: dt.date
    end_date: dt.date
    is_open: bool
    is_adjustment: bool
    takes_receivables: bool


@dataclass(frozen=True, slots=True)
class Applied:
    """An amount (major units of its currency, as text) that one document settles of the invoice with this number.
    Both documents by internal id."""

    settled_by: str
    invoice: str
    number: str
    amount: str


def chunks(values: Iterable[str]) -> Iterator[list[str]]:
    """The values in lists that a query can take."""
    whole = list(values)
    for start in range(0, len(whole), LIST_MAX):
        yield whole[start : start + LIST_MAX]


def applied(client: NetSuiteClient, document_ids: Iterable[str], number_column: str) -> list[Applied]:
    """What the documents settle of invoices, one row for each of them and invoice.

    An application is a link of type `Payment` with its amount in `foreignamount`; links without an amount are others.
    The invoice stands at one end and what settles it at the other: others report both ways round for credit memos.
    """
    sums: dict[tuple[str, str, str], Decimal] = {}
    for chunk in chunks(sorted({str(int(number)) for number in document_ids})):
        mine, ids = set(chunk), ", ".join(chunk)
        rows = client.query(
            f"SELECT l.previousdoc, l.nextdoc, l.foreignamount, p.type AS previoustype, n.type AS nexttype, "
            f"p.{number_column} AS previousnumber, n.{number_column} AS nextnumber FROM nexttransactionlinelink l "
            "JOIN transaction p ON p.id = l.previousdoc JOIN transaction n ON n.id = l.nextdoc "
            f"WHERE l.linktype = 'Payment' AND (l.nextdoc IN ({ids}) OR l.previousdoc IN ({ids})) "
            "ORDER BY l.previousdoc, l.previousline, l.nextdoc, l.nextline"
        )
        for row in rows:
            for invoice, other in (("previous", "next"), ("next", "previous")):
                settling = str(row[f"{other}doc"])
                if row[f"{invoice}type"] == "CustInvc" and row[f"{other}type"] != "CustInvc" and settling in mine:
                    key = (settling, str(row[f"{invoice}doc"]), str(row.get(f"{invoice}number", "")))
                    sums[key] = sums.get(key, Decimal(0)) + Decimal(str(row.get("foreignamount") or 0))
    return [Applied(*key, format(amount, "f")) for key, amount in sums.items() if amount]


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
        "TO_CHAR(enddate, 'YYYY-MM-DD') AS enddate, closed, alllocked, arlocked, isadjust FROM accountingperiod "
        "WHERE isposting = 'T' AND isquarter = 'F' AND isyear = 'F' ORDER BY startdate, id"
    )
    found = []
    for row in rows:
        start, end = dt.date.fromisoformat(row["startdate"]), dt.date.fromisoformat(row["enddate"])
        label, is_adjustment = str(row["periodname"]), row["isadjust"] == "T"
        name = label if is_adjustment else f"{start + (end - start) / 2:%Y-%m}"
        is_open = row["closed"] == "F" and row["alllocked"] == "F"
        takes_receivables = is_open and row["arlocked"] == "F"
        found.append(Period(str(row["id"]), name, label, start, end, is_open, is_adjustment, takes_receivables))
    return found
