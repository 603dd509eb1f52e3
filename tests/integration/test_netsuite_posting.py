"""The NetSuite adapter against the emulated account: what it posts is what the ledger holds, to the last digit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest
from netsuite_account import COMPANIES, EXPONENTS, FOREIGN, MARCH, Account, journal, running

from revenue_assets.domain.money import to_major
from revenue_assets.posting.erp.documents import compare
from revenue_assets.posting.erp.netsuite import NetSuiteErp
from revenue_assets.posting.erp.port import ErpPort, Line, MasterKey, Reversal

BIG = 10**15


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with running(tmp_path_factory.mktemp("netsuite")) as account:
        yield account


@pytest.fixture
def account(served: Account) -> Account:
    served.reset()
    return served


@pytest.fixture
def erp(account: Account) -> NetSuiteErp:
    return account.adapter()


def euro_lines(*amounts: tuple[str, int, int]) -> tuple[Line, ...]:
    """Lines of the US company in euros: account, functional cents, euro cents; debit positive."""
    return tuple(
        Line(n, code, max(fc, 0), max(-fc, 0), "EUR", tc, f"line {n}") for n, (code, fc, tc) in enumerate(amounts, 1)
    )


def test_it_is_a_port_and_says_what_it_can(erp):
    assert isinstance(erp, ErpPort)
    can = erp.capabilities
    assert (can.key_unique, can.atomic_unit, can.posts_itself, can.mode) == (True, "document", True, "sync")


def test_a_journal_arrives_as_sent_and_once(account, erp):
    document = journal("k1")
    (outcome,) = erp.submit([document])
    assert (outcome.state, outcome.already_there, outcome.failure) == ("posted", False, None)
    held = erp.lines("US Inc", [outcome.document_id])[outcome.document_id]
    assert compare(document, held) == []
    assert (held.number, held.period, held.state) == (outcome.number, "2026-03", "posted")
    (again,) = account.adapter().submit([document])
    assert (again.document_id, again.already_there) == (outcome.document_id, True)
    assert dict(account.face.erp.copies()) == {"k1": 1}
    assert not account.face.erp.calls["upsert"]


@pytest.mark.parametrize("company", sorted(COMPANIES))
@pytest.mark.parametrize("amount", [1, 999, 100_000, BIG - 1, BIG + 7])
def test_amounts_of_every_precision_are_exact(erp, company, amount):
    document = journal(f"k-{company[:2]}-{amount}", amount, company)
    (outcome,) = erp.submit([document])
    assert outcome.state == "posted", outcome.failure
    held = erp.lines(company, [outcome.document_id])[outcome.document_id]
    assert compare(document, held) == []
    assert held.lines[0].debit == amount
    balances = {b.account_code: b.balance for b in erp.balances(company, "2026-03")}
    assert balances == {"1100": amount, "2100": -amount}


def test_other_content_under_a_known_key_is_a_conflict(account, erp):
    erp.submit([journal("k1")])
    (outcome,) = erp.submit([journal("k1", 12_001)])
    assert outcome.failure is not None
    assert outcome.failure.failure_class == "conflict"
    assert "12001" in outcome.failure.message
    assert dict(account.face.erp.copies()) == {"k1": 1}


def test_find_sees_keys_of_the_whole_account(erp):
    erp.submit([journal("k1"), journal("k2", company="UK Inc")])
    found = erp.find("US Inc", ["k1", "k2", "k3"])
    assert {key: len(hits) for key, hits in found.items()} == {"k1": 1, "k2": 1, "k3": 0}
    (wrong,) = erp.submit([journal("k2")])
    assert wrong.failure is not None
    assert "company" in wrong.failure.message


def test_a_journal_that_the_index_does_not_show_is_found_as_a_record(account, erp):
    account.reset({"index_lag": 1_000_000.0})
    (outcome,) = erp.submit([journal("k1")])
    assert (outcome.state, outcome.failure) == ("created", None), "not posted before the ledger shows it"
    (hit,) = erp.find("US Inc", ["k1"])["k1"]
    assert (hit.document_id, hit.state) == (outcome.document_id, "created")
    (again,) = erp.submit([journal("k1")])
    assert (again.already_there, again.document_id) == (True, outcome.document_id), "refused, then looked up"
    assert dict(account.face.erp.copies()) == {"k1": 1}


def test_masters_are_those_that_take_postings(account, erp):
    wanted = [
        MasterKey("company", "US Inc", "US Inc"),
        MasterKey("account", "US Inc", "1100"),
        MasterKey("account", "US Inc", "SUM"),
        MasterKey("account", "US Inc", "OLD"),
        MasterKey("currency", "US Inc", "EUR"),
        MasterKey("currency", "US Inc", "XXX"),
        MasterKey("journal", "US Inc", "REV"),
    ]
    assert [key.code for key in erp.resolve(wanted)] == ["US Inc", "1100", "EUR"]
    periods = erp.periods("US Inc")
    assert len(periods) == 24, "no quarter, year or adjustment period"
    assert (periods[14].name, periods[14].end_date) == ("2026-03", MARCH)
    account.face.close_period("2026-03", "locked")
    assert erp.periods("US Inc")[14].state == "closed"


def test_pages_are_put_together(account):
    erp = account.adapter(page_rows=3)
    documents = [journal(f"k{n}", 100 + n) for n in range(8)]
    outcomes = erp.submit(documents)
    held = erp.lines("US Inc", [o.document_id for o in outcomes])
    assert [compare(d, held[o.document_id]) for d, o in zip(documents, outcomes, strict=True)] == [[]] * 8
    assert len(erp.periods("US Inc")) == 24


def test_companies_may_be_mapped_by_internal_id(account):
    document = replace(journal("k1"), company="Northwind US")
    (unknown,) = account.adapter().submit([document])
    assert unknown.failure.failure_class == "mapping_missing"
    erp = account.adapter(subsidiaries={"Northwind US": "5"})
    (outcome,) = erp.submit([document])
    assert erp.lines("Northwind US", [outcome.document_id])[outcome.document_id].company == "Northwind US"


def test_dimensions_go_where_the_configuration_says(account):
    erp = account.adapter(
        dimensions={
            "product_family": {"field": "class"},
            "region": {"field": "cseg_region", "table": "customrecord_cseg_region"},
            "team": {"field": "department", "values": {"revenue": "2"}},
        }
    )
    sent = {"product_family": "platform", "region": "O'Brien & Sons", "team": "revenue", "unmapped": "stays with us"}
    lines = tuple(replace(line, dimensions=sent) for line in journal("k1").lines)
    (outcome,) = erp.submit([journal("k1", lines=lines)])
    held = erp.lines("US Inc", [outcome.document_id])[outcome.document_id]
    assert held.lines[0].dimensions == {"product_family": "platform", "region": "O'Brien & Sons", "team": "revenue"}
    (stored,) = account.face.erp.documents()
    assert stored.entry.lines[0].dimensions == {"class": "1", "cseg_region": "2", "department": "2"}
    reversal = erp.reverse(Reversal("r1", "US Inc", outcome.document_id, MARCH, "2026-03"))
    back = erp.lines("US Inc", [reversal.document_id])[reversal.document_id]
    assert back.lines[0].dimensions == held.lines[0].dimensions
    unknown = tuple(replace(line, dimensions={"region": "Mars"}) for line in lines)
    (refused,) = erp.submit([journal("k2", lines=unknown)])
    assert refused.failure.failure_class == "mapping_missing"
    assert "region Mars" in refused.failure.message


def test_a_field_that_netsuite_does_not_know_is_refused_and_not_dropped(account):
    erp = account.adapter(dimensions={"region": {"field": "cseg_typo", "values": {"EMEA": "1"}}})
    lines = tuple(replace(line, dimensions={"region": "EMEA"}) for line in journal("k1").lines)
    (outcome,) = erp.submit([journal("k1", lines=lines)])
    assert outcome.failure is not None
    assert "cseg_typo" in outcome.failure.evidence
    assert not account.face.erp.copies()


# -- several currencies in one company --------------------------------------------------------------------------


def test_foreign_lines_need_a_place_to_go(account, erp):
    lines = euro_lines(("1100", 10_800, 10_000), ("2100", -10_800, -10_000))
    (outcome,) = erp.submit([journal("k1", lines=lines)])
    assert outcome.failure.failure_class == "mapping_missing"
    assert "foreign_fields" in outcome.failure.message
    assert not account.face.erp.copies()


def test_functional_amounts_are_posted_and_the_transaction_amounts_ride_along(account):
    erp = account.adapter(foreign_fields=FOREIGN)
    # Two rates, a line in the company's own currency, one without a transaction amount: no single rate makes these.
    lines = (
        *euro_lines(("1100", 10_801, 10_000), ("2100", -10_700, -10_000)),
        Line(3, "1999", 0, 100, "USD", -100, "own"),
        Line(4, "4000", 0, 1, "EUR", 0, "exchange difference"),
    )
    document = journal("k1", lines=lines)
    (outcome,) = erp.submit([document])
    held = erp.lines("US Inc", [outcome.document_id])[outcome.document_id]
    assert compare(document, held) == []
    assert (held.lines[0].currency, held.lines[0].amount_tc, held.lines[0].debit) == ("EUR", 10_000, 10_801)
    reversal = erp.reverse(Reversal("r1", "US Inc", outcome.document_id, MARCH, "2026-03"))
    back = erp.lines("US Inc", [reversal.document_id])[reversal.document_id]
    assert sorted((x.account_code, x.debit, x.credit, x.amount_tc) for x in back.lines) == sorted(
        (x.account_code, x.credit, x.debit, -x.amount_tc) for x in held.lines
    )


def test_a_journal_of_one_rate_may_be_posted_in_its_own_currency(account):
    erp = account.adapter(foreign_currency="native")
    document = journal(
        "k1", lines=euro_lines(("1100", 10_800, 10_000), ("2100", -2_700, -2_500), ("4000", -8_100, -7_500))
    )
    (outcome,) = erp.submit([document])
    held = erp.lines("US Inc", [outcome.document_id])[outcome.document_id]
    assert compare(document, held) == []
    (stored,) = account.face.erp.documents()
    assert stored.entry.extra["currency"] == "EUR"
    assert Decimal(str(stored.entry.extra["rate"])) == Decimal("1.08")


def test_a_rate_that_netsuite_would_round_apart_is_not_used(account):
    """The vendor's own example: 4 x 9.99 at 0.69 makes 27.56 of debits and 27.57 of credits; it changes line 1."""
    cad = [("1100", 689, 999)] * 3 + [("1100", 690, 999), ("2100", -2757, -3996)]
    document = journal("k1", lines=euro_lines(*cad))
    erp = account.adapter(foreign_currency="native", foreign_fields=FOREIGN)
    (outcome,) = erp.submit([document])
    held = erp.lines("US Inc", [outcome.document_id])[outcome.document_id]
    assert compare(document, held) == []
    (stored,) = account.face.erp.documents()
    assert stored.entry.extra["currency"] == "USD", "posted in the company's currency, transaction amounts as fields"


