"""The emulated account's master data under NetSuite's internal ids, made from the neutral ledger's."""

from __future__ import annotations

import calendar
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from demo.erp_emulators.ledger import EXPONENTS, Ledger

DEPARTMENTS = ("Sales", "Finance")
CLASSES = ("platform", "services", "usage")
LOCATIONS = ("HQ",)
REGIONS = ("EMEA", "O'Brien & Sons")
# Line fields for dimensions, over REST and in the tables.
LINE_FIELDS = ("department", "class", "location", "cseg_region", "custcol_ra_currency", "custcol_ra_amount")
# Accounts whose number begins so keep what customers owe.
RECEIVABLE = "11"


@dataclass(frozen=True)
class Chart:
    """Name or code -> internal id of each kind. Months are `2026-03` as the ledger has them."""

    subsidiaries: dict[str, str]
    currencies: dict[str, str]
    bases: dict[str, str]
    accounts: dict[str, str]
    periods: dict[str, str]

    @classmethod
    def of(cls, ledger: Ledger) -> Chart:
        bases = ledger.companies()
        codes = sorted({code for company in bases for code in ledger.accounts(company)})
        months = sorted({period.name for company in bases for period in ledger.periods(company)})
        return cls(
            subsidiaries={name: str(n) for n, name in enumerate(bases, 1)},
            currencies={code: str(n) for n, code in enumerate(EXPONENTS, 1)},
            bases=bases,
            accounts={code: str(100 + n) for n, code in enumerate(codes)},
            periods={name: str(500 + n) for n, name in enumerate(months)},
        )

    def tables(self, ledger: Ledger, ar_locked: Collection[str] = ()) -> dict[str, list[dict[str, object]]]:
        """Rows of the master tables, with the rows among them that a careless query takes for postings. `ar_locked`:
        months that take no invoices and payments."""
        states = {period.name: period for company in reversed(list(self.bases)) for period in ledger.periods(company)}
        months = [
            _period(number, _name(name), states[name].start_date, states[name].end_date, states[name].state)
            | {"arlocked": "T" if name in ar_locked else "F"}
            for name, number in self.periods.items()
        ]
        years = sorted({name[:4] for name in self.periods})
        spans = [
            _period(str(900 + n), f"FY {year}", f"{year}-01-01", f"{year}-12-31", "open", isyear="T", isposting="F")
            for n, year in enumerate(years)
        ]
        adjustments = [
            _period(str(950 + n), f"Adj {year}", f"{year}-12-01", f"{year}-12-31", "open", isadjust="T")
            for n, year in enumerate(years)
        ]
        accounts = [_account(number, code) for code, number in self.accounts.items()]
        accounts += [_account("98", "SUM", issummary="T"), _account("99", "OLD", isinactive="T"), _account("97", None)]
        return {
            "subsidiary": [
                {"id": n, "name": name, "currency": self.currencies[self.bases[name]], "isinactive": "F"}
                for name, n in self.subsidiaries.items()
            ],
            "currency": [
                {"id": n, "symbol": code, "currencyprecision": str(EXPONENTS[code]), "isinactive": "F"}
                for code, n in self.currencies.items()
            ],
            "account": accounts,
            "accountingperiod": months + spans + adjustments,
            "department": _named(DEPARTMENTS),
            "classification": _named(CLASSES),
            "location": _named(LOCATIONS),
            "customrecord_cseg_region": _named(REGIONS),
        }


def key_of(ids: dict[str, str], internal_id: str | None) -> str | None:
    """The name or code behind an internal id."""
    return next((name for name, number in ids.items() if number == internal_id), None)


def ref(value: Any) -> str | None:
    """The internal id of a reference."""
    return str(value["id"]) if isinstance(value, dict) and "id" in value else None


def _name(month: str) -> str:
    return f"{calendar.month_abbr[int(month[5:])]} {month[:4]}"


def _period(number: str, name: str, start: str, end: str, state: str, **flags: str) -> dict[str, object]:
    closed, locked = ("T" if state == wanted else "F" for wanted in ("closed", "locked"))
    row = {"id": number, "periodname": name, "startdate": start, "enddate": end, "closed": closed, "alllocked": locked}
    return {**row, "arlocked": "F", "isposting": "T", "isquarter": "F", "isyear": "F", "isadjust": "F", **flags}


def _account(number: str, code: str | None, **flags: str) -> dict[str, object]:
    kind = "AcctRec" if (code or "").startswith(RECEIVABLE) else "OthCurrLiab"
    return {"id": number, "acctnumber": code, "accttype": kind, "isinactive": "F", "issummary": "F", **flags}


def _named(names: tuple[str, ...]) -> list[dict[str, object]]:
    return [{"id": str(n), "name": name, "isinactive": "F"} for n, name in enumerate(names, 1)]
