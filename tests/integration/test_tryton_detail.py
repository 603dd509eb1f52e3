"""Customers, items, invoices, credit notes and payments in a real Tryton, each once and to the cent.

What every receivables ledger owes is tried by `test_tryton_conformance`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import httpx
import pytest
from erp_fixture import DETAIL_COMPANY, ErpServer, new_key

from demo.erp.setup import SUNDRY
from revenue_assets.posting.erp.documents import compare, masters_of
from revenue_assets.posting.erp.port import (
    Application,
    Customer,
    Journal,
    Line,
    Master,
    MasterKey,
    Outcome,
    Reversal,
)
from revenue_assets.posting.erp.tryton import TrytonErp

DATE, DUE = dt.date(2026, 3, 5), dt.date(2026, 4, 4)
ITEM = "PLAT-STD"


@pytest.fixture
def erp(erp_server: ErpServer) -> Iterator[TrytonErp]:
    adapter = erp_server.adapter(sundry_customer=SUNDRY)
    yield adapter
    adapter.close()


@pytest.fixture(scope="module")
def customer(erp_server: ErpServer) -> Customer:
    """A customer of this module, made through the port together with the item."""
    made = Customer(new_key("customer"), "Acme SARL")
    adapter = erp_server.adapter()
    assert adapter.ensure(masters_of(invoice(made, "any"))) == {}
    adapter.close()
    return made


def line(number: int, account: str, amount: int, role: str = "", item: str | None = None) -> Line:
    return Line(number, account, max(amount, 0), max(-amount, 0), "EUR", amount, f"{role} {item}", role=role, item=item)


def document(customer: Customer, *lines: Line, **more: Any) -> Journal:
    date = more.pop("date", DATE)
    return Journal(
        new_key(more["kind"]), DETAIL_COMPANY, date, f"{date:%Y-%m}", "EUR", lines, customer=customer, **more
    )


def invoice(customer: Customer, number: str, net: int = 100_01, tax: int = 20_01, **more: Any) -> Journal:
    """Net on deferred revenue and a tax that no rate gives exactly."""
    more.setdefault("due_date", DUE)
    lines = (
        line(1, "411000", net + tax, "accounts_receivable"),
        line(2, "487000", -net, "deferred_revenue", ITEM),
        line(3, "445700", -tax, "tax_liability"),
    )
    return document(customer, *lines, kind="invoice", reference=number, **more)


def payment(customer: Customer, amount: int, *settles: tuple[str, int], fee: int = 0, **more: Any) -> Journal:
    parts = tuple(Application(number, part, "EUR") for number, part in settles)
    return document(
        customer, line(1, "511000", amount - fee, "processor_clearing"), line(2, "627000", fee, "fees"),
        line(3, "411000", -amount, "accounts_receivable"), kind="cash_application", applies_to=parts, **more,
    )  # fmt: skip


def credit_note(customer: Customer, number: str, amount: int, *settles: str) -> Journal:
    parts = tuple(Application(settled, amount, "EUR") for settled in settles)
    return document(
        customer, line(1, "411000", -amount, "accounts_receivable"),
        line(2, "487000", amount, "deferred_revenue", ITEM), kind="credit_note", reference=number, applies_to=parts,
    )  # fmt: skip


def posted(erp: TrytonErp, *documents: Journal) -> list[Outcome]:
    outcomes = list(erp.submit(documents))
    assert [(o.state, o.failure) for o in outcomes] == [("posted", None)] * len(documents)
    return outcomes


def read_back_differs(erp: TrytonErp, document: Journal, outcome: Outcome) -> list[str]:
    held = erp.lines(document.company, [outcome.document_id or ""])
    return [str(x) for x in compare(document, held[outcome.document_id or ""])]


def state_of(server: ErpServer, number: str) -> tuple[str, str, str | None]:
    """State, what is left to pay, and Tryton's number of the invoice with our number."""
    with server.admin() as admin:
        (row,) = admin.search_read(
            "account.invoice", [["reference", "=", number]], ["state", "amount_to_pay", "number"], {}
        )
    return row["state"], f"{row['amount_to_pay']:.2f}", row["number"]


def words(outcome: Outcome) -> str:
    assert outcome.failure is not None
    return f"{outcome.failure.failure_class}: {outcome.failure.message}"