def test_a_currency_that_netsuite_would_round_is_refused(account, monkeypatch):
    monkeypatch.setitem(EXPONENTS, "USD", 3)
    (outcome,) = account.adapter().submit([journal("k1", 12_345)])
    assert outcome.failure.failure_class == "mapping_missing"
    assert "digits of USD" in outcome.failure.message


# -- taking back -------------------------------------------------------------------------------------------------


def test_a_reversal_is_the_exact_negative_under_its_own_key_and_names_the_original(account):
    erp = account.adapter(reversal_field="custbody_ra_reverses")
    (outcome,) = erp.submit([journal("k1")])
    april = dt.date(2026, 4, 30)
    request = Reversal("r1", "US Inc", outcome.document_id, april, "2026-04", "corrected")
    back = erp.reverse(request)
    assert back.state == "posted"
    assert erp.reverse(request).document_id == back.document_id, "asked twice, there once"
    first, second = account.face.erp.documents()
    assert [(x.account, x.debit, x.credit) for x in second.entry.lines] == [
        (x.account, x.credit, x.debit) for x in first.entry.lines
    ]
    assert second.entry.text == f"Reversal of journal {outcome.number}: corrected"
    assert second.entry.extra["custbody_ra_reverses"] == outcome.document_id
    assert second.entry.date == "2026-04-30"
    assert first.entry.lines[0].debit == 12_000, "the original is as it was"
    missing = erp.reverse(replace(request, key="r2", document_id="99"))
    assert "no document 99" in missing.failure.message


def test_numbers_leave_as_digits_and_come_back_as_digits(account, erp):
    """Nothing between our minor units and the ledger passes through a float."""
    amount = 9_007_199_254_740_993  # 2**53 + 1: a double cannot hold it
    (outcome,) = erp.submit([journal("k1", amount, "JP Inc")])
    assert account.face.erp.documents()[0].entry.lines[0].debit == amount
    held = erp.lines("JP Inc", [outcome.document_id])[outcome.document_id]
    assert held.lines[0].debit == amount
    assert to_major(amount, 0) == Decimal(amount)
