"""Conservation inside each system: documents add up, cash is conserved, the tax engine agrees with the invoices."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime
from decimal import Decimal

import pytest
from world_kit import (
    ACCOUNTS,
    FUNCTIONAL,
    SIZES,
    ZONES,
    by_id,
    day,
    everywhere,
    grouped,
    half_up,
    minor,
    records,
    references,
    world,
)

pytestmark = pytest.mark.parametrize("size", SIZES)


def taxes_of(line) -> int:
    return sum(t["amount"] for t in line["taxes"])


def test_invoices_add_up(size):
    for _, invoice in everywhere(world(*size), "invoice"):
        lines = invoice["lines"]["data"]
        discount = sum(d["amount"] for line in lines for d in line["discount_amounts"])
        assert invoice["subtotal"] == sum(line["amount"] for line in lines)
        assert invoice["total_excluding_tax"] == invoice["subtotal"] - discount
        assert invoice["total"] == invoice["total_excluding_tax"] + sum(map(taxes_of, lines))
        assert sum(t["amount"] for t in invoice["total_taxes"]) == sum(map(taxes_of, lines))
        applied = invoice["ending_balance"] - invoice["starting_balance"]
        due = invoice["total"] - applied - invoice["pre_payment_credit_notes_amount"]
        assert invoice["amount_due"] == due
        assert invoice["amount_remaining"] == due - invoice["amount_paid"]
        assert (invoice["status"] == "paid") == (invoice["amount_remaining"] == 0)


def test_line_taxes_are_their_rates_on_the_net_amount(size):
    made = world(*size)
    for entity in ACCOUNTS:
        rates = by_id(made, entity, "tax_rate")
        for invoice in records(made, entity, "invoice"):
            for line in invoice["lines"]["data"]:
                net = line["amount"] - sum(d["amount"] for d in line["discount_amounts"])
                for tax in line["taxes"]:
                    rate = Decimal(str(rates[tax["tax_rate_details"]["tax_rate"]]["percentage"]))
                    assert tax["taxable_amount"] == net
                    assert tax["amount"] == half_up(net * rate / 100)


def test_stored_credit_is_carried_from_invoice_to_invoice(size):
    made = world(*size)
    for entity in ACCOUNTS:
        invoices = grouped(records(made, entity, "invoice"), "customer")
        for customer in records(made, entity, "customer"):
            balance = 0
            for invoice in sorted(invoices[customer["id"]], key=lambda i: (i["created"], i["number"])):
                assert invoice["starting_balance"] == balance
                balance = invoice["ending_balance"]
                assert balance <= 0
            assert customer["balance"] == balance


def test_invoice_payments_explain_what_was_paid(size):
    made = world(*size)
    for entity in ACCOUNTS:
        paid: dict[str, int] = defaultdict(int)
        charges = grouped([c for c in records(made, entity, "charge") if c["paid"]], "payment_intent")
        for link in records(made, entity, "invoice_payment"):
            found = charges[link["payment"]["payment_intent"]]
            if link["status"] != "paid":
                assert not found
                continue
            assert [c["amount"] for c in found] == [link["amount_paid"]]
            paid[link["invoice"]] += link["amount_paid"]
        for invoice in records(made, entity, "invoice"):
            assert invoice["amount_paid"] == paid[invoice["id"]]
        linked = {link["payment"]["payment_intent"] for link in records(made, entity, "invoice_payment")}
        alone = {c["id"] for group in charges.values() for c in group if c["payment_intent"] not in linked}
        planted = references(made, "payment_unapplied") | references(made, "duplicate_settlement")
        assert alone == planted & {c["id"] for c in records(made, entity, "charge")}


def test_each_movement_has_its_own_balance_transaction(size):
    made = world(*size)
    for entity in ACCOUNTS:
        txns = by_id(made, entity, "balance_transaction")
        users: Counter[str] = Counter()
        owners = {}
        for name, sign in (("charge", 1), ("refund", -1), ("payout", -1)):
            for record in records(made, entity, name):
                if record["balance_transaction"] is None:
                    assert record["status"] == "failed"
                    continue
                txn = txns[record["balance_transaction"]]
                users[txn["id"]] += 1
                owners.setdefault(txn["id"], record["id"])
                amount = Decimal(sign * record["amount"])
                if txn["exchange_rate"] is not None:
                    assert record["currency"] != FUNCTIONAL[entity]
                    places = (0 if FUNCTIONAL[entity] == "jpy" else 2) - (0 if record["currency"] == "jpy" else 2)
                    amount = (amount * Decimal(str(txn["exchange_rate"]))).scaleb(places)
                assert txn["amount"] == half_up(amount)
        for dispute in records(made, entity, "dispute"):
            for txn in dispute["balance_transactions"]:
                users[txn["id"]] += 1
                assert txns[txn["id"]] == txn
                assert abs(txn["amount"]) == dispute["amount"]
        assert set(users) == set(txns)
        twice = {t for t, n in users.items() if n > 1}
        assert len(twice) == len(references(made, "duplicate_settlement") & set(by_id(made, entity, "charge")))
        for txn in txns.values():
            assert txn["net"] == txn["amount"] - txn["fee"]
            assert txn["fee"] == sum(f["amount"] for f in txn["fee_details"])
            assert txn["currency"] == FUNCTIONAL[entity]


def test_refunds_and_credit_notes_agree(size):
    made = world(*size)
    for entity in ACCOUNTS:
        refunds = by_id(made, entity, "refund")
        for charge in records(made, entity, "charge"):
            if charge["id"] in references(made, "duplicate_settlement"):
                continue
            given = sum(r["amount"] for r in refunds.values() if r["charge"] == charge["id"])
            assert charge["amount_refunded"] == given <= charge["amount"]
        invoices = by_id(made, entity, "invoice")
        lines = {line["id"]: line for i in invoices.values() for line in i["lines"]["data"]}
        named, post, pre = set(), Counter(), Counter()
        for note in records(made, entity, "credit_note"):
            net = sum(line["amount"] for line in note["lines"]["data"])
            tax = sum(taxes_of(line) for line in note["lines"]["data"])
            assert note["total"] == net + tax == note["pre_payment_amount"] + note["post_payment_amount"]
            for line in note["lines"]["data"]:
                original = lines[line["invoice_line_item"]]
                assert original["invoice"] == note["invoice"]
                assert 0 < line["amount"] <= original["amount"]
                assert taxes_of(line) <= taxes_of(original)
            for refund in note["refunds"]:
                named.add(refund["refund"])
                assert refunds[refund["refund"]]["amount"] == refund["amount_refunded"]
            assert sum(r["amount_refunded"] for r in note["refunds"]) == note["post_payment_amount"]
            post[note["invoice"]] += note["post_payment_amount"]
            pre[note["invoice"]] += note["pre_payment_amount"]
        assert set(refunds) - named == references(made, "refund_without_credit_note") & set(refunds)
        for invoice in invoices.values():
            assert invoice["post_payment_credit_notes_amount"] == post[invoice["id"]]
            assert invoice["pre_payment_credit_notes_amount"] == pre[invoice["id"]]


def test_payouts_are_the_sum_of_their_members(size):
    made = world(*size)
    short = {s["reference"]: p["amount_minor"] for p in made.ground_truth["planted"] for s in p["signals"]
             if p["kind"] == "payout_short_fee"}  # fmt: skip
    for entity in ACCOUNTS:
        txns = by_id(made, entity, "balance_transaction")
        members = records(made, entity, "payout_member")
        assert max(Counter(m["balance_transaction"] for m in members).values(), default=1) == 1
        groups = grouped(members, "payout")
        for payout in records(made, entity, "payout"):
            nets = [txns[m["balance_transaction"]] for m in groups[payout["id"]]]
            assert payout["amount"] == sum(t["net"] for t in nets) - short.get(payout["id"], 0)
            assert all(t["available_on"] <= payout["created"] for t in nets)
            assert payout["amount"] > 0


def test_balance_report_is_the_running_sum(size):
    """At each local month's end: all nets so far, less what short payouts lost on the way."""
    made = world(*size)
    short = {s["reference"]: p["amount_minor"] for p in made.ground_truth["planted"] for s in p["signals"]
             if p["kind"] == "payout_short_fee"}  # fmt: skip
    for entity in ACCOUNTS:
        reports = records(made, entity, "balance_report")
        assert len(reports) == made.months
        previous = "0.00"
        for report in sorted(reports, key=lambda r: r["period"]):
            balance = sum(
                t["net"]
                for t in records(made, entity, "balance_transaction")
                if f"{day(entity, t['created']):%Y-%m}" <= report["period"]
            )
            for payout in records(made, entity, "payout"):
                if f"{day(entity, payout['created']):%Y-%m}" <= report["period"]:
                    balance -= short.get(payout["id"], 0)
            assert minor(report["ending_balance"], report["currency"]) == balance
            assert report["starting_balance"] == previous
            assert report["id"] == f"{report['period']}:{FUNCTIONAL[entity]}"
            previous = report["ending_balance"]


