"""Read-back over the emulated NetSuite account: what lands is what its ledger holds, ours and everybody's."""

from __future__ import annotations

import datetime as dt
import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from netsuite_account import COMPANIES, FOREIGN, Account, journal, running
from netsuite_details import ACME, adapter, credit_note, invoice, payment, posted, with_acme
from sources_support import Lander

from revenue_assets.domain.config_erp import NetSuiteDetails, NetSuiteOptions
from revenue_assets.landing.control import amounts_of
from revenue_assets.posting.erp.port import Line
from revenue_assets.sources.base import Page, Source, SourceError, SourceUnavailable
from revenue_assets.sources.netsuite import NetSuiteSource
from revenue_assets.sources.read_back import CONTRACTS

NOW = dt.datetime(2026, 11, 1, 6, 0, tzinfo=dt.UTC)
STAGING = Path(__file__).parents[2] / "dbt_project" / "models" / "staging" / "erp"
KEY = "0123456789abcdef0123456789abcdef"  # pragma: allowlist secret


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with running(tmp_path / "netsuite") as account:
        yield account


def source(account: Account, *, page_rows: int = 1000, details: bool = False, **companies: str) -> NetSuiteSource:
    known = {"details": NetSuiteDetails()} if details else {}
    options = NetSuiteOptions(account="TSTDRV1", algorithm="ES256", **known)
    known = companies or {name[:2]: name for name in COMPANIES}
    return NetSuiteSource("erp", account.url, account.certificate, options, known, page_rows=page_rows)


def read(pages: list[Page]) -> dict[str, dict]:
    """Record id -> value; no id twice in one pull."""
    records = [record for page in pages for record in page.records]
    found = {record.record_id: json.loads(record.raw) for record in records}
    assert len(found) == len(records)
    return found


def test_a_posted_journal_lands_with_every_line(account):
    lines = (Line(1, "1100", 10_800, 0, "EUR", 10_000, "receivable"), Line(2, "2100", 0, 10_800, "EUR", -10_000))
    (outcome,) = account.adapter(foreign_currency="native").submit([journal(KEY, lines=lines)])
    assert isinstance(source(account), Source)
    move = read(list(source(account).pull("move", None, NOW)))[outcome.document_id]
    assert (move["description"], move["number"], move["state"], move["period"]) == (
        KEY,
        outcome.number,
        "posted",
        "2026-03",
    )
    assert (move["entity_id"], move["company"], move["currency"], move["total_debit"]) == ("US", "US Inc", "USD", "108")
    first, second = move["lines"]
    assert (first["account_code"], first["debit"], first["second_currency"]) == ("1100", "108", "EUR")
    assert (second["credit"], second["amount_second_currency"]) == ("108", "-100")
    assert amounts_of(move, CONTRACTS["move"]) == {"total_debit": Decimal(108), "total_credit": Decimal(108)}


def test_staging_finds_every_field_it_reads(account):
    account.adapter().submit([journal(KEY)])
    for name, model in (("move", "moves"), ("account_balance", "account_balances"), ("period", "periods")):
        record = next(iter(read(list(source(account).pull(name, None, NOW))).values()))
        wanted = set(re.findall(r"'\$\.([a-z_]+)'", (STAGING / f"stg_erp__{model}.sql").read_text()))
        assert wanted
        assert wanted <= set(record)
        assert not set(CONTRACTS[name].required) - set(record)
    wanted = set(re.findall(r"'\$\.([a-z_]+)'", (STAGING / "stg_erp__move_lines.sql").read_text()))
    line = next(iter(read(list(source(account).pull("move", None, NOW))).values()))["lines"][0]
    assert wanted == set(line)


def test_people_and_drafts_and_other_companies(account):
    """A journal without our key lands with its memo; what awaits approval does not count and does not land."""
    erp = account.adapter(foreign_fields=FOREIGN)
    erp.submit([journal(KEY), journal("other", company="JP Inc")])
    account.face.approvals = True
    erp.submit([journal("pending")])
    manual = replace(account.face.erp.documents()[0].entry, key="", text="Reclass by hand")
    account.face.erp.ledger.add(manual, 0.0)
    moves = read(list(source(account, US="US Inc").pull("move", None, NOW)))
    assert sorted((m["description"], m["entity_id"]) for m in moves.values()) == [
        (KEY, "US"),
        ("Reclass by hand", "US"),
    ]


def test_balances_are_the_ledgers_own_and_exact(account):
    big = 10**15 + 7
    account.adapter().submit([journal("k1", big, "KW Inc"), journal("k2", 5, "KW Inc", dt.date(2026, 2, 28))])
    found = read(list(source(account).pull("account_balance", None, NOW)))
    rows = {(r["period"], r["account_code"]): r["balance"] for r in found.values()}
    assert rows == {
        ("2026-03", "1100"): "1000000000000.007", ("2026-03", "2100"): "-1000000000000.007",
        ("2026-02", "1100"): "0.005", ("2026-02", "2100"): "-0.005",
    }  # fmt: skip
    assert {r["currency"] for r in found.values()} == {"KWD"}