def test_masters_are_made_once_and_found_by_our_codes(erp: TrytonErp, erp_server: ErpServer) -> None:
    masters = [
        Master("customer", DETAIL_COMPANY, code := new_key("cus"), "Beta", "411000"),
        Master("item", DETAIL_COMPANY, item := new_key("item"), "Seats", "487000"),
    ]
    keys = [master.key for master in masters]
    assert erp.resolve(keys) == {}
    assert (erp.ensure(masters), erp.ensure(masters)) == ({}, {})
    found = erp.resolve(keys)
    assert set(found) == set(keys)
    with erp_server.admin() as admin:
        company = {"company": erp_server.setup.companies[DETAIL_COMPANY]}
        parties = admin.search_read(
            "party.party", [["identifiers.code", "=", code]], ["name", "account_receivable.code"], company
        )
        products = admin.search_read("product.product", [["code", "=", item]], ["template.name"], {})
    assert [p["name"] for p in parties] == ["Beta"]
    assert [p["template."]["name"] for p in products] == ["Seats"]
    assert [p["account_receivable."]["code"] for p in parties] == ["411000"]


def test_a_customer_cannot_be_made_on_an_account_without_customers(erp: TrytonErp) -> None:
    master = Master("customer", "Meridian Inc", new_key("cus"), "Gamma", "1100")
    failure = erp.ensure([master])[master.key]
    assert (failure.failure_class, "no receivable account with customers" in failure.message) == (
        "mapping_missing",
        True,
    )
    assert erp.resolve([MasterKey("customer", "Meridian Inc", master.code)]) == {}


def test_an_invoice_is_tryton_s_own_with_our_lines_to_the_cent(
    erp: TrytonErp, erp_server: ErpServer, customer: Customer
) -> None:
    sent = invoice(customer, number := new_key("INV"))
    (outcome,) = posted(erp, sent)
    assert read_back_differs(erp, sent, outcome) == []
    assert state_of(erp_server, number)[:2] == ("posted", "120.02")
    with erp_server.admin() as admin:
        (held,) = admin.search_read(
            "account.invoice.line", [["invoice.reference", "=", number]], ["product.code", "amount"], {}
        )
    assert (held["product."]["code"], str(held["amount"])) == (ITEM, "100.01")


def test_an_invoice_takes_several_items_discounts_and_stored_credit(erp: TrytonErp, customer: Customer) -> None:
    sent = document(
        customer, line(1, "411000", 90_00, "accounts_receivable"), line(2, "487000", -150_00, "deferred_revenue", ITEM),
        line(3, "487000", 30_00, "deferred_revenue", ITEM), line(4, "418000", -20_00, "unbilled_receivable", ITEM),
        line(5, "709000", 10_00, "discounts"), line(6, "419000", 70_00, "customer_balance"),
        line(7, "445700", -30_00, "tax_liability"), kind="invoice", reference=new_key("INV"), due_date=DUE,
    )  # fmt: skip
    (outcome,) = posted(erp, sent)
    assert read_back_differs(erp, sent, outcome) == []


def test_payments_in_parts_settle_the_invoice_when_they_are_whole(
    erp: TrytonErp, erp_server: ErpServer, customer: Customer
) -> None:
    numbers = [new_key("INV"), new_key("INV")]
    posted(erp, *(invoice(customer, number) for number in numbers))
    parts = [
        payment(customer, 20_02, (numbers[0], 20_02), fee=62),
        payment(customer, 230_00, (numbers[0], 100_00), (numbers[1], 120_02)),
    ]
    (first,) = posted(erp, parts[0])
    assert state_of(erp_server, numbers[0])[:2] == ("posted", "100.00")
    (second,) = posted(erp, parts[1])
    assert [state_of(erp_server, number)[:2] for number in numbers] == [("paid", "0.00")] * 2
    for sent, outcome in zip(parts, (first, second), strict=True):
        assert read_back_differs(erp, sent, outcome) == []
    with erp_server.admin() as admin:
        rows = admin.search_read(
            "account.move.line",
            [["move", "=", int(second.document_id or 0)], ["account.code", "=", "411000"]],
            ["credit", "reconciliation", "party"], {}, order=[["id", "ASC"]],
        )  # fmt: skip
    assert [(str(row["credit"]), row["reconciliation"] is not None) for row in rows] == [
        ("100.00", True), ("120.02", True), ("9.98", False)
    ]  # fmt: skip
    assert len({row["party"] for row in rows}) == 1


