"""Invoices, credit notes and payments in the emulated account: each once, and its ledger has our lines to the cent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from netsuite_account import Account, journal, running
from netsuite_details import (
    ACME,
    DUE,
    adapter,
    cleared,
    credit_note,
    differences,
    document,
    invoice,
    items,
    master,
    payment,
    posted,
    unpaid,
    with_acme,
    words,
)

from revenue_assets.posting.erp.documents import masters_of
from revenue_assets.posting.erp.netsuite import NetSuiteErp
from revenue_assets.posting.erp.netsuite_settlement import Settlement
from revenue_assets.posting.erp.open_items import OpenItem
from revenue_assets.posting.erp.port import Customer, Line
from revenue_assets.testing.erp_bench import FaultyTransport, new_key


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with running(tmp_path_factory.mktemp("netsuite")) as account:
        yield account


@pytest.fixture
def account(served: Account) -> Account:
    return cleared(served)


@pytest.fixture
def erp(account: Account) -> NetSuiteErp:
    return with_acme(account)


# -- the ledger ---------------------------------------------------------------------------------------------------


def test_every_line_of_an_invoice_reaches_its_account(account, erp):
    """Two lines on one account, a discount and stored credit against it, tax: each is a line of NetSuite's ledger."""
    sent = document(
        ("1100", 100_00, "accounts_receivable", None), ("2100", -150_00, "deferred_revenue", "PLAT"),
        ("2100", -1, "deferred_revenue", "PLAT"), ("4010", -20_00, "revenue", "PLAT"),
        ("4000", 10_01, "discounts", None), ("1999", 70_00, "customer_balance", None),
        ("2200", -10_00, "tax_liability", None), ("4000", 0, "revenue", None),
        kind="invoice", reference="INV-1", due_date=DUE,
    )  # fmt: skip
    assert erp.ensure(masters_of(sent)) == {}
    (outcome,) = posted(erp, sent)
    (held,) = account.face.erp.documents()
    assert Counter((x.account, x.debit, x.credit) for x in held.entry.lines) == Counter(
        (x.account_code, x.debit, x.credit) for x in sent.lines if x.debit or x.credit
    )
    assert items(account) == {
        "PLAT": "4010", "PLAT_2100": "2100", "gl_4000": "4000", "gl_1999": "1999", "gl_2200": "2200",
    }  # fmt: skip
    assert (outcome.number, unpaid(account, "INV-1")) == ("JE00001", 100_00)
    again = posted(adapter(account), sent)
    assert (again[0].already_there, len(items(account))) == (True, 5)
    assert not account.face.erp.calls["upsert"]


def test_balances_and_find_know_documents_of_every_kind(account, erp):
    sent = [invoice("INV-1"), credit_note("CN-1", 20_02, ("INV-1", 20_02)), payment(50_00, ("INV-1", 50_00))]
    posted(erp, *sent)
    assert {key: len(hits) for key, hits in erp.find("US Inc", [d.key for d in sent]).items()} == {
        d.key: 1 for d in sent
    }
    balances = {b.account_code: b.balance for b in erp.balances("US Inc", "2026-03")}
    assert balances == {"1000": 50_00, "1100": 50_00, "2100": -79_99, "2200": -20_01}
    assert unpaid(account, "INV-1") == 50_00


@pytest.mark.parametrize(
    "details",
    [
        {"fields": {"item": {"taxSchedule": {"id": "2"}}}},
        {"fields": {"invoice": {"taxDetailsOverride": True}, "creditMemo": {"taxDetailsOverride": True}}},
    ],
)
def test_netsuite_computes_no_tax_where_set_up_says_so(account, details):
    account.face.tax = Decimal("0.1")
    erp = adapter(account, **details)
    sent = invoice("INV-1")
    assert erp.ensure(masters_of(sent)) == {}
    posted(erp, sent, credit_note("CN-1", 20_02, ("INV-1", 20_02)))


def test_a_tax_of_netsuites_own_never_counts_as_ours(account, erp):
    account.face.tax = Decimal("0.1")
    (outcome,) = erp.submit([sent := invoice("INV-1")])
    found = differences(erp, sent, outcome)
    assert "total: sent 12002, the ERP has 13202" in found
    (again,) = adapter(account).submit([sent])
    assert words(again).startswith("conflict: ")


# -- payments -----------------------------------------------------------------------------------------------------


def test_a_payment_with_a_fee_is_refused_or_carried_by_a_credit_memo(account, erp):
    posted(erp, invoice("INV-1"))
    sent = payment(120_02, ("INV-1", 120_02), fee=3_50)
    assert "moves more than one account besides the receivable" in words(erp.submit([sent])[0])
    assert unpaid(account, "INV-1") == 120_02
    other = adapter(account, payments_of_many_accounts="credit_memo")
    posted(other, sent)
    (held,) = [d for d in account.face.erp.documents() if d.entry.key == sent.key]
    assert (held.entry.kind, unpaid(account, "INV-1")) == ("creditmemo", 0)
    assert sorted((x.account, x.debit, x.credit) for x in held.entry.lines) == [
        ("1000", 116_52, 0), ("1100", 0, 120_02), ("1999", 3_50, 0)
    ]  # fmt: skip


