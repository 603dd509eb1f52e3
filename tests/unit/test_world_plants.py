"""Plants are consistent in every system, keep apart from each other, and the truth about them is exact."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from world_kit import SIZES, by_id, day, everywhere, minor, records, references, world

from demo.world.truth import add_signals, expected_signals, load_erp_plants, load_truth

WORLDS = [*SIZES[1:], (7, 300, 15)]


@pytest.fixture(params=WORLDS, ids=str, scope="module")
def company(request):
    return world(*request.param)


def hosts(made):
    """(plant kind, owner) -> owner is whatever of the company the signal's reference leads to: account ids."""
    owner = {o["Id"]: o["AccountId"] for o in made.objects["crm", "opportunity"]}
    accounts = {c["id"]: c["metadata"]["salesforce_account_id"] for _, c in everywhere(made, "customer")}
    for name in ("invoice", "charge", "subscription"):
        owner |= {r["id"]: accounts[r["customer"]] for _, r in everywhere(made, name)}
    owner |= {r["id"]: owner[r["charge"]] for _, r in everywhere(made, "refund")}
    for plant in made.ground_truth["planted"]:
        for signal in plant["signals"]:
            reference = signal["reference"].split(":")[0]
            if not reference.startswith("po_"):
                yield plant, owner[reference]


def test_the_story_customer_hosts_nothing(company):
    [story] = [a["Id"] for a in company.objects["crm", "account"] if a["Name"] == "Northwind Robotics"]
    assert story not in {account for _, account in hosts(company)}


def test_plants_of_a_large_company_keep_to_their_own_customers():
    made = world(7, 300, 15)
    owners = {}
    for plant, account in hosts(made):
        owners.setdefault(account, set()).add(plant["id"])
    assert {len(ids) for ids in owners.values()} == {1}


def test_no_reference_is_planted_twice(company):
    pairs = Counter((s["recon"], s["reference"]) for p in company.ground_truth["planted"] for s in p["signals"])
    assert max(pairs.values()) == 1
    natural = {(s["recon"], s["class"], s["reference"]) for n in company.ground_truth["natural"] for s in n["signals"]}
    planted = {(s["recon"], s["class"], s["reference"]) for p in company.ground_truth["planted"] for s in p["signals"]}
    assert not natural & planted


def test_owners_follow_the_reconciliations(company):
    owners = {(s["recon"], s["owner"]) for p in company.ground_truth["planted"] for s in p["signals"]}
    assert owners <= {
        ("R1", "RevOps"), ("R2", "Billing ops"), ("R3", "Billing ops"), ("R5", "Payments"), ("R6", "AR"),
        ("R7", "Treasury"), ("R9", "Treasury"), ("R13", "Tax"),
    }  # fmt: skip


def quoted_prices(made, opportunity):
    """Net unit prices of the recurring lines of an opportunity's accepted quote, by product."""
    [quote] = [
        q["Id"]
        for q in made.objects["crm", "quote"]
        if q["SBQQ__Opportunity2__c"] == opportunity and q["SBQQ__Primary__c"]
    ]
    return {
        line["SBQQ__ProductCode__c"]: line["SBQQ__NetPrice__c"]
        for line in made.objects["crm", "quote_line"]
        if line["SBQQ__Quote__c"] == quote and line["SBQQ__ChargeType__c"] == "Recurring"
    }


def test_wrong_price_is_wrong_everywhere_but_in_the_crm(company):
    """Platform prices differ from the quote on the subscription and on every invoice; seat prices do not."""
    for plant in company.ground_truth["planted"]:
        if plant["kind"] != "wrong_price":
            continue
        entity, compared = plant["entity"], Counter()
        prices = by_id(company, entity, "price")
        for reference in [s["reference"] for s in plant["signals"]]:
            quoted = quoted_prices(company, reference)
            for invoice in records(company, entity, "invoice"):
                if invoice["metadata"]["salesforce_opportunity_id"] != reference:
                    continue
                for line in invoice["lines"]["data"]:
                    price = prices[line["pricing"]["price_details"]["price"]]
                    code = price["metadata"]["product_code"]
                    if code not in quoted:
                        continue
                    assert line["pricing"]["unit_amount_decimal"] == price["unit_amount_decimal"]
                    same = price["unit_amount"] == minor(quoted[code], price["currency"])
                    assert same == code.startswith("SEAT")
                    compared[same] += 1
        assert compared[False]


def test_wrong_entity_lives_in_one_account_only(company):
    sold = {o["Id"]: o["Legal_Entity__c"] for o in company.objects["crm", "opportunity"]}
    for reference in references(company, "wrong_entity"):
        billed = {
            entity
            for entity, schedule in everywhere(company, "subscription_schedule")
            for phase in schedule["phases"]
            if phase["metadata"]["salesforce_opportunity_id"] == reference
        }
        assert len(billed) == 1
        assert sold[reference] not in billed
        [customer] = {
            s["customer"] for _, s in everywhere(company, "subscription")
            if s["metadata"]["salesforce_opportunity_id"] == reference
        } or [None]  # fmt: skip
        codes = {
            d["companyCode"]
            for _, i in everywhere(company, "invoice")
            for d in company.objects["tax", "transaction"]
            if i["customer"] == customer and d["code"] == i["id"]
        }
        assert codes <= billed