@pytest.mark.parametrize(
    ("settles", "expected"),
    [
        ([("INV-none", 100)], "has no posted invoice INV-none to settle"),
        ([("", 12_003)], "has 12002 minor units EUR open on"),
        ([("", 7_000), ("", 7_000)], "has 5002 minor units EUR open on"),
    ],
)
def test_a_payment_settles_no_more_than_is_open(
    erp: TrytonErp, erp_server: ErpServer, customer: Customer, settles: Sequence[tuple[str, int]], expected: str
) -> None:
    number = new_key("INV")
    posted(erp, invoice(customer, number))
    sent = [payment(customer, amount, (name or number, amount)) for name, amount in settles]
    *before, outcome = erp.submit(sent)
    assert all(o.state == "posted" for o in before)
    assert (words(outcome).startswith("invalid: "), expected in words(outcome)) == (True, True), words(outcome)
    assert erp.find(DETAIL_COMPANY, [sent[-1].key])[sent[-1].key] == ()


def test_a_payment_that_is_there_takes_nothing_from_the_next(
    erp: TrytonErp, erp_server: ErpServer, customer: Customer
) -> None:
    """Sent again after a crash together with the rest of its call: what it settled is not counted twice."""
    posted(erp, invoice(customer, number := new_key("INV")))
    first, second = payment(customer, 60_01, (number, 60_01)), payment(customer, 60_01, (number, 60_01))
    posted(erp, first)
    assert [o.already_there for o in posted(erp, first, second)] == [True, False]
    assert state_of(erp_server, number)[:2] == ("paid", "0.00")


def test_a_credit_note_settles_its_invoice(erp: TrytonErp, erp_server: ErpServer, customer: Customer) -> None:
    posted(erp, invoice(customer, number := new_key("INV")))
    part, rest = (
        credit_note(customer, new_key("CN"), 20_02, number),
        credit_note(customer, new_key("CN"), 100_00, number),
    )
    (first,) = posted(erp, part)
    assert state_of(erp_server, number)[:2] == ("posted", "100.00")
    (second,) = posted(erp, rest)
    assert state_of(erp_server, number)[:2] == ("paid", "0.00")
    assert state_of(erp_server, part.reference or "")[0] == "paid"
    assert [read_back_differs(erp, d, o) for d, o in ((part, first), (rest, second))] == [[], []]


@pytest.mark.parametrize("died_at", ["account.invoice.post", "account.move.line.write"])
def test_a_credit_note_left_by_a_kill_is_finished(
    erp: TrytonErp, erp_server: ErpServer, customer: Customer, died_at: str
) -> None:
    """A kill before it is posted, and one after that but before it settles: until then it is not done."""
    posted(erp, invoice(customer, number := new_key("INV")))
    sent = credit_note(customer, new_key("CN"), 120_02, number)
    broken = erp_server.adapter(transport=httpx.MockTransport(dies_at(died_at)))
    (outcome,) = broken.submit([sent])
    assert words(outcome).startswith("uncertain: ")
    (hit,) = erp.find(DETAIL_COMPANY, [sent.key])[sent.key]
    assert hit.state == "created"
    (outcome,) = posted(erp, sent)
    assert (outcome.already_there, read_back_differs(erp, sent, outcome)) == (True, [])
    assert state_of(erp_server, number)[:2] == ("paid", "0.00")


@pytest.mark.parametrize("died_at", ["reconcile_lines.create", "account.move.post"])
def test_a_payment_left_by_a_kill_is_finished(
    erp: TrytonErp, erp_server: ErpServer, customer: Customer, died_at: str
) -> None:
    posted(erp, invoice(customer, number := new_key("INV")))
    sent = payment(customer, 120_02, (number, 120_02))
    broken = erp_server.adapter(transport=httpx.MockTransport(dies_at(died_at)))
    (outcome,) = broken.submit([sent])
    assert (outcome.state, words(outcome).split(":")[0]) == ("created", "uncertain")
    (outcome,) = posted(erp, sent)
    assert (outcome.already_there, read_back_differs(erp, sent, outcome)) == (True, [])
    assert state_of(erp_server, number)[:2] == ("paid", "0.00")
    assert len(erp.find(DETAIL_COMPANY, [sent.key])[sent.key]) == 1


def dies_at(method: str) -> Any:
    """A transport that never delivers one method."""

    def handle(request: httpx.Request) -> httpx.Response:
        if f'{method}"'.encode() in request.content:
            raise httpx.ReadTimeout("killed here", request=request)
        return httpx.HTTPTransport().handle_request(request)

    return handle


def test_an_invoice_whose_answer_was_lost_is_not_made_again(
    erp: TrytonErp, erp_server: ErpServer, customer: Customer
) -> None:
    sent = invoice(customer, new_key("INV"))

    def lost(request: httpx.Request) -> httpx.Response:
        response = httpx.HTTPTransport().handle_request(request)
        if b'"model.account.invoice.post"' in request.content:
            response.read()
            raise httpx.ReadError("connection reset", request=request)
        return response

    (outcome,) = erp_server.adapter(transport=httpx.MockTransport(lost)).submit([sent])
    assert words(outcome).startswith("uncertain: ")
    (outcome,) = posted(erp, sent)
    assert (outcome.already_there, read_back_differs(erp, sent, outcome)) == (True, [])