def test_bank_lines_are_the_payouts_that_arrived(size):
    made = world(*size)
    rows = {(row[0], row[7]): row for row in made.bank_lines}
    assert len(rows) == len(made.bank_lines)
    open_items = {s["reference"] for n in made.ground_truth["natural"] for s in n["signals"]
                  if n["kind"] == "payout_in_transit" and n["open_at_cut_off"]}  # fmt: skip
    for entity, payout in everywhere(made, "payout"):
        row = rows.pop((entity, payout["id"]), None)
        assert (row is None) == (payout["id"] in open_items)
        if row is not None:
            assert minor(row[5], row[6]) == payout["amount"]
            assert row[4] > f"{day(entity, payout['created'])}"
    assert not rows


def test_tax_engine_agrees_with_invoices_and_notes(size):
    made = world(*size)
    documents = {d["code"]: d for d in made.objects["tax", "transaction"]}
    hidden, moved = references(made, "missing_tax_line"), references(made, "tax_wrong_period")
    for name, sign in (("invoice", 1), ("credit_note", -1)):
        for entity, record in everywhere(made, name):
            document = documents.pop(record["id"])
            lines = record["lines"]["data"]
            tax = sign * sum(map(taxes_of, lines))
            stated = [minor(d["tax"], record["currency"]) for line in document["lines"] for d in line["details"]]
            assert document["companyCode"] == entity
            assert document["type"] == ("SalesInvoice" if sign == 1 else "ReturnInvoice")
            assert minor(document["totalTax"], record["currency"]) == sum(stated)
            assert (sum(stated) == tax) == (record["id"] not in hidden)
            assert (document["status"] == "Cancelled") == (record["status"] == "void")
            local = day(entity, record["created"])
            assert (document["date"] == local.isoformat()) == (record["id"] not in moved)
            if record["id"] not in hidden:
                per_line = [minor(line["tax"], record["currency"]) for line in document["lines"]]
                assert per_line == [sign * taxes_of(line) for line in lines]
    assert not documents


def test_service_windows_are_local_midnights(size):
    for entity, invoice in everywhere(world(*size), "invoice"):
        for line in invoice["lines"]["data"]:
            if line["parent"]["type"] == "subscription_item_details":
                for edge in line["period"].values():
                    local = datetime.fromtimestamp(edge, ZONES[entity])
                    assert (local.hour, local.minute, local.second) == (0, 0, 0)


def test_every_document_currency_has_a_rate_on_every_day(size):
    made = world(*size)
    spot = {(r[0], r[1], r[3]) for r in made.fx_rates if r[4] == "spot"}
    closing = {(r[0], r[1], r[3][:7]) for r in made.fx_rates if r[4] == "closing"}
    for entity, invoice in everywhere(made, "invoice"):
        if invoice["currency"] != FUNCTIONAL[entity]:
            local = day(entity, invoice["created"]).isoformat()
            assert (entity, invoice["currency"].upper(), local) in spot
            assert (entity, invoice["currency"].upper(), local[:7]) in closing