def test_a_form_that_asks_for_more_gets_it_from_the_options(account, erp):
    posted(erp, invoice("INV-1"))
    account.face.required = {"customerpayment": ("paymentOption",)}
    sent = payment(20_02, ("INV-1", 20_02))
    assert words(erp.submit([sent])[0]).startswith("invalid: NetSuite refused the document")
    posted(adapter(account, fields={"customerPayment": {"paymentOption": {"id": "8"}}}), sent)


def test_an_application_that_netsuite_left_out_is_seen(account, erp):
    """Others saw it on live accounts: the payment is made and settles nothing."""
    posted(erp, invoice("INV-1"))
    account.face.ignores_apply = True
    (outcome,) = erp.submit([sent := payment(20_02, ("INV-1", 20_02))])
    assert outcome.state == "posted"
    assert differences(erp, sent, outcome) == ["applications: sent 2002 USD of INV-1, the ERP has nothing"]


def test_what_cannot_be_settled_is_told_apart(account, erp):
    other = Customer("cus_b", "Beta")
    assert erp.ensure([master(other)]) == {}
    posted(erp, invoice("INV-1"), invoice("INV-2", customer=other), invoice("INV-D"))
    twin = replace(invoice("INV-D"), customer=other)
    posted(erp, twin)
    sent = [
        payment(9, ("INV-2", 9)), payment(9, ("INV-D", 9)), payment(200_00, ("INV-1", 120_03)),
        payment(9, ("INV-9", 9)),
        payment(110_00, ("INV-1", 110_00)), payment(11_00, ("INV-1", 11_00)),
    ]  # fmt: skip
    outcomes = erp.submit(sent)
    assert [words(o).split(" was not sent: the ERP ")[-1] for o in outcomes if o.failure] == [
        "has invoice INV-2 of another customer.",
        "has 2 invoices with the number INV-D.",
        "has 12002 minor units USD open on INV-1, less than the 12003 to settle.",
        "has no posted invoice INV-9 to settle; post that first.",
        "has 1002 minor units USD open on INV-1, less than the 1100 to settle.",
    ]
    assert [o.failure.failure_class if o.failure else o.state for o in outcomes] == [
        "invalid", "invalid", "invalid", "uncertain", "posted", "invalid"
    ]  # fmt: skip
    assert unpaid(account, "INV-1") == 10_02


def test_a_payment_that_is_there_takes_nothing_from_the_next(account, erp):
    """Sent again after a crash together with the rest of its call: what it settled is not counted twice."""
    posted(erp, invoice("INV-1"))
    first, second = payment(60_01, ("INV-1", 60_01)), payment(60_01, ("INV-1", 60_01))
    posted(erp, first)
    assert [o.already_there for o in posted(adapter(account), first, second)] == [True, False]
    assert unpaid(account, "INV-1") == 0


def test_what_was_settled_meanwhile_is_netsuites_refusal(account, erp, monkeypatch):
    """The open amount that we saw is old: NetSuite refuses to settle more than is open."""
    posted(erp, invoice("INV-1"), payment(120_02, ("INV-1", 120_02)))
    late, real = payment(1_00, ("INV-1", 1_00)), Settlement.open_items
    old: list[int] = [1]

    def stale(self: Settlement, company: str, references: Any) -> dict[str, tuple[OpenItem, ...]]:
        shown = real(self, company, references)
        if old[0]:
            old[0] -= 1
            return {n: tuple(replace(x, open_amount=120_02) for x in hits) for n, hits in shown.items()}
        return shown

    monkeypatch.setattr(Settlement, "open_items", stale)
    (outcome,) = erp.submit([late])
    assert "has 0 minor units USD open on INV-1" in words(outcome)
    assert outcome.failure is not None
    assert "USER_ERROR" in outcome.failure.evidence
    assert not account.face.erp.copies()[late.key]


# -- refusals, approvals, lost answers ----------------------------------------------------------------------------


def test_documents_that_netsuite_would_convert_or_misplace_are_refused(account, erp):
    good = invoice("INV-1")
    euros = replace(
        good, key=new_key(), lines=tuple(replace(x, currency="EUR", amount_tc=2 * x.amount_tc) for x in good.lines)
    )
    elsewhere = replace(good, key=new_key(), lines=(replace(good.lines[0], account_code="1000"), *good.lines[1:]))
    nobody = replace(good, key=new_key(), customer=Customer("cus_nobody", "Nobody"))
    twice = replace(
        good, key=new_key(), lines=(*good.lines, Line(4, "1100", 0, 1, "USD", -1), Line(5, "4000", 1, 0, "USD", 1))
    )
    found = {
        key: f"{f.failure_class}: {f.message}"
        for key, f in erp.preflight([good, euros, elsewhere, nobody, twice]).items()
    }
    assert [found[d.key].partition(": ")[0] for d in (euros, elsewhere, nobody, twice)] == [
        "invalid", "mapping_missing", "mapping_missing", "invalid"
    ]  # fmt: skip
    assert "convert it at a rate of its own" in found[euros.key]
    assert "no receivable type" in found[elsewhere.key]
    assert "has no active customer cus_nobody" in found[nobody.key]
    assert "is no receivable" in found[twice.key]
    assert good.key not in found


