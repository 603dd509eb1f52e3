"""What the company lives through: every kind of life occurs at the default size, and the story is told."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime

import pytest
from world_kit import ACCOUNTS, CUT_OFF, FUNCTIONAL, ZONES, by_id, day, everywhere, phases, records, world

DEFAULT = [(1, 300, 15), (7, 300, 15)]
PLANTED_KINDS = {
    "wrong_price", "won_without_subscription", "wrong_entity", "duplicate_invoice", "missing_invoice",
    "usage_not_invoiced", "duplicate_settlement", "payment_unapplied", "refund_without_credit_note",
    "payout_short_fee", "missing_tax_line", "tax_wrong_period", "manual_erp_journal", "altered_erp_journal",
}  # fmt: skip


@pytest.fixture(params=DEFAULT, ids=str, scope="module")
def company(request):
    return world(*request.param)


def test_sales_live_every_kind_of_life(company):
    kinds = Counter(row["kind"] for e in ACCOUNTS for rows in phases(company, e).values() for row in rows)
    assert kinds.keys() == {
        "new", "renewal", "upgrade", "downgrade", "quantity", "co_term", "backdated", "cancel",
    }  # fmt: skip
    assert min(kinds.values()) >= 3
    intervals = Counter(p["recurring"]["interval"] for _, p in everywhere(company, "price") if p["recurring"])
    assert intervals.keys() == {"month", "year"}
    stages = {o["StageName"] for o in company.objects["crm", "opportunity"]}
    assert stages >= {"Closed Won", "Closed Lost"}
    ended = Counter(s["status"] for _, s in everywhere(company, "subscription_schedule"))
    assert ended["completed"]
    assert ended["canceled"]
    assert ended["active"]


def test_backdated_changes_are_booked_in_the_month_after(company):
    found = 0
    for entity in ACCOUNTS:
        for schedule in records(company, entity, "subscription_schedule"):
            for phase in schedule["phases"]:
                if phase["metadata"]["amendment_kind"] != "backdated":
                    continue
                found += 1
                start = day(entity, phase["start_date"])
                booked = date.fromisoformat(phase["metadata"]["booked_at"][:10])
                assert (booked.year - start.year) * 12 + booked.month - start.month == 1
                invoices = [
                    i
                    for i in records(company, entity, "invoice")
                    if i["parent"]
                    and i["parent"]["subscription_details"]["subscription"] == schedule["subscription"]
                    and day(entity, i["created"]) == booked
                ]
                [invoice] = invoices
                assert {day(entity, line["period"]["start"]) for line in invoice["lines"]["data"]} == {start}
    assert found


def test_billing_and_cash_live_every_kind_of_life(company):
    invoices = [i for _, i in everywhere(company, "invoice")]
    assert {i["status"] for i in invoices} == {"paid", "open", "uncollectible", "void"}
    assert {i["billing_reason"] for i in invoices} == {
        "subscription_create", "subscription_cycle", "subscription_update", "manual",
    }  # fmt: skip
    assert {i["collection_method"] for i in invoices} == {"charge_automatically", "send_invoice"}
    assert any(i["total"] < 0 for i in invoices)
    assert any(i["starting_balance"] < 0 < i["total"] for i in invoices)
    assert any(i["total_discount_amounts"] for i in invoices)
    assert {(n["type"], n["reason"]) for _, n in everywhere(company, "credit_note")} == {
        ("pre_payment", "order_change"),
        ("post_payment", "order_change"),
        ("pre_payment", "product_unsatisfactory"),
        ("post_payment", "product_unsatisfactory"),
    }
    assert {d["status"] for _, d in everywhere(company, "dispute")} >= {"won", "lost"}
    charges = [c for _, c in everywhere(company, "charge")]
    assert any(0 < c["amount_refunded"] < c["amount"] for c in charges)
    assert {i["status"] for i in invoices if i["attempt_count"] > 1} >= {"paid", "open"}
    links = Counter(p["invoice"] for _, p in everywhere(company, "invoice_payment") if p["status"] == "paid")
    assert max(links.values()) == 2


def test_currencies_and_taxes(company):
    used = {(e, i["currency"]) for e, i in everywhere(company, "invoice")}
    assert used >= {("US", "usd"), ("US", "eur"), ("US", "cad"), ("UK", "gbp"), ("UK", "jpy"), ("DE", "eur")}
    converted = [t for _, t in everywhere(company, "balance_transaction") if t["exchange_rate"] is not None]
    assert {t["type"] for t in converted} >= {"charge", "refund"}
    assert {t["currency"] for _, t in everywhere(company, "balance_transaction")} == set(FUNCTIONAL.values())
    levels = {
        (d["country"], d["jurisType"])
        for document in company.objects["tax", "transaction"]
        for line in document["lines"]
        for d in line["details"]
    }
    assert levels == {("US", "State"), ("US", "County"), ("GB", "Country"), ("DE", "Country")}
    untaxed = [i for _, i in everywhere(company, "invoice") if i["total"] > 0 and not i["total_taxes"]]
    assert untaxed
    assert {d["status"] for d in company.objects["tax", "transaction"]} == {"Committed", "Cancelled"}


def test_cut_off_invoices_lie_shortly_before_local_midnight(company):
    """In New York that is the next day for everybody who reads UTC."""
    late = []
    for entity, invoice in everywhere(company, "invoice"):
        local = datetime.fromtimestamp(invoice["created"], ZONES[entity])
        if local.hour == 23:
            late.append(entity)
            assert (local.minute, local.second) == (30, 0)
            assert datetime.fromtimestamp(invoice["created"] + 3600, ZONES[entity]).day == 1
        else:
            assert 9 <= local.hour <= 15
    assert "US" in late


def test_every_kind_is_planted_more_than_once(company):
    planted = Counter(p["kind"] for p in company.ground_truth["planted"])
    assert planted.keys() == PLANTED_KINDS
    assert min(planted.values()) >= 2


def test_natural_timing_items_are_listed(company):
    kinds = Counter(n["kind"] for n in company.ground_truth["natural"] if n["open_at_cut_off"])
    assert kinds.keys() == {"payout_in_transit", "starts_after_cut_off", "usage_billed_after_cut_off"}


def story(made):
    [account] = [a for a in made.objects["crm", "account"] if a["Name"] == "Northwind Robotics"]
    return account["Id"]


def test_the_story_is_told(company):
    """Annual plans with metered overage in North America and EMEA, an upgrade, a third entity, one invoice for all."""
    account = story(company)
    kinds = {}
    consolidated = {}
    for entity in ACCOUNTS:
        [customer] = [
            c["id"] for c in records(company, entity, "customer") if c["metadata"]["salesforce_account_id"] == account
        ]
        for rows in phases(company, entity).values():
            subscription = rows[0]["subscription"]
            if subscription["customer"] == customer:
                metered = subscription["items"]["data"][0]["price"]["unit_amount"] is None
                kinds[entity, metered] = [row["kind"] for row in rows]
        for invoice in records(company, entity, "invoice"):
            if invoice["customer"] == customer and "consolidated_invoice_id" in invoice["metadata"]:
                consolidated.setdefault(invoice["metadata"]["consolidated_invoice_id"], set()).add(entity)
    assert kinds["US", False][:2] == ["new", "upgrade"]
    assert kinds["UK", False][0] == "new"
    assert kinds["DE", False][0] == "co_term"
    assert ("US", True) in kinds
    assert ("UK", True) in kinds
    assert {"US", "UK", "DE"} in consolidated.values()


def test_the_co_termed_company_starts_with_a_stub(company):
    account = story(company)
    prices = by_id(company, "DE", "price")
    [subscription] = [
        s for s in records(company, "DE", "subscription") if s["metadata"]["salesforce_account_id"] == account
    ]
    start, anchor = day("DE", subscription["start_date"]), day("DE", subscription["billing_cycle_anchor"])
    first = min(
        (i for i in records(company, "DE", "invoice") if i["customer"] == subscription["customer"]),
        key=lambda i: i["created"],
    )
    assert day("DE", first["created"]) == start < anchor <= CUT_OFF
    for line in first["lines"]["data"]:
        full = prices[line["pricing"]["price_details"]["price"]]["unit_amount"] * line["quantity"]
        assert line["parent"]["subscription_item_details"]["proration"]
        assert (day("DE", line["period"]["start"]), day("DE", line["period"]["end"])) == (start, anchor)
        assert 0 < line["amount"] < full


@pytest.mark.parametrize("months", [1, 2, 5, 11, 24])
def test_the_story_fits_any_horizon(months):
    made = world(4, 1, months)
    account = story(made)
    won = [o for o in made.objects["crm", "opportunity"] if o["AccountId"] == account and o["IsWon"]]
    assert {o["Legal_Entity__c"] for o in won} >= {"US", "UK"}
    assert ("DE" in {o["Legal_Entity__c"] for o in won}) == (months > 2)
