"""Sets an empty ERP up over its network API: companies, charts, fiscal years, periods, a journal, the posting robot.

Idempotent: everything is looked for before it is made, so a killed set-up is finished by the next one and a new
company, account or year is added to what is there.

The robot belongs to one group, made here, with exactly these rights (Tryton denies what a group does not name on
these models): create, read and write moves, invoices and their lines (a posted one is closed to everyone); create and
read customers, products and reconciliations; read periods, journals, accounts and balances. No deletion, no set-up, no
users, no other group. The stock group `Accounting` would do as well, but it also gives deletion of drafts, taxes and
reconciliations.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from revenue_assets.sources.tryton_rpc import TrytonRpc

JOURNAL, INVOICE_JOURNAL, CASH_JOURNAL = "REV", "REVI", "REVC"
_JOURNALS = {
    JOURNAL: ("Revenue subledger", "general"),
    INVOICE_JOURNAL: ("Customer invoices", "revenue"),
    CASH_JOURNAL: ("Customer payments", "cash"),
}
# Stands for the customers of summarised lines on an account that asks for a customer.
SUNDRY = "SUNDRY"
# Tryton prints each invoice as it posts it, for a quarter of a second; the billing platform has done so already.
_INVOICE_PRINT = b"Invoice ${records[0].reference}"
# Products of this category may be sold: it names each company's revenue account.
ITEM_CATEGORY = "Subscriptions"
ROBOT_GROUP = "Revenue posting robot"
CURRENCIES = {
    "USD": ("US Dollar", "840", 2),
    "GBP": ("Pound Sterling", "826", 2),
    "EUR": ("Euro", "978", 2),
    "JPY": ("Japanese Yen", "392", 0),
    "CAD": ("Canadian Dollar", "124", 2),
}
# One of ours -> Tryton's account type. An invoice may stand on `receivable`, and sell on revenue, expense and the types
# with `deposit` (Tryton's word for a balance-sheet account that invoices credit).
_TYPES: dict[str, dict[str, Any]] = {
    "asset": {"name": "Assets", "statement": "balance", "assets": True},
    "receivable": {"name": "Receivables", "statement": "balance", "assets": True, "receivable": True},
    "sold_asset": {"name": "Unbilled assets", "statement": "balance", "assets": True, "deposit": True},
    "liability": {"name": "Liabilities", "statement": "balance"},
    "sold_liability": {"name": "Contract liabilities", "statement": "balance", "deposit": True},
    "equity": {"name": "Equity", "statement": "balance"},
    "revenue": {"name": "Revenue", "statement": "income", "revenue": True},
    "expense": {"name": "Expense", "statement": "income", "expense": True},
}
# model -> (read, write, create)
_ROBOT_RIGHTS = {
    "account.move": (True, True, True),
    "account.move.line": (True, True, True),
    "account.period": (True, False, False),
    "account.fiscalyear": (True, False, False),
    "account.journal": (True, False, False),
    "account.account": (True, False, False),
    "account.account.type": (True, False, False),
    "company.company": (True, False, False),
    "currency.currency": (True, False, False),
    "account.invoice": (True, True, True),
    "account.invoice.line": (True, True, True),
    "account.invoice.tax": (True, True, True),
    "account.invoice-account.move.line": (True, True, True),
    "account.move.reconciliation": (True, False, True),
    "party.party": (True, False, True),
    "party.party.account": (True, False, True),
    "party.address": (True, False, True),
    "party.identifier": (True, False, True),
    "product.template": (True, False, True),
    "product.product": (True, False, True),
    "product.uom": (True, False, False),
    "product.category": (True, False, False),
    "res.user.warning": (True, True, True),
}
# Fields that Tryton hides from groups that are not named: the period's balances, accounts of customers and products.
_ROBOT_FIELDS = {
    ("account.account", "balance"): False,
    ("account.account", "credit"): False,
    ("account.account", "debit"): False,
    ("party.party", "account_receivable"): True,  # writes too
    ("product.template", "account_category"): True,
    ("product.category", "account_revenue"): False,
}


@dataclass(frozen=True)
class SetupResult:
    """Ids of what is there now. `accounts` and `periods` are per company name, by account code and `YYYY-MM`; `journal`
    is the one of summarised journals."""

    companies: dict[str, int]
    currencies: dict[str, int]
    accounts: dict[str, dict[str, int]]
    periods: dict[str, dict[str, int]]
    journal: int
    robot: int


def ensure(
    base_url: str,
    database: str,
    admin_password: str,
    companies: Mapping[str, str],
    accounts: Sequence[tuple[str, str, str]] | Mapping[str, Sequence[tuple[str, str, str]]],
    years: Sequence[int],
    *,
    robot: tuple[str, str],
    currencies: Sequence[str] = tuple(CURRENCIES),
) -> SetupResult:
    """Makes what is missing.

    `companies`: company name -> functional currency. `accounts`: (code, name, type) for all companies, or per company
    name; types are asset, liability, equity, revenue, expense; `receivable` asks for a customer on every line and may
    be reconciled, `sold_asset` and `sold_liability` may stand on invoices. `years`: calendar years that get twelve
    monthly periods named `YYYY-MM`. `robot`: (login, password).
    """
    with TrytonRpc(base_url, database, "admin", admin_password) as rpc:
        made = _Setup(rpc)
        currency_ids = {code: made.currency(code) for code in sorted({*currencies, *companies.values()})}
        company_ids = {name: made.company(name, currency_ids[code]) for name, code in companies.items()}
        made.see_all_companies(list(company_ids.values()))
        journals = {code: made.journal(code, name, kind) for code, (name, kind) in _JOURNALS.items()}
        made.sundry_customer()
        made.invoice_print()
        account_ids: dict[str, dict[str, int]] = {}
        period_ids: dict[str, dict[str, int]] = {}
        for name, company in company_ids.items():
            chart = accounts[name] if isinstance(accounts, Mapping) else accounts
            account_ids[name] = made.accounts(company, chart)
            made.item_category(company, chart, account_ids[name])
            period_ids[name] = {}
            for year in sorted(years):
                period_ids[name] |= made.year(company, name, year)
        robot_id = made.robot(robot, list(company_ids.values()))
    return SetupResult(company_ids, currency_ids, account_ids, period_ids, journals[JOURNAL], robot_id)


class _Setup:
    def __init__(self, rpc: TrytonRpc) -> None:
        self._rpc = rpc

    def _read(self, model: str, domain: list[Any], fields: list[str], company: int | None = None) -> list[Any]:
        return self._rpc.search_read(model, domain, ["id", *fields], _context(company))

    def _create(self, model: str, rows: list[dict[str, Any]], company: int | None = None) -> list[int]:
        ids: list[int] = self._rpc.call(f"model.{model}.create", rows, _context(company)) if rows else []
        return ids

    def _get_or_create(self, model: str, domain: list[Any], row: dict[str, Any], company: int | None = None) -> int:
        found = self._read(model, domain, [], company)
        return int(found[0]["id"]) if found else self._create(model, [row], company)[0]

    def currency(self, code: str) -> int:
        name, number, digits = CURRENCIES[code]
        row = {
            "name": name, "code": code, "numeric_code": number, "symbol": code, "digits": digits,
            "rounding": Decimal(1).scaleb(-digits),
        }  # fmt: skip
        return self._get_or_create("currency.currency", [["code", "=", code]], row)

    def company(self, name: str, currency: int) -> int:
        party = self._get_or_create("party.party", [["name", "=", name]], {"name": name})
        return self._get_or_create("company.company", [["party", "=", party]], {"party": party, "currency": currency})

    def see_all_companies(self, companies: list[int]) -> None:
        """Record rules show a user its own companies; the filter `all` opens all of them in one session."""
        values = {"companies": [["add", companies]], "company": companies[0], "company_filter": "all"}
        self._rpc.call("model.res.user.write", [self._rpc.user_id], values, {})

    def journal(self, code: str, name: str, kind: str) -> int:
        return self._get_or_create("account.journal", [["code", "=", code]], {"name": name, "code": code, "type": kind})

    def sundry_customer(self) -> int:
        row = {"name": "Summarised customers", "identifiers": [["create", [{"code": SUNDRY}]]]}
        return self._get_or_create("party.party", [["identifiers.code", "=", SUNDRY]], row)

    def invoice_print(self) -> None:
        for row in self._read("ir.action.report", [["report_name", "=", "account.invoice"]], ["template_extension"]):
            if row["template_extension"] != "txt":
                values = {"report_content_custom": _INVOICE_PRINT, "template_extension": "txt", "extension": ""}
                self._rpc.call("model.ir.action.report.write", [row["id"]], values, {})

    def item_category(self, company: int, chart: Sequence[tuple[str, str, str]], accounts: Mapping[str, int]) -> None:
        sold_on = next((accounts[code] for code, _, kind in chart if kind == "revenue"), None)
        row = {"name": ITEM_CATEGORY, "accounting": True}
        category = self._get_or_create("product.category", [["name", "=", ITEM_CATEGORY]], row, company)
        known = self._read("product.category", [["id", "=", category]], ["account_revenue"], company)
        if sold_on is not None and not known[0]["account_revenue"]:
            values = {"account_revenue": sold_on}
            self._rpc.call("model.product.category.write", [category], values, _context(company))

    def accounts(self, company: int, chart: Sequence[tuple[str, str, str]]) -> dict[str, int]:
        known = {
            r["code"]: r["id"] for r in self._read("account.account", [["company", "=", company]], ["code"], company)
        }
        missing = [row for row in dict.fromkeys(chart) if row[0] not in known]
        types = {
            kind: self._get_or_create(
                "account.account.type",
                [["company", "=", company], ["name", "=", _TYPES[kind]["name"]]],
                {**_TYPES[kind], "company": company},
                company,
            )
            for kind in sorted({kind for _, _, kind in missing})
        }
        asks = {"party_required": True, "reconcile": True}
        rows = [
            {"code": c, "name": n, "type": types[kind], "company": company, **(asks if kind == "receivable" else {})}
            for c, n, kind in missing
        ]
        ids = self._create("account.account", rows, company)
        return known | {row["code"]: account for row, account in zip(rows, ids, strict=True)}

    def year(self, company: int, name: str, year: int) -> dict[str, int]:
        """The fiscal year with its own gap-free numbers of journals and of invoices, and its monthly periods."""
        title = f"{name} {year}"
        sequence = self._numbers(company, title, "Account Move", f"{company}-{year}/")
        invoices = self._numbers(company, f"{title} invoices", "Invoice", f"{company}-I{year}/")
        fiscal_year = self._get_or_create(
            "account.fiscalyear",
            [["company", "=", company], ["name", "=", str(year)]],
            {
                "name": str(year), "company": company, "move_sequence": sequence,
                "start_date": dt.date(year, 1, 1), "end_date": dt.date(year, 12, 31),
            },
            company,
        )  # fmt: skip
        self._get_or_create(
            "account.fiscalyear.invoice_sequence",
            [["fiscalyear", "=", fiscal_year]],
            {
                "company": company, "fiscalyear": fiscal_year,
                **{f"{way}_{kind}_sequence": invoices for way in ("in", "out") for kind in ("invoice", "credit_note")},
            },
            company,
        )  # fmt: skip
        periods = self._read("account.period", [["fiscalyear", "=", fiscal_year]], ["name"], company)
        if not periods:
            self._rpc.call("model.account.fiscalyear.create_period", [fiscal_year], _context(company))
            periods = self._read("account.period", [["fiscalyear", "=", fiscal_year]], ["name"], company)
        return {row["name"]: row["id"] for row in periods}

    def _numbers(self, company: int, title: str, kind: str, prefix: str) -> int:
        sequence_type = self._read("ir.sequence.type", [["name", "=", kind]], [])[0]["id"]
        return self._get_or_create(
            "ir.sequence.strict",
            [["company", "=", company], ["name", "=", title]],
            {"name": title, "sequence_type": sequence_type, "company": company, "prefix": prefix, "padding": 6},
            company,
        )

    def robot(self, robot: tuple[str, str], companies: list[int]) -> int:
        login, password = robot
        group = self._get_or_create("res.group", [["name", "=", ROBOT_GROUP]], {"name": ROBOT_GROUP})
        granted = {r["model"] for r in self._read("ir.model.access", [["group", "=", group]], ["model"])}
        self._create(
            "ir.model.access",
            [
                {
                    "model": model, "group": group, "perm_read": read, "perm_write": write, "perm_create": create,
                    "perm_delete": False,
                }
                for model, (read, write, create) in _ROBOT_RIGHTS.items()
                if model not in granted
            ],
        )  # fmt: skip
        shown = self._read("ir.model.field.access", [["group", "=", group]], ["model", "field"])
        self._create(
            "ir.model.field.access",
            [
                {"model": model, "field": field, "group": group, "perm_read": True, "perm_write": writes}
                for (model, field), writes in _ROBOT_FIELDS.items()
                if (model, field) not in {(r["model"], r["field"]) for r in shown}
            ],
        )
        values = {
            "companies": [["add", companies]], "company": companies[0], "company_filter": "all",
            "groups": [["add", [group]]], "password": password,
        }  # fmt: skip
        found = self._read("res.user", [["login", "=", login]], ["companies"])
        if found and set(companies) <= set(found[0]["companies"]):
            return int(found[0]["id"])
        if found:
            self._rpc.call("model.res.user.write", [found[0]["id"]], values, {})
            return int(found[0]["id"])
        return self._create("res.user", [{"name": "Revenue posting robot", "login": login, **values}])[0]


def _context(company: int | None) -> dict[str, Any]:
    return {} if company is None else {"company": company}