def test_missing_invoices_left_no_trace(company):
    """No invoice, no tax document and no cash for the month; the months around it are there."""
    for plant in company.ground_truth["planted"]:
        if plant["kind"] != "missing_invoice":
            continue
        items = {s["reference"] for s in plant["signals"]}
        [subscription] = {item.split(":")[0] for item in items}
        months = Counter(
            f"{day(plant['entity'], i['created']):%Y-%m}"
            for i in records(company, plant["entity"], "invoice")
            if i["parent"]
            and i["parent"]["subscription_details"]["subscription"] == subscription
            and i["billing_reason"] == "subscription_cycle"
        )
        assert plant["period"] not in months


def test_second_invoices_are_open_and_taxed(company):
    for entity, invoice in everywhere(company, "invoice"):
        if invoice["id"] not in references(company, "duplicate_invoice"):
            continue
        assert invoice["status"] == "open"
        assert invoice["amount_paid"] == 0
        lines = [line for line in invoice["lines"]["data"] if line["amount"]]
        twins = [
            i
            for i in records(company, entity, "invoice")
            if i["id"] != invoice["id"]
            and i["customer"] == invoice["customer"]
            and {line["period"]["start"] for line in lines} <= {x["period"]["start"] for x in i["lines"]["data"]}
            and day(entity, i["created"]).toordinal() == day(entity, invoice["created"]).toordinal() - 1
        ]
        assert len(twins) == 1
        assert any(d["code"] == invoice["id"] for d in company.objects["tax", "transaction"])


def test_untaxed_invoices_are_collected_without_tax(company):
    for entity, invoice in everywhere(company, "invoice"):
        if invoice["id"] in references(company, "missing_tax_line"):
            [document] = [d for d in company.objects["tax", "transaction"] if d["code"] == invoice["id"]]
            assert document["totalTax"] > 0
            assert invoice["total"] == invoice["total_excluding_tax"]
            assert not invoice["total_taxes"]
            assert invoice["amount_due"] in (invoice["amount_paid"], invoice["amount_remaining"])
            [plant] = [
                p for p in company.ground_truth["planted"] if any(s["reference"] == invoice["id"] for s in p["signals"])
            ]
            assert minor(document["totalTax"], invoice["currency"]) == plant["amount_minor"]
            assert plant["entity"] == entity


def test_unapplied_payments_match_no_invoice(company):
    for entity, charge in everywhere(company, "charge"):
        if charge["id"] in references(company, "payment_unapplied"):
            amounts = {
                i[k]
                for i in records(company, entity, "invoice")
                if i["customer"] == charge["customer"]
                for k in ("total", "amount_due", "amount_paid")
            }
            assert charge["amount"] not in amounts
            assert charge["status"] == "succeeded"


def test_second_settlements_use_the_first_s_transaction(company):
    for entity, charge in everywhere(company, "charge"):
        if charge["id"] in references(company, "duplicate_settlement"):
            users = [
                c
                for c in records(company, entity, "charge")
                if c["balance_transaction"] == charge["balance_transaction"]
            ]
            assert len(users) == 2
            first = min(users, key=lambda c: c["created"])
            assert first["id"] != charge["id"]
            assert first["payment_intent"] != charge["payment_intent"]


def test_short_payouts_are_one_per_account(company):
    plants = [p for p in company.ground_truth["planted"] if p["kind"] == "payout_short_fee"]
    assert plants
    assert len({p["entity"] for p in plants}) == len(plants)
    for plant in plants:
        assert [(s["recon"], s["class"]) for s in plant["signals"]] == [("R7", "fee"), ("R9", "fee")]


def test_erp_plants_are_instructions_that_balance(company):
    places = [(p["entity"], p["month"]) for p in company.erp_plants]
    assert places
    assert len(set(places)) == len(places)
    planted = {p["id"]: p for p in company.ground_truth["planted"]}
    active = {(e, f"{day(e, i['created']):%Y-%m}") for e, i in everywhere(company, "invoice")}
    for plant in company.erp_plants:
        assert (plant["entity"], plant["month"]) in active
        assert planted[plant["id"]]["signals"] == []
        assert planted[plant["id"]]["kind"] == plant["kind"]
        if plant["kind"] == "manual_erp_journal":
            assert sum(x["debit_minor"] - x["credit_minor"] for x in plant["lines"]) == 0
            assert plant["date"].startswith(plant["month"])
        else:
            assert plant["delta_minor"] > 0
            assert ["R16", "amount"] in plant["expect"]


def test_references_of_erp_plants_are_added_once(tmp_path):
    world(2, 12, 4).write(tmp_path)
    plant = load_erp_plants(tmp_path)[0]
    added = expected_signals(plant, "MV-17")
    add_signals(tmp_path, plant["id"], added)
    add_signals(tmp_path, plant["id"], added)
    [entry] = [p for p in load_truth(tmp_path)["planted"] if p["id"] == plant["id"]]
    assert entry["signals"] == [
        {"recon": "R11", "class": "manual_erp_journal", "owner": "Revenue accounting", "reference": "MV-17"},
        {"recon": "R12", "class": "manual_erp_journal", "owner": "Revenue accounting", "reference": "MV-17"},
    ]
    assert json.loads((tmp_path / "ground_truth.json").read_text())["seed"] == 2
    with pytest.raises(KeyError):
        add_signals(tmp_path, "no-such-plant", [])
