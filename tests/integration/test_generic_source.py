"""Read-back over the generic contracts: what lands is what the books hold, ours and everybody's, or nothing."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from generic_ledgers import KEY, NOW, STAGING, journal, moves, post, read
from sources_support import Lander

from demo.erp_emulators.behaviour import ALTERATIONS
from revenue_assets.domain.config import Company
from revenue_assets.posting.erp.port import Application, Customer, Journal, Line, Master
from revenue_assets.sources import catalogue
from revenue_assets.sources.base import Source
from revenue_assets.sources.generic_csv import GenericCsvSource
from revenue_assets.sources.generic_rest import GenericRestSource
from revenue_assets.sources.read_back import CONTRACTS


def test_a_posted_journal_lands_with_every_line(ledger):
    lines = (Line(1, "1100", 10_800, 0, "EUR", 10_000, "receivable"), Line(2, "2100", 0, 10_800, "USD", -10_800))
    post(ledger, journal(KEY, lines=lines))
    assert isinstance(ledger.source(), Source)
    (move,) = moves(ledger.source())
    assert {name: move[name] for name in ("description", "number", "state", "date", "period", "entity_id")} == {
        "description": KEY, "number": "J000001", "state": "posted", "date": "2026-03-31", "period": "2026-03",
        "entity_id": "US",
    }  # fmt: skip
    assert (move["company"], move["currency"], move["total_debit"], move["total_credit"]) == (
        "US Inc", "USD", "108.00", "108.00"
    )  # fmt: skip
    first, second = move["lines"]
    assert (first["account_code"], first["debit"], first["amount_second_currency"], first["second_currency"]) == (
        "1100", "108.00", "100.00", "EUR"
    )  # fmt: skip
    assert (second["credit"], second["second_currency"], second["customer_id"]) == ("108.00", None, None)


def test_staging_finds_every_field_it_reads(ledger):
    post(ledger, journal(KEY))
    for name, model in (("move", "moves"), ("account_balance", "account_balances"), ("period", "periods")):
        record = next(iter(read(list(ledger.source().pull(name, None, NOW))).values()))
        wanted = set(re.findall(r"'\$\.([a-z_]+)'", (STAGING / f"stg_erp__{model}.sql").read_text()))
        assert wanted
        assert wanted <= set(record)
        assert not set(CONTRACTS[name].required) - set(record)
    wanted = set(re.findall(r"'\$\.([a-z_]+)'", (STAGING / "stg_erp__move_lines.sql").read_text()))
    assert wanted == set(moves(ledger.source())[0]["lines"][0])


def test_people_drafts_and_other_companies(ledger):
    """What somebody entered has no key of ours and lands with its text; a draft as one; other companies do not."""
    post(ledger, journal(KEY), journal("other", company="UK Ltd"))
    held = ledger.face.erp.documents()[0].entry
    ledger.face.erp.ledger.add(replace(held, key="", text="Reclass by hand"), 0.0)
    ledger.face.erp.ledger.add(replace(held, key="draft", state="created"), 0.0)
    ledger.settle()
    found = {move["description"]: move["state"] for move in moves(ledger.source(US="US Inc"))}
    assert found == {KEY: "posted", "Reclass by hand": "posted", "draft": "created"}


def test_one_number_in_two_companies_is_two_journals(rest):
    """Ids are a company's own: two companies of one ledger may both have a journal 1."""
    post(rest, journal("k1"), journal("k2", company="UK Ltd"))

    def same_ids(request: httpx.Request, body: dict[str, Any]) -> None:
        for row in body.get("journals", ()):
            row["id"] = "1"

    rest.spoilt = same_ids
    assert set(read(list(rest.source().pull("move", None, NOW)))) == {"US:1", "UK:1"}


def test_a_journal_altered_after_posting_is_read_as_it_is_now(ledger):
    post(ledger, journal(KEY), journal("k2"))
    before, after = ledger.face.erp.documents()
    books = ledger.face.erp.ledger
    books.replace(before.id, replace(ALTERATIONS["cent"](before, ledger.face.erp.dice).entry, state="posted"))
    books.delete(after.id)
    ledger.settle()
    (move,) = moves(ledger.source())
    assert (move["description"], move["total_debit"]) == (KEY, "120.01")


def test_balances_are_exact_and_everybodys(ledger):
    big = 10**15 + 7
    post(ledger, journal("k1", big, "KW Co"), journal("k2", 5, "KW Co", dt.date(2026, 2, 28)))
    pages = list(ledger.source().pull("account_balance", None, NOW))
    rows = {(r["entity_id"], r["period"], r["account_code"]): r["balance"] for r in read(pages).values()}
    assert rows == {
        ("KW", "2026-03", "1100"): "1000000000000.007", ("KW", "2026-03", "2100"): "-1000000000000.007",
        ("KW", "2026-02", "1100"): "0.005", ("KW", "2026-02", "2100"): "-0.005",
    }  # fmt: skip
    assert pages[-1].complete


def test_periods_of_every_company_with_their_state(ledger):
    ledger.face.erp.ledger.set_period("US Inc", "2026-01", "closed")
    ledger.settle()
    found = read(list(ledger.source().pull("period", None, NOW)))
    states = {(r["entity_id"], r["name"]): r["state"] for r in found.values()}
    assert len(states) == 3 * 12
    assert [key for key, state in states.items() if state == "closed"] == [("US", "2026-01")]
    assert (found["US:2026-02"]["start_date"], found["US:2026-02"]["end_date"]) == ("2026-02-01", "2026-02-28")


