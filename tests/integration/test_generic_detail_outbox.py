"""Invoices, credit notes and payments through the outbox to an in-house ledger that misbehaves: each once, and what is
open in the end is right."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from direct import Direct
from store_kit import AS_OF, FakeClock, House, entry

from demo.erp_emulators import receivables
from demo.erp_emulators.ledger import EXPONENTS
from demo.erp_emulators.rest import TOKEN, RestFace, RestJobsFace
from revenue_assets.domain.config_erp_generic import GenericOptions
from revenue_assets.posting.batches import cut
from revenue_assets.posting.booking import book
from revenue_assets.posting.erp.generic_rest import GenericRestErp
from revenue_assets.posting.outbox import Limits, drain
from revenue_assets.store import outbox
from revenue_assets.store.engine import open_store
from revenue_assets.store.ledger import Journal

SETUP = {"companies": {"US Inc": "USD"}, "accounts": ["1000", "1100", "2100", "4000", "4010"], "years": [2026]}
CLASSES = ("invoice.posted", "credit_note.issued", "payment.settled")
INVOICES = 3


@pytest.fixture(scope="module")
def cut_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three invoices of 100.00, each credited by 10.00 and paid by 70.00: nine documents, cut and not yet sent."""
    house = House.build(tmp_path_factory.mktemp("books") / "house")
    house.write_posting(
        posting=[{"event_class": name, "set": {"posting_kind": "detail"}} for name in CLASSES],
        items=[{"product_family": "platform", "item": "SEAT"}],
    )
    entries = []
    for n in range(1, INVOICES + 1):
        day, document = f"2026-03-0{n}", f"in_{n}"
        sale = entry(f"a{n}", day, ("accounts_receivable", 100_00), ("deferred_revenue", -100_00), document=document)
        note = entry(f"c{n}", day, ("deferred_revenue", 10_00), ("accounts_receivable", -10_00),
                     event="credit_note.issued", document=document)  # fmt: skip
        paid = entry(f"p{n}", day, ("cash", 70_00), ("accounts_receivable", -70_00), event="payment.settled",
                     document=document)  # fmt: skip
        for line in (sale[1], note[0]):
            line |= {"product_family": "platform", "document_line_id": f"li_{n}"}
        note[0] |= {"document_type": "credit_note", "document_id": f"cn_{n}"}
        paid[0] |= {"document_type": "payment", "document_id": f"ch_{n}"}
        entries += [sale, note, paid]
    house.should(*entries)
    with duckdb.connect(str(house.warehouse)) as connection:
        connection.execute("create schema canonical")
        connection.execute(
            "create table canonical.can_invoices as select 'US' as entity_id, 'in_' || n as invoice_id, "
            "'INV-' || n as number, date '2026-04-04' as due_date from range(1, 4) as r(n)"
        )
    book(house.store, house.journal, house.warehouse, house.state, AS_OF)
    cut(house.store, house.journal, house.state, AS_OF, tenant="t", warehouse=house.warehouse)
    house.store.close()
    return house.root


@pytest.fixture
def house(cut_once: Path, tmp_path: Path) -> Iterator[House]:
    """A copy of the cut batches for one test."""
    root = Path(shutil.copytree(cut_once, tmp_path / "house"))
    store = open_store(f"sqlite:///{root / 'store' / 'operational.sqlite'}")
    yield House(root, store, Journal(root / "journal"), root / "state", root / "warehouse" / "revenue.duckdb")
    store.close()


@pytest.mark.parametrize(
    ("face_class", "behaviour"),
    [
        (RestFace, "no_key_late"), (RestFace, "everything"), (RestJobsFace, "drop_after_commit"),
        (RestJobsFace, "everything"),
    ],
)  # fmt: skip
def test_each_document_is_there_once_and_the_open_amounts_are_right(
    house: House, tmp_path: Path, face_class: type[RestFace], behaviour: str
) -> None:
    clock = FakeClock()
    face = face_class(tmp_path / "ledger", clock=lambda: clock.at.timestamp())
    face.reset(behaviour, seed=7, setup=SETUP)
    options = GenericOptions(
        mode="async" if face.asynchronous else "sync", kinds=["journal", "invoice", "credit_note", "cash_application"],
        masters=["customer", "item"], settle_seconds=1, batch_size_max=2,
    )  # fmt: skip
    port = GenericRestErp("http://127.0.0.1:1", {"token": TOKEN}, options, EXPONENTS, transport=Direct(face))
    drain(house.store, {"US Inc": port}, clock=clock, limits=Limits(max_wait_seconds=3600.0))
    batches = outbox.all_batches(house.store)
    assert [(b["status"], b["last_error"]) for b in batches if b["status"] != "verified"] == []
    assert len(batches) == 3 * INVOICES
    assert dict(face.erp.copies()) == {b["batch_key"]: 1 for b in batches}
    assert receivables.open_amounts(face.erp.ledger, "US Inc") == {
        (f"INV-{n}", "USD"): 20_00 for n in range(1, INVOICES + 1)
    }
    face.erp.ledger.close()