def test_periods_of_every_company_with_their_state(account):
    account.face.close_period("2026-01", "locked")
    found = read(list(source(account, US="US Inc", UK="UK Inc").pull("period", None, NOW)))
    states = {(r["entity_id"], r["name"]): (r["state"], r["type"]) for r in found.values()}
    assert states["UK", "2026-01"] == ("closed", "standard")
    assert states["US", "2026-02"] == ("open", "standard")
    assert states["US", "Adj 2026"] == ("open", "adjustment")
    assert len(states) == 2 * (24 + 2)


def test_closed_periods_are_read_at_least_daily(account):
    account.adapter().submit([journal("k1", date=dt.date(2026, 1, 31)), journal("k2")])
    account.face.close_period("2026-01")
    pages = list(source(account).pull("move", None, NOW))
    assert (len(read(pages)), pages[-1].complete) == (2, True)
    cursor = pages[-1].cursor
    soon = list(source(account).pull("move", cursor, NOW + dt.timedelta(hours=1)))
    assert [m["description"] for m in read(soon).values()] == ["k2"]
    assert not soon[-1].complete
    assert soon[-1].cursor == cursor
    assert len(read(list(source(account).pull("move", cursor, NOW + dt.timedelta(days=1))))) == 2


def test_pages_are_cut_and_none_is_lost(account):
    account.adapter().submit([journal(f"k{n}", 100 + n) for n in range(7)])
    whole = read(list(source(account).pull("move", None, NOW)))
    assert len(whole) == 7
    assert read(list(source(account, page_rows=3).pull("move", None, NOW))) == whole


def test_what_lands_passes_the_contract(account, tmp_path):
    account.adapter().submit([journal(KEY)])
    results = Lander(tmp_path).land(source(account), ("move", "account_balance", "period"), NOW)
    assert {name: (r.rows_landed, r.rows_quarantined) for name, r in results.items()} == {
        "move": (1, 0), "account_balance": (2, 0), "period": (5 * 26, 0)
    }  # fmt: skip


def test_what_cannot_be_read_is_said(account):
    with pytest.raises(SourceError, match="0 subsidiaries for 'Nowhere'"):
        list(source(account, XX="Nowhere").pull("move", None, NOW))
    with pytest.raises(SourceError, match="no object"):
        list(source(account).pull("invoice", None, NOW))
    account.face.may_query = False
    with pytest.raises(SourceError, match="refused"):
        list(source(account).pull("move", None, NOW))
    account.face.may_query, account.face.erp.down = True, True
    with pytest.raises(SourceUnavailable):
        list(source(account).pull("move", None, NOW))


# -- open items --------------------------------------------------------------------------------------------------


def receivables(account: Account, cursor: dict | None = None, now: dt.datetime = NOW) -> list[tuple]:
    """(kind, reference, settles, debit less credit, reconciled, due) of every landed line on the receivable."""
    moves = read(list(source(account, details=True).pull("move", cursor, now))).values()
    return sorted(
        (
            m["document_kind"] or "", m["reference"] or "", line["settles"] or "",
            f"{Decimal(line['debit']) - Decimal(line['credit']):.2f}", line["is_reconciled"],
            line["maturity_date"] or "",
        )
        for m in moves
        for line in m["lines"]
        if line["account_code"] == "1100"
    )  # fmt: skip


def test_open_items_land_by_invoice(account):
    """One payment for two invoices and more than them; a credit note for a part: each says what it settles."""
    erp = with_acme(account)
    posted(erp, invoice("INV-1"), invoice("INV-2"), credit_note("CN-1", 20_02, ("INV-1", 20_02)))
    posted(erp, payment(130_00, ("INV-1", 100_00), ("INV-2", 20_02)))
    assert receivables(account) == [
        ("", "", "", "-9.98", False, ""),
        ("", "", "INV-1", "-100.00", True, ""),
        ("", "", "INV-2", "-20.02", False, ""),
        ("credit_note", "CN-1", "INV-1", "-20.02", True, ""),
        ("invoice", "INV-1", "", "120.02", True, "2026-04-30"),
        ("invoice", "INV-2", "", "120.02", False, "2026-04-30"),
    ]
    moves = read(list(source(account, details=True).pull("move", None, NOW))).values()
    lines = [line for m in moves for line in m["lines"]]
    assert {line["customer_id"] for line in lines if line["account_code"] == "1100"} == {ACME.id}
    assert {line["customer_id"] for line in lines if line["account_code"] != "1100"} == {None}
    assert len({(m["id"], line["id"]) for m in moves for line in m["lines"]}) == len(lines)
    for m in moves:
        assert Decimal(m["total_debit"]) == Decimal(m["total_credit"])
        assert amounts_of(m, CONTRACTS["move"])["total_debit"] == sum(Decimal(x["debit"]) for x in m["lines"])


