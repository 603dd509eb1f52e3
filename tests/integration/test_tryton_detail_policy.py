"""Policy says `detail`: from booked lines through the cut and the outbox to invoices and payments in a real Tryton."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
from erp_fixture import DETAIL_COMPANY, ErpServer, new_key
from erp_house import drained
from store_kit import ACCOUNTS, AS_OF, House, entry

from revenue_assets.posting.batches import cut
from revenue_assets.posting.booking import book
from revenue_assets.state import write_parquet
from revenue_assets.store import outbox

CHART = {
    "accounts_receivable": "411000", "deferred_revenue": "487000", "tax_liability": "445700", "revenue": "706000",
    "cash": "511000",
}  # fmt: skip
DETAIL = [
    {"event_class": name, "set": {"posting_kind": "detail"}}
    for name in ("invoice.posted", "credit_note.issued", "payment.settled")
]


def house_of(root: Path) -> House:
    """The German entity posts to the ERP company that keeps its customers' open items."""
    house = House.build(root / "house")
    house.write_masters(accounts=ACCOUNTS | CHART)
    house.write_posting(posting=DETAIL, items=[{"product_family": "platform", "item": "PLAT-STD"}])
    columns = "entity_id name functional_currency time_zone calendar erp_company"
    rows = [{"entity_id": "DE", "functional_currency": "EUR", "erp_company": DETAIL_COMPANY}]
    write_parquet(house.state / "entities.parquet", pa.schema([(c, pa.string()) for c in columns.split()]), rows)
    return house


def test_invoice_credit_note_payment_and_recognition_of_one_customer(tmp_path: Path, erp_server: ErpServer) -> None:
    """119.01 billed, 19.00 credited, 60.00 paid: 40.01 is open in the ERP; recognition is a summarised journal."""
    house, number, customer = house_of(tmp_path), new_key("INV"), new_key("cus")
    sale = entry(
        "a", "2026-03-05", ("accounts_receivable", 119_01), ("deferred_revenue", -100_01), ("tax_liability", -19_00),
        entity="DE", document="in_a",
    )  # fmt: skip
    credit = entry(
        "c", "2026-03-10", ("deferred_revenue", 19_00), ("accounts_receivable", -19_00), entity="DE",
        event="credit_note.issued", document="in_a",
    )  # fmt: skip
    paid = entry(
        "p", "2026-03-20", ("cash", 60_00), ("accounts_receivable", -60_00), entity="DE", event="payment.settled",
        document="in_a",
    )  # fmt: skip
    recognised = entry(
        "r", "2026-03-31", ("deferred_revenue", 7_00), ("revenue", -7_00), entity="DE", event="revenue.recognised"
    )  # fmt: skip
    for line in (*sale, *credit, *paid):
        line["customer_id"] = customer
    for line in (sale[1], credit[0]):
        line |= {"product_family": "platform", "document_line_id": "li_a"}
    credit[0]["document_type"], credit[0]["document_id"] = "credit_note", f"cn-{number}"
    paid[0]["document_type"], paid[0]["document_id"] = "payment", f"ch-{number}"
    house.should(sale, credit, paid, recognised)
    with duckdb.connect(str(house.warehouse)) as connection:
        connection.execute("create schema if not exists canonical")
        connection.execute(
            "create table canonical.can_invoices as "
            "select 'DE' as entity_id, 'in_a' as invoice_id, ? as number, date '2026-04-04' as due_date", [number]
        )  # fmt: skip
        connection.execute(
            "create table canonical.can_customers as select ? as customer_id, 'Ada Ltd' as name, 'DE' as country",
            [customer],
        )
    book(house.store, house.journal, house.warehouse, house.state, AS_OF)
    cut(house.store, house.journal, house.state, AS_OF, tenant=tmp_path.name, warehouse=house.warehouse)
    drained(house, erp_server)
    found = [(b["event_class"], b["status"], b["last_error"]) for b in outbox.all_batches(house.store)]
    assert {row[0] for row in found} == {
        "invoice.posted",
        "credit_note.issued",
        "payment.settled",
        "revenue.recognised",
    }
    assert {row[1] for row in found} == {"verified"}, found
    with erp_server.admin() as admin:
        (held,) = admin.search_read(
            "account.invoice",
            [["reference", "=", number]],
            ["state", "party.name", "amount_to_pay", "total_amount"],
            {},
        )
    assert (held["state"], held["party."]["name"]) == ("posted", "Ada Ltd")
    assert (f"{held['total_amount']:.2f}", f"{held['amount_to_pay']:.2f}") == ("119.01", "40.01")
