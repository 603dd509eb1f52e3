"""The ledgers that trials post: a few batches of one company, cut and not yet sent."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import duckdb
from store_kit import AS_OF, House, entry, invoice, recognition

from revenue_assets.posting.batches import cut
from revenue_assets.posting.booking import book

DETAIL = [
    {"event_class": name, "set": {"posting_kind": "detail"}}
    for name in ("invoice.posted", "credit_note.issued", "payment.settled")
]


def build(path: Path) -> None:
    """Four summarised journals: books and cuts, and leaves a copy of the operational store at `path`."""
    entries = [invoice(f"i{n}", f"2026-0{1 + n % 3}-05", 100 + n) for n in range(6)]
    _cut(path, [*entries, recognition("r", "2026-01-31", 9)])


def build_details(path: Path) -> None:
    """Three invoices, two payments and a credit note on them, and a journal: documents that need each other."""
    _cut(path, [*(line for n in range(3) for line in _customer(n)), recognition("r", "2026-01-31", 9)], details=True)


def _customer(n: int) -> list[list[dict[str, Any]]]:
    """An invoice of 119.01, which the first two customers pay in part and the third is credited in part."""
    sale = entry(
        f"i{n}", "2026-01-05", ("accounts_receivable", 119_01), ("deferred_revenue", -100_01),
        ("tax_liability", -19_00), document=f"in_{n}",
    )  # fmt: skip
    if n < 2:
        legs, event = (("cash", 60_00), ("accounts_receivable", -60_00)), "payment.settled"
    else:
        legs, event = (("deferred_revenue", 60_00), ("accounts_receivable", -60_00)), "credit_note.issued"
    settling = entry(f"s{n}", "2026-01-20", *legs, event=event, document=f"in_{n}")
    settling[0] |= {"document_type": "payment" if n < 2 else "credit_note", "document_id": f"s_{n}"}
    for line in (*sale, *settling):
        line["customer_id"] = f"cus_{n}"
        if line["account_role"] == "deferred_revenue":
            line |= {"product_family": "platform", "document_line_id": f"li_{n}"}
    return [sale, settling]


def _cut(path: Path, entries: list[list[dict[str, Any]]], *, details: bool = False) -> None:
    with tempfile.TemporaryDirectory() as folder:
        house = House.build(Path(folder) / "house")
        house.should(*entries)
        if details:
            house.write_posting(posting=DETAIL, items=[{"product_family": "platform", "item": "PLAT"}])
            _masters(house.warehouse)
        book(house.store, house.journal, house.warehouse, house.state, AS_OF)
        cut(house.store, house.journal, house.state, AS_OF, tenant="t", warehouse=house.warehouse)
        house.store.close()
        shutil.copyfile(house.root / "store" / "operational.sqlite", path)


def _masters(warehouse: Path) -> None:
    """Names of customers and numbers of invoices, where the cut looks them up."""
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("create schema if not exists canonical")
        connection.execute(
            "create table canonical.can_invoices as select 'US' as entity_id, 'in_' || n as invoice_id, "
            "'INV-' || n as number, date '2026-02-04' as due_date from range(3) as t(n)"
        )
        connection.execute(
            "create table canonical.can_customers as "
            "select 'cus_' || n as customer_id, 'Customer ' || n as name, 'US' as country from range(3) as t(n)"
        )