def test_closed_periods_are_read_at_least_daily_and_open_ones_each_time(ledger):
    post(ledger, journal("k1", date=dt.date(2026, 1, 31)), journal("k2"))
    ledger.face.erp.ledger.set_period("US Inc", "2026-01", "closed")
    ledger.settle()
    pages = list(ledger.source().pull("move", None, NOW))
    assert (len(read(pages)), pages[-1].complete) == (2, True)
    cursor = pages[-1].cursor
    soon = list(ledger.source().pull("move", cursor, NOW + dt.timedelta(hours=23)))
    assert [m["description"] for m in read(soon).values()] == ["k2"]
    assert (soon[-1].complete, soon[-1].cursor) == (False, cursor)
    assert len(moves(ledger.source(), cursor, NOW + dt.timedelta(days=1))) == 2


def test_what_lands_passes_the_contract_and_lands_once(ledger, tmp_path):
    """A journal that was deleted in the ledger is gone after the next full reading."""
    post(ledger, journal(KEY), journal("k2"))
    lander, objects = Lander(tmp_path / "home"), ("move", "account_balance", "period")
    results = lander.land(ledger.source(), objects, NOW)
    assert {name: (r.rows_landed, r.rows_quarantined) for name, r in results.items()} == {
        "move": (2, 0), "account_balance": (2, 0), "period": (36, 0)
    }  # fmt: skip
    again = lander.land(ledger.source(), objects, NOW + dt.timedelta(hours=1))
    assert sum(r.rows_landed for r in again.values()) == 0
    ledger.face.erp.ledger.delete(ledger.face.erp.documents()[1].id)
    ledger.settle()
    lander.land(ledger.source(), objects, NOW + dt.timedelta(days=2))
    latest = lander.latest("erp", "move")
    assert [move["description"] for move in latest.values() if not move.get("deleted")] == [KEY]


def test_open_items_land_with_customer_number_and_what_they_settle(rest):
    """INV-1 is paid in part, INV-2 whole; a person's line without a customer is nobody's open item."""
    port, ada = rest.port(), Customer("cus_1", "Ada Ltd")
    port.ensure(
        [Master("customer", "US Inc", "cus_1", "Ada Ltd", "1100"), Master("item", "US Inc", "SEAT", "S", "2100")]
    )

    def line(number: int, account: str, amount: int, role: str, item: str | None = None) -> Line:
        return Line(number, account, max(amount, 0), max(-amount, 0), "USD", amount, role=role, item=item)

    def invoice(number: str) -> Journal:
        lines = line(1, "1100", 120_00, "accounts_receivable"), line(2, "2100", -120_00, "deferred_revenue", "SEAT")
        due = dt.date(2026, 4, 30)
        return journal(f"k-{number}", lines=lines, kind="invoice", customer=ada, reference=number, due_date=due)

    lines = line(1, "2200", 150_00, "cash"), line(2, "1100", -150_00, "accounts_receivable")
    parts = Application("INV-1", 20_00, "USD"), Application("INV-2", 120_00, "USD")
    paid = journal("k-paid", lines=lines, kind="cash_application", customer=ada, applies_to=parts)
    post(rest, paid, invoice("INV-1"), invoice("INV-2"), journal("k-hand"))
    found = {move["description"]: move for move in moves(rest.source())}
    assert {key: (move["document_kind"], move["reference"]) for key, move in found.items()} == {
        "k-INV-1": ("invoice", "INV-1"), "k-INV-2": ("invoice", "INV-2"), "k-paid": ("cash_application", None),
        "k-hand": (None, None),
    }  # fmt: skip
    shown = [
        (key, x["debit"], x["credit"], x["maturity_date"], x["is_reconciled"], x["settles"])
        for key, move in found.items()
        for x in move["lines"]
        if x["customer_id"] == "cus_1"
    ]
    assert sorted(shown, key=str) == [
        ("k-INV-1", "120.00", "0.00", "2026-04-30", False, None),
        ("k-INV-2", "120.00", "0.00", "2026-04-30", True, None),
        ("k-paid", "0.00", "10.00", None, False, None),
        ("k-paid", "0.00", "120.00", None, True, "INV-2"),
        ("k-paid", "0.00", "20.00", None, False, "INV-1"),
    ]


def test_config_makes_the_sources(monkeypatch, tmp_path):
    monkeypatch.setenv("ERP", "https://ledger.example.com")
    monkeypatch.setenv("TOKEN", "a-token")
    folder = Path(__file__).parents[2] / "config" / "demo"
    from revenue_assets.domain.config import Erp, load_company

    company: Company = load_company(folder)
    erp = Erp.model_validate({"vendor": "generic_rest", "base_url": "env:ERP", "credentials": {"token": "env:TOKEN"}})
    made = catalogue.read_back_source(company.model_copy(update={"erp": erp}))
    assert isinstance(made, GenericRestSource)
    assert isinstance(made, Source)
    monkeypatch.setenv("ERP", str(tmp_path))
    erp = Erp.model_validate({"vendor": "generic_csv", "base_url": "env:ERP"})
    assert isinstance(catalogue.read_back_source(company.model_copy(update={"erp": erp})), GenericCsvSource)