def test_a_payment_carried_by_a_credit_memo_lands_as_a_payment(account):
    with_acme(account)
    erp = adapter(account, payments_of_many_accounts="credit_memo")
    posted(erp, invoice("INV-1"), payment(20_02, ("INV-1", 20_02), fee=1_00))
    assert receivables(account)[0] == ("", "", "INV-1", "-20.02", False, "")


def test_an_invoice_of_a_closed_period_that_is_paid_now_is_read_again(account):
    erp = with_acme(account)
    early = replace(invoice("INV-1"), accounting_date=dt.date(2026, 1, 31), period="2026-01")
    other = replace(invoice("INV-2"), accounting_date=dt.date(2026, 2, 28), period="2026-02")
    posted(erp, early, other)
    cursor = list(source(account, details=True).pull("move", None, NOW))[-1].cursor
    for month in ("2026-01", "2026-02"):
        account.face.close_period(month)
    soon = NOW + dt.timedelta(hours=1)
    assert receivables(account, cursor, soon) == [], "nothing moved"
    posted(erp, payment(120_02, ("INV-1", 120_02)))
    assert receivables(account, cursor, soon) == [
        ("", "", "INV-1", "-120.02", True, ""), ("invoice", "INV-1", "", "120.02", True, "2026-04-30")
    ]  # fmt: skip


def test_what_people_settled_lands_too(account):
    """A payment typed in NetSuite against our invoice, and an invoice of theirs to a customer without our id."""
    erp = with_acme(account)
    posted(erp, invoice("INV-1"), payment(20_02, ("INV-1", 20_02)))
    ledger = account.face.erp.ledger
    typed = replace(ledger.documents()[1].entry, key="", text="Wire")
    ledger.add(typed, 0.0)
    theirs = account.face.parties.add("customer", {"companyName": "Walk-in", "subsidiary": {"id": "1"}})
    bill = ledger.documents()[0].entry
    ledger.add(replace(bill, key="", extra={**bill.extra, "entity": theirs.id, "otherrefnum": None}), 0.0)
    assert ("", "", "INV-1", "-20.02", False, "") in receivables(account)
    moves = read(list(source(account, details=True).pull("move", None, NOW)))
    assert moves["3"]["description"] == "Wire"
    assert (moves["4"]["reference"], {x["customer_id"] for x in moves["4"]["lines"]}) == (None, {None})


def test_open_items_pass_the_contract_and_the_staging_fields(account, tmp_path):
    erp = with_acme(account)
    posted(erp, invoice("INV-1"), payment(20_02, ("INV-1", 20_02)))
    result = Lander(tmp_path).land(source(account, details=True), ("move",), NOW)["move"]
    assert (result.rows_landed, result.rows_quarantined) == (2, 0)
    wanted = set(re.findall(r"'\$\.([a-z_]+)'", (STAGING / "stg_erp__move_lines.sql").read_text()))
    for move in read(list(source(account, details=True).pull("move", None, NOW))).values():
        assert all(set(line) == wanted for line in move["lines"])


def test_open_amounts_add_up_as_the_account_has_them(account):
    """By invoice, what lands unreconciled is what NetSuite has open: a seeded mix of parts, wholes and rests."""
    erp, dice = with_acme(account), random.Random(7)
    numbers = [f"INV-{n}" for n in range(5)]
    posted(erp, *(invoice(number) for number in numbers))
    left = dict.fromkeys(numbers, 120_02)
    settling = []
    for n in range(5):
        chosen = [number for number in dice.sample(numbers, 2) if left[number]]
        parts = [(number, dice.choice((left[number], dice.randint(1, left[number])))) for number in chosen]
        for number, amount in parts:
            left[number] -= amount
        total = sum(amount for _, amount in parts) + dice.choice((0, 5))
        if total:
            settling.append(payment(total, *parts) if dice.random() < 0.6 else credit_note(f"CN-{n}", total, *parts))
    posted(erp, *settling)
    landed: dict[str, Decimal] = {}
    for kind, reference, settles, amount, is_reconciled, _ in receivables(account):
        number = settles or (reference if kind == "invoice" else "")
        landed[number] = landed.get(number, Decimal(0)) + (0 if is_reconciled else Decimal(amount))
    assert {number: landed[number] for number in numbers} == {n: Decimal(x) / 100 for n, x in left.items()}
    assert 0 < sum(not x for x in left.values()) < len(numbers), "some are paid, some are open"
