"""Invoices, credit notes and payments for tests of the NetSuite adapter, and looks at the emulated account's books."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import httpx
from netsuite_account import MARCH, Account

from demo.erp_emulators.netsuite_chart import Chart
from demo.erp_emulators.netsuite_invoices import open_amounts
from revenue_assets.posting.erp.documents import compare
from revenue_assets.posting.erp.netsuite import NetSuiteErp
from revenue_assets.posting.erp.port import Application, Customer, Journal, Line, Master, Outcome
from revenue_assets.testing.erp_bench import new_key

ACME = Customer("cus_acme", "Acme SARL")
DUE = dt.date(2026, 4, 30)


def cleared(account: Account) -> Account:
    """The account with empty books, without customers, and with no rules of its own."""
    account.reset()
    account.face.tax, account.face.required, account.face.ignores_apply = Decimal(0), {}, False
    account.face.approvals, account.face.ar_locked = False, set()
    return account


def with_acme(account: Account) -> NetSuiteErp:
    """An adapter to an account that knows the customer of these documents."""
    erp = adapter(account)
    assert erp.ensure([master(ACME)]) == {}
    return erp


def adapter(account: Account, transport: httpx.BaseTransport | None = None, **details: Any) -> NetSuiteErp:
    return account.adapter(transport=transport, details=details)


def master(customer: Customer, company: str = "US Inc") -> Master:
    return Master("customer", company, customer.id, customer.name, "1100")


def document(*legs: tuple[str, int, str, str | None], company: str = "US Inc", **more: Any) -> Journal:
    """Legs: account, minor units (debit positive), role, item."""
    currency = {"US Inc": "USD", "UK Inc": "GBP"}[company]
    lines = tuple(
        Line(n, code, max(amount, 0), max(-amount, 0), currency, amount, f"line {n}", role=role, item=item)
        for n, (code, amount, role, item) in enumerate(legs, start=1)
    )
    more.setdefault("customer", ACME)
    return Journal(new_key(), company, MARCH, "2026-03", currency, lines, "details", **more)


def invoice(number: str, *, net: int = 100_01, tax: int = 20_01, item: str = "PLAT", **more: Any) -> Journal:
    legs = (
        ("1100", net + tax, "accounts_receivable", None), ("2100", -net, "deferred_revenue", item),
        ("2200", -tax, "tax_liability", None),
    )  # fmt: skip
    return document(*legs, kind="invoice", reference=number, due_date=DUE, **more)


def credit_note(number: str, amount: int, *settles: tuple[str, int], **more: Any) -> Journal:
    legs = (("1100", -amount, "accounts_receivable", None), ("2100", amount, "deferred_revenue", "PLAT"))
    return document(*legs, kind="credit_note", reference=number, applies_to=parts(*settles), **more)


def payment(amount: int, *settles: tuple[str, int], fee: int = 0, **more: Any) -> Journal:
    legs = (
        ("1000", amount - fee, "processor_clearing", None), ("1999", fee, "fees", None),
        ("1100", -amount, "accounts_receivable", None),
    )  # fmt: skip
    return document(*legs, kind="cash_application", applies_to=parts(*settles), **more)


def parts(*settles: tuple[str, int]) -> tuple[Application, ...]:
    return tuple(Application(number, amount, "USD") for number, amount in settles)


def posted(erp: NetSuiteErp, *documents: Journal) -> list[Outcome]:
    """Outcomes of documents that must arrive as they were sent."""
    outcomes = list(erp.submit(documents))
    assert [(o.state, o.failure) for o in outcomes] == [("posted", None)] * len(documents)
    for sent, outcome in zip(documents, outcomes, strict=True):
        assert differences(erp, sent, outcome) == []
    return outcomes


def differences(erp: NetSuiteErp, sent: Journal, outcome: Outcome) -> list[str]:
    held = erp.lines(sent.company, [outcome.document_id or ""])
    return [str(x) for x in compare(sent, held[outcome.document_id or ""])]


def words(outcome: Outcome) -> str:
    assert outcome.failure is not None
    return f"{outcome.failure.failure_class}: {outcome.failure.message}"


def unpaid(account: Account, number: str) -> int:
    """Minor units that the account's books have open on our number."""
    documents = account.face.erp.documents()
    (held,) = [d for d in documents if d.entry.kind == "invoice" and d.entry.extra.get("otherrefnum") == number]
    return open_amounts(documents)[held.id]


def items(account: Account) -> dict[str, str]:
    """External id -> account number of every item."""
    numbers = {str(row["id"]): row["acctnumber"] for row in accounts(account)}
    return {str(p.body["externalId"]): numbers[p.body["incomeAccount"]["id"]] for p in account.face.parties.all("item")}


def accounts(account: Account) -> Sequence[dict[str, Any]]:
    ledger = account.face.erp.ledger
    return Chart.of(ledger).tables(ledger)["account"]