def test_one_bad_document_harms_only_itself(erp: TrytonErp, customer: Customer) -> None:
    good = [invoice(customer, new_key("INV")) for _ in range(2)]
    unknown = invoice(Customer("nobody", "Nobody"), new_key("INV"))
    on_revenue = replace(good[0], key=new_key(), reference=new_key("INV"), lines=(
        good[0].lines[0], replace(good[0].lines[1], account_code="511000"), good[0].lines[2]))  # fmt: skip
    dollars = replace(good[0], key=new_key(), lines=tuple(replace(x, currency="USD") for x in good[0].lines))
    outcomes = erp.submit([good[0], unknown, on_revenue, dollars, good[1]])
    assert [o.state for o in outcomes] == ["posted", None, None, None, "posted"]
    assert "has no customer nobody" in words(outcomes[1])
    assert words(outcomes[2]).startswith("invalid: The ERP refused it")
    assert "convert it at rates of its own" in words(outcomes[3])


def test_an_invoice_in_a_period_that_the_erp_closed(erp: TrytonErp, erp_server: ErpServer, customer: Customer) -> None:
    sent = invoice(customer, new_key("INV"), date=dt.date(2025, 4, 5))
    period = erp_server.setup.periods[DETAIL_COMPANY]["2025-04"]
    company = erp_server.setup.companies[DETAIL_COMPANY]
    with erp_server.admin() as admin:
        admin.call("model.account.period.close", [period], {"company": company})
        (outcome,) = erp.submit([sent])
        assert words(outcome) == f"period_closed: Period 2025-04 of {DETAIL_COMPANY} is closed in the ERP."
        admin.call("model.account.period.reopen", [period], {"company": company})
    posted(erp, sent)


def test_invoices_may_come_in_any_order_of_their_dates(erp: TrytonErp, customer: Customer) -> None:
    """Tryton numbers in the order of its invoice date: a late document is given the day it came."""
    late = [invoice(customer, new_key("INV"), date=date) for date in (dt.date(2026, 6, 9), dt.date(2026, 5, 2))]
    outcomes = posted(erp, *late[:1]) + posted(erp, *late[1:])
    held = erp.lines(DETAIL_COMPANY, [o.document_id or "" for o in outcomes])
    assert [held[o.document_id or ""].accounting_date for o in outcomes] == [d.accounting_date for d in late]


def test_summarised_lines_on_receivables_go_to_the_sundry_customer_or_their_own(
    erp: TrytonErp, erp_server: ErpServer, customer: Customer
) -> None:
    lines = (
        line(1, "411000", 50_00, "accounts_receivable"),
        replace(line(2, "411000", 7_00, "accounts_receivable"), dimensions={"customer_id": customer.id}),
        line(3, "706000", -57_00, "revenue"),
    )
    sent = replace(document(customer, *lines, kind="journal"), customer=None)
    (outcome,) = posted(erp, sent)
    assert read_back_differs(erp, sent, outcome) == []
    with erp_server.admin() as admin:
        rows = admin.search_read(
            "account.move.line", [["move", "=", int(outcome.document_id or 0)], ["party", "!=", None]], ["party.name"],
            {}, order=[["id", "ASC"]],
        )  # fmt: skip
    assert [row["party."]["name"] for row in rows] == ["Summarised customers", "Acme SARL"]
    (refused,) = erp_server.adapter().submit([replace(sent, key=new_key())])
    assert "asks for a customer" in words(refused)


def test_the_reversal_of_an_invoice_is_a_credit_note_that_settles_it(
    erp: TrytonErp, erp_server: ErpServer, customer: Customer
) -> None:
    (original,) = posted(erp, invoice(customer, number := new_key("INV")))
    request = Reversal(new_key("reversal"), DETAIL_COMPANY, original.document_id or "", dt.date(2026, 4, 1), "2026-04")
    outcome, again = erp.reverse(request), erp.reverse(request)
    assert (outcome.state, outcome.failure, again.document_id) == ("posted", None, outcome.document_id)
    held = erp.lines(DETAIL_COMPANY, [outcome.document_id or ""])[outcome.document_id or ""]
    assert sorted((x.account_code, x.debit, x.credit) for x in held.lines) == [
        ("411000", 0, 120_02), ("445700", 20_01, 0), ("487000", 100_01, 0)
    ]  # fmt: skip
    assert held.applies_to == (Application(number, 120_02, "EUR"),)