def test_an_invoice_in_a_closed_period(account, erp):
    account.face.close_period("2026-03")
    sent = invoice("INV-1")
    assert words(erp.submit([sent])[0]).startswith("period_closed: ")
    account.face.close_period("2026-03", "open")
    account.face.ar_locked = {"2026-03"}
    assert words(adapter(account).submit([sent])[0]) == (
        "period_closed: Period 2026-03 (Mar 2026) is locked for A/R in NetSuite."
    )
    assert erp.submit([journal("j1")])[0].state == "posted", "journals may still be posted"
    account.face.ar_locked = set()
    posted(erp, sent)


def test_an_invoice_that_awaits_approval_settles_nothing_yet(account, erp):
    account.face.approvals = True
    sent, paid = invoice("INV-1"), payment(120_02, ("INV-1", 120_02))
    first, second = erp.submit([sent, paid])
    assert (first.state, first.failure) == ("created", None)
    assert words(second).startswith("uncertain: ")
    account.face.approve(first.document_id)
    assert erp.find("US Inc", [sent.key])[sent.key][0].state == "posted"
    posted(erp, paid)


def test_create_as_approved_reaches_invoices(account, erp):
    account.face.approvals = True
    approving = account.adapter(details={}, create_as="approved")
    posted(approving, invoice("INV-1"))


def test_an_invoice_that_the_index_hides_is_found_as_a_record_and_not_made_twice(account):
    account.reset({"index_lag": 1_000_000.0})
    erp = adapter(account)
    assert erp.ensure([master(ACME)]) == {}
    sent, paid = invoice("INV-1"), payment(1_00, ("INV-1", 1_00))
    first, second = erp.submit([sent, paid])
    assert (first.state, first.failure) == ("created", None)
    assert words(second).startswith("uncertain: "), "the invoice may come yet"
    (hit,) = erp.find("US Inc", [sent.key])[sent.key]
    assert (hit.document_id, hit.state) == (first.document_id, "created")
    (again,) = erp.submit([sent])
    assert again.already_there
    assert dict(account.face.erp.copies()) == {sent.key: 1}


@pytest.mark.parametrize("kind", ["invoice", "creditmemo", "customerpayment"])
def test_a_lost_answer_leaves_no_second_document(account, erp, kind):
    before = [] if kind == "invoice" else [invoice("INV-0")]
    posted(erp, *before)
    made = {
        "invoice": invoice("INV-1"), "creditmemo": credit_note("CN-1", 1_00, ("INV-0", 1_00)),
        "customerpayment": payment(1_00, ("INV-0", 1_00)),
    }  # fmt: skip
    sent = made[kind]
    lost = FaultyTransport("lost_answer", lambda request: request.url.path.lower().endswith(f"/{kind}"))
    assert words(adapter(account, lost).submit([sent])[0]).startswith("uncertain: ")
    posted(erp, sent)
    assert account.face.erp.copies()[sent.key] == 1


def test_a_request_that_got_no_answer_stops_the_rest_of_the_call(account, erp):
    """What settles is not tried after an invoice that nobody answered for."""
    lost = FaultyTransport("lost_request", lambda request: request.url.path.lower().endswith("/invoice"))
    outcomes = adapter(account, lost).submit([payment(1, ("INV-1", 1)), invoice("INV-2"), invoice("INV-1")])
    assert [o.failure.failure_class for o in outcomes if o.failure] == ["throttled", "uncertain", "throttled"]
    assert not account.face.erp.documents()


def test_altered_applications_customers_and_due_dates_are_seen(account, erp):
    posted(erp, invoice("INV-0"))
    sent = [invoice("INV-1"), payment(9_00, ("INV-1", 9_00))]
    made = posted(erp, *sent)
    other = account.face.parties.add("customer", {"externalId": "cus_x", "companyName": "X", "subsidiary": {"id": "1"}})
    changes = [(0, {"entity": other.id}, "customer"), (0, {"duedate": "2026-05-01"}, "due_date"),
               (0, {"otherrefnum": "INV-X"}, "reference"), (1, {"applies": [["1", 9_00]]}, "applications")]  # fmt: skip
    for n, change, field in changes:
        number = made[n].document_id or ""
        held = account.face.erp.one(number)
        account.face.erp.ledger.replace(number, replace(held.entry, extra={**held.entry.extra, **change}))
        assert [x.partition(":")[0] for x in differences(erp, sent[n], made[n])] == [field]
        account.face.erp.ledger.replace(number, held.entry)
