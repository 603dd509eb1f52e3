"""Documents of their own, enriched dimensions, changed accounts: what the real cut makes of them."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from store_kit import ACCOUNTS, AS_OF, House, entry, invoice, recognition

from revenue_assets.posting.batches import CutReport, cut
from revenue_assets.posting.booking import book
from revenue_assets.posting.erp.documents import unfit
from revenue_assets.posting.erp.port import Capabilities
from revenue_assets.posting.steps import journal_of
from revenue_assets.store import exceptions, outbox

AS_OF_INSTANT = dt.datetime(2026, 4, 1)  # noqa: DTZ001 (naive UTC, as the store keeps it)

DETAIL = [
    {"event_class": name, "set": {"posting_kind": "detail"}}
    for name in ("invoice.posted", "credit_note.issued", "payment.settled")
]
ITEMS = [{"product_family": "platform", "item": "SAAS-P", "values": {"department": "100"}}]
RECEIVABLE, DEFERRED, TAX = "accounts_receivable", "deferred_revenue", "tax_liability"
EVERYTHING = Capabilities(
    vendor="x", mode="sync", key_length_max=40, key_unique=True, atomic_unit="document", batch_size_max=10,
    writer_scope="company", posts_itself=False, settle_seconds=0.0,
    kinds=frozenset({"journal", "invoice", "credit_note", "cash_application"}),
)  # fmt: skip


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House.build(tmp_path)
    house.write_posting(posting=DETAIL, items=ITEMS)
    return house


def sold(key: str, date: str, net: int, tax: int, **more: Any) -> list[dict[str, Any]]:
    """An invoice with one line of family platform and its tax."""
    lines = entry(key, date, (RECEIVABLE, net + tax), (DEFERRED, -net), (TAX, -tax), document=f"in_{key}", **more)
    for line in lines[1:]:
        line |= {"product_family": "platform", "document_line_id": f"li_{key}"}
    lines[2] |= {"tax_code": "P1", "jurisdiction": "US-CA"}
    return lines


def settled(key: str, date: str, of: str, amount: int, event: str, kind: str) -> list[dict[str, Any]]:
    """A payment of, or credit on, an invoice: the receivable line names the invoice, as the subledger has it."""
    other = "cash" if event.startswith("payment") else "revenue"
    lines = entry(key, date, (other, amount), (RECEIVABLE, -amount), event=event, document=f"{kind}_{key}")
    lines[0]["document_type"] = kind
    lines[1]["document_id"] = of
    return lines


def run(house: House, **more: Any) -> CutReport:
    with duckdb.connect(str(house.warehouse)) as connection:
        connection.execute("""
            create schema if not exists canonical;
            create or replace table canonical.can_invoices as
                select 'US' as entity_id, 'in_a' as invoice_id, 'INV-7' as number, date '2026-02-04' as due_date;
            create or replace table canonical.can_customers as
                select 'cus_1' as customer_id, 'Ada Ltd' as name, 'DE' as country;
        """)
    book(house.store, house.journal, house.warehouse, house.state, AS_OF)
    return cut(house.store, house.journal, house.state, AS_OF, tenant="t", warehouse=house.warehouse, **more)


def documents(house: House) -> list[dict[str, Any]]:
    return [json.loads(b["document_json"]) for b in outbox.all_batches(house.store)]


def by_kind(house: House) -> dict[str, dict[str, Any]]:
    return {d.get("kind", "journal"): d for d in documents(house)}


def test_events_become_the_erps_documents(house: House) -> None:
    house.should(
        sold("a", "2026-01-05", 100, 19),
        settled("p", "2026-01-20", "in_a", 119, "payment.settled", "payment"),
        settled("c", "2026-01-25", "in_a", 10, "credit_note.issued", "credit_note"),
        recognition("r", "2026-01-31", 8),
    )
    assert (run(house).batches, run(house).batches) == (4, 0)
    found = by_kind(house)
    bill = found["invoice"]
    assert {k: bill[k] for k in ("reference", "due_date", "date", "applies_to", "customer")} == {
        "reference": "INV-7", "due_date": "2026-02-04", "date": "2026-01-05", "applies_to": [],
        "customer": {"id": "cus_1", "name": "Ada Ltd"},
    }  # fmt: skip
    assert [(x["account_role"], x["item"], x["debit_fc"] - x["credit_fc"]) for x in bill["lines"]] == [
        (RECEIVABLE, None, 119),
        (DEFERRED, "SAAS-P", -100),
        (TAX, None, -19),
    ]
    paid = [{"reference": "INV-7", "amount_tc": 119, "currency": "USD"}]
    assert (found["cash_application"]["applies_to"], found["cash_application"]["reference"]) == (paid, "payment_p")
    assert (found["credit_note"]["reference"], found["credit_note"]["applies_to"][0]["amount_tc"]) == (
        "credit_note_c",
        10,
    )
    assert set(found["journal"]) == {
        "tenant", "entity_id", "erp_company", "book", "period", "date", "event_class", "rule_hash",
        "functional_currency", "lines",
    }  # fmt: skip


def test_what_settles_is_stored_after_what_it_settles(house: House) -> None:
    """Batches are sent in the order of the outbox, a call's worth at a time: a payment in an earlier call than its
    invoice would be refused."""
    house.should(
        *(sold(key, f"2026-01-{day:02d}", 100, 19) for key, day in zip("zyxwv", range(5, 10), strict=True)),
        *(settled(f"p{key}", "2026-01-20", f"in_{key}", 19, "payment.settled", "payment") for key in "zyxwv"),
        *(settled(f"c{key}", "2026-01-25", f"in_{key}", 10, "credit_note.issued", "credit_note") for key in "zyxwv"),
    )
    run(house)
    kinds = [d["kind"] for d in documents(house)]
    assert kinds == ["invoice"] * 5 + ["credit_note"] * 5 + ["cash_application"] * 5


def test_stored_credit_on_an_invoice_is_no_sale_and_needs_no_item(house: House) -> None:
    house.write_masters(accounts={**ACCOUNTS, "customer_balance": "2300"})
    legs = ((RECEIVABLE, 89), (DEFERRED, -100), (TAX, -19), ("customer_balance", 30))
    lines = entry("a", "2026-01-05", *legs, document="in_a")
    lines[1] |= {"product_family": "platform", "document_line_id": "li_a"}
    lines[3] |= {"product_family": "default"}
    house.should(lines)
    report = run(house)
    assert (report.batches, report.held_lines) == (1, 0)
    (bill,) = documents(house)
    assert {x["account_role"]: x["item"] for x in bill["lines"]}["customer_balance"] is None
    assert {x["account_role"]: x["debit_fc"] - x["credit_fc"] for x in bill["lines"]}[RECEIVABLE] == 89


def test_every_document_fits_the_port(house: House) -> None:
    house.should(
        sold("a", "2026-01-05", 100, 19), settled("p", "2026-01-20", "in_a", 119, "payment.settled", "payment")
    )
    run(house)
    with house.store.read() as connection:
        batches = outbox.due(connection, "US Inc", AS_OF_INSTANT, ["planned"], 10)
    sent = [journal_of(batch, 40) for batch in batches]
    assert [unfit(document, EVERYTHING) for document in sent] == [None, None]
    assert {document.kind for document in sent} == {"invoice", "cash_application"}


def test_what_the_erp_does_not_have_as_an_invoice_is_not_settled_there(house: House) -> None:
    """The invoice was summarised before detail was switched on: its payment is a journal of its own."""
    house.write_posting(items=ITEMS)
    house.should(sold("a", "2026-01-05", 100, 19))
    run(house)
    house.write_posting(posting=DETAIL, items=ITEMS)
    payment = settled("p", "2026-01-20", "in_a", 119, "payment.settled", "payment")
    house.should(sold("a", "2026-01-05", 100, 19), payment)
    run(house)
    assert [(d["event_class"], d.get("kind")) for d in documents(house)] == [
        ("invoice.posted", None), ("payment.settled", None),
    ]  # fmt: skip


def test_documents_of_their_own_from_a_period_on(house: House) -> None:
    """January is before it and stays summarised; a payment in February of a January invoice is a journal by itself."""
    rows = [row | {"set": row["set"] | {"detail_from": "2026-02"}} for row in DETAIL]
    house.write_posting(posting=rows, items=ITEMS)
    house.should(
        sold("a", "2026-01-05", 100, 19), sold("b", "2026-01-06", 50, 9), sold("c", "2026-02-02", 10, 2),
        settled("p", "2026-02-20", "in_a", 119, "payment.settled", "payment"),
        settled("q", "2026-02-21", "in_c", 12, "payment.settled", "payment"),
    )  # fmt: skip
    run(house)
    found = [(d["event_class"], d["period"], d.get("kind"), len(d["lines"])) for d in documents(house)]
    assert sorted(found, key=str) == [
        ("invoice.posted", "2026-01", None, 3), ("invoice.posted", "2026-02", "invoice", 3),
        ("payment.settled", "2026-02", "cash_application", 2), ("payment.settled", "2026-02", None, 2),
    ]  # fmt: skip
    assert run(house).batches == 0


def test_a_corrected_invoice_is_credited_and_billed_anew(house: House) -> None:
    house.should(sold("a", "2026-01-05", 100, 19))
    run(house)
    house.should(sold("a", "2026-01-05", 200, 38))
    run(house)
    again = {d["reference"]: (d["kind"], d["lines"][0]["amount_tc"], d["applies_to"]) for d in documents(house)[1:]}
    assert again == {
        "INV-7 R1": ("credit_note", -119, [{"reference": "INV-7", "amount_tc": 119, "currency": "USD"}]),
        "INV-7 (2)": ("invoice", 238, []),
    }
    house.should(
        sold("a", "2026-01-05", 200, 38), settled("p", "2026-01-20", "in_a", 238, "payment.settled", "payment")
    )
    run(house)
    assert documents(house)[3]["applies_to"] == [{"reference": "INV-7 (2)", "amount_tc": 238, "currency": "USD"}]


def test_an_item_that_is_not_mapped_holds_its_document(house: House) -> None:
    house.write_posting(posting=DETAIL)
    house.should(sold("a", "2026-01-05", 100, 19), recognition("r", "2026-01-31", 8))
    assert (run(house).members, run(house).missing) == (2, ["US:deferred_revenue:platform:item"])
    (item,) = exceptions.all_exceptions(house.store, open_only=True)
    assert (item["owner_team"], item["category"]) == ("Revenue accounting", "mapping_missing")
    assert "No item for account role deferred_revenue, family platform, of US" in item["error_message"]
    house.write_posting(posting=DETAIL, items=ITEMS)
    assert run(house).members == 3


def test_missing_dimensions_come_from_masters_and_say_from_which(house: House) -> None:
    house.write_masters(
        policy={"US": {"summary_key": '["posting_period", "account_role", "currency", "jurisdiction"]'}}
    )
    house.write_posting(
        items=ITEMS,
        customers=[{"country": "DE", "values": {"jurisdiction": "DE-VAT"}}],
        dimensions=[
            {"name": "department", "roles": [DEFERRED], "from": ["item", "default"], "default": "999"},
            {"name": "jurisdiction", "roles": [TAX], "from": ["line", "customer"], "required": True},
        ],
    )
    unknown = sold("b", "2026-01-06", 50, 5)
    unknown[1]["product_family"], unknown[2]["jurisdiction"] = "usage", None
    house.should(sold("a", "2026-01-05", 100, 19), unknown)
    run(house)
    (document,) = documents(house)
    found = [(x["account_role"], x["dimensions"], x.get("origins"), x["member_count"]) for x in document["lines"]]
    assert sorted(found, key=repr) == [
        (RECEIVABLE, {}, None, 2),
        (DEFERRED, {"department": "100"}, ["department: item platform"], 1),
        (DEFERRED, {"department": "999"}, ["department: default"], 1),
        (TAX, {"jurisdiction": "DE-VAT"}, ["jurisdiction: country DE"], 1),
        (TAX, {"jurisdiction": "US-CA"}, None, 1),
    ]


def test_a_required_dimension_without_a_value_holds_the_entry_with_its_owner(house: House) -> None:
    house.write_posting(dimensions=[{"name": "department", "roles": ["revenue"], "from": ["item"], "required": True}])
    house.should(recognition("r", "2026-01-31", 8), invoice("i", "2026-01-05", 100))
    assert (run(house).members, run(house).held_lines) == (2, 2)
    (item,) = exceptions.all_exceptions(house.store, open_only=True)
    assert "No department for account role revenue, family platform, of US" in item["error_message"]
    assert "posting.yaml" in item["next_action"]


def test_a_changed_account_map_moves_new_lines_and_reverses_where_it_posted(house: House) -> None:
    house.write_posting()
    house.should(invoice("i1", "2026-01-05", 100), invoice("i2", "2026-01-06", 7))
    run(house)
    house.write_masters(accounts=ACCOUNTS | {RECEIVABLE: "1101"})
    house.should(invoice("i1", "2026-01-05", 90), invoice("i2", "2026-01-06", 7))
    report = run(house)
    lines = [x for x in documents(house)[1]["lines"] if x["account_role"] == RECEIVABLE]
    assert [(x["account_code"], x["debit_fc"], x["credit_fc"]) for x in lines] == [("1100", 0, 100), ("1101", 90, 0)]
    (note,) = report.notes
    assert "reverse accounts_receivable go to account 1100, where the originals stand; new lines go to 1101" in note
