"""A company whose ERP is an in-house ledger, from booked lines to reconciliations: posted, verified, read back, landed.

The platform's own steps run: booking, cut, drain, landing with register and cursors, dbt models of read-back and
reconciliation. Only what lies above the journal (billing's documents) is written as rows.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import pytest
from direct import Direct
from recon_books import FILES, UPSTREAM, Books
from recon_build import PROJECT, layer_project, run_dbt
from store_kit import AS_OF, FakeClock, House, entry, invoice, recognition

from demo.erp_emulators.behaviour import ALTERATIONS
from demo.erp_emulators.ledger import EXPONENTS, Entry, EntryLine
from demo.erp_emulators.rest import TOKEN, RestFace
from revenue_assets.domain.config_erp_generic import GenericOptions
from revenue_assets.landing.run import land
from revenue_assets.landing.writer import LandingResult, LandingWriter
from revenue_assets.posting.batches import cut
from revenue_assets.posting.booking import book
from revenue_assets.posting.erp.generic_client import GenericClient
from revenue_assets.posting.erp.generic_rest import GenericRestErp
from revenue_assets.posting.outbox import drain
from revenue_assets.sources.generic_rest import GenericRestSource
from revenue_assets.store import outbox
from revenue_assets.store.cursors import StoredCursors
from revenue_assets.store.export import export_state
from revenue_assets.store.landing import BatchRegister

COMPANIES = {"US Inc": "USD", "UK Inc": "GBP", "DE Inc": "EUR"}
ENTITIES = {"US": "US Inc", "UK": "UK Inc", "DE": "DE Inc"}
RECONCILIATIONS = ("r04", "r10", "r11", "r12", "r16")
NEEDED = {
    *(f"rec_{name}" for name in RECONCILIATIONS), "rec_booked_accounts", "rec_erp_schedules", "rec_gl_accounts",
    "rec_gl_activity", "rec_gl_explanations", "rec_open_items", "rec_policy",
}  # fmt: skip
# The US keeps its customers' open items in the ledger, Germany posts summaries.
DETAIL = [
    {"entity": "US", "event_class": name, "set": {"posting_kind": "detail"}}
    for name in ("invoice.posted", "credit_note.issued", "payment.settled")
]
Signal = tuple[str, str, str, str, int]


@dataclass
class Circle:
    """The company's home and its ledger."""

    house: House
    face: RestFace

    def port(self) -> GenericRestErp:
        options = GenericOptions(
            kinds=["journal", "invoice", "credit_note", "cash_application"], masters=["customer", "item"],
            settle_seconds=1,
        )  # fmt: skip
        return GenericRestErp("http://127.0.0.1:1", {"token": TOKEN}, options, EXPONENTS, transport=Direct(self.face))

    def read_back(self, now: dt.datetime) -> dict[str, LandingResult]:
        """What the read-back asset does."""
        store, root = self.house.store, self.house.root
        client = GenericClient("http://127.0.0.1:1", token=TOKEN, transport=Direct(self.face))
        source = GenericRestSource("erp", client, ENTITIES, EXPONENTS, page_size=2)
        writer = LandingWriter(root / "landing", root / "quarantine", "run", register=BatchRegister(store))
        results = land(source, source.OBJECTS, writer, StoredCursors(store), now)
        export_state(store, self.house.state)
        return {result.object: result for result in results}

    def build(self) -> None:
        """The dbt models from the read-back to the five reconciliations, as views: they show what lies in the files."""
        models = [f"+rec_{name}" for name in RECONCILIATIONS]
        done = run_dbt(self.house.root, "run", "--select", *models, as_of=AS_OF.isoformat())
        assert done.returncode == 0, done.stdout[-4000:]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.house.warehouse), read_only=True) as connection:
            return connection.execute(query).fetchall()

    def variances(self) -> list[Signal]:
        """(reconciliation, entity, class, reference, minor units) of every variance of the last period."""
        parts = " union all ".join(f"select * from reconciliation.rec_{name}" for name in RECONCILIATIONS)
        return sorted(self.rows(
            "select recon_id, entity_id, variance_class, reference, difference "
            f"from ({parts}) where variance_class is not null and period = '2026-03'"
        ))  # fmt: skip

    def amounts(self, name: str) -> dict[str, tuple[int, int]]:
        """Entity -> sums of both sides in the last period."""
        query = (
            "select entity_id, sum(left_amount)::bigint, sum(right_amount)::bigint "
            f"from reconciliation.rec_{name} where period = '2026-03' group by 1"
        )
        return {entity: (left, right) for entity, left, right in self.rows(query)}

    def erp_document(self, event_class: str, entity: str) -> dict[str, Any]:
        """The batch of an event class."""
        (batch,) = [
            b
            for b in outbox.all_batches(self.house.store)
            if (b["event_class"], b["entity_id"]) == (event_class, entity)
        ]
        return batch


@pytest.fixture(scope="module")
def circle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Circle]:
    """119.01 billed in the US, 19.00 credited, 60.00 paid; a German invoice and recognition in both, all posted."""
    root = tmp_path_factory.mktemp("circle")
    house, face = House.build(root / "home"), RestFace(root / "ledger")
    face.setup(COMPANIES, ["1000", "1100", "2100", "2200", "4000", "4010"], [2026])
    made = Circle(house, face)
    house.write_posting(posting=DETAIL, items=[{"product_family": "platform", "item": "PLAT-STD"}])
    sale = entry(
        "a", "2026-03-05", ("accounts_receivable", 119_01), ("deferred_revenue", -100_01), ("tax_liability", -19_00),
        document="in_a",
    )  # fmt: skip
    credit = entry(
        "c", "2026-03-10", ("deferred_revenue", 19_00), ("accounts_receivable", -19_00), event="credit_note.issued",
        document="in_a",
    )  # fmt: skip
    paid = entry(
        "p", "2026-03-20", ("cash", 60_00), ("accounts_receivable", -60_00), event="payment.settled", document="in_a"
    )
    for line in (sale[1], credit[0]):
        line |= {"product_family": "platform", "document_line_id": "li_a"}
    credit[0] |= {"document_type": "credit_note", "document_id": "cn_a"}
    paid[0] |= {"document_type": "payment", "document_id": "ch_a"}
    german = invoice("d", "2026-03-07", 500_00, entity="DE", document="in_d")
    german[1]["document_line_id"] = "li_d"
    house.should(
        sale, credit, paid, german, recognition("r", "2026-03-31", 7_00),
        recognition("s", "2026-03-31", 41_67, entity="DE"),
    )  # fmt: skip
    with duckdb.connect(str(house.warehouse)) as connection:
        connection.execute("create schema canonical")
        connection.execute(
            "create table canonical.can_invoices as select 'US' as entity_id, 'in_a' as invoice_id, 'INV-1' as number, "
            "date '2026-04-04' as due_date"
        )
        connection.execute(
            "create table canonical.can_customers as select 'cus_1' as customer_id, 'Ada' as name, 'US' as country"
        )
    book(house.store, house.journal, house.warehouse, house.state, AS_OF)
    cut(house.store, house.journal, house.state, AS_OF, tenant="t", warehouse=house.warehouse)
    drain(house.store, dict.fromkeys(COMPANIES, made.port()), clock=FakeClock())
    above_the_journal(house)
    yield made
    house.store.close()
    face.erp.ledger.close()


def above_the_journal(house: House) -> None:
    """What billing says, as the canonical layer has it; everything else of that layer and of the config is empty."""
    books, project = Books(), house.root / "project"
    billed = {"accounting_date": "2026-03-05", "customer_id": "cus_1", "correlation_id": "opp"}
    books.add("can_invoices", entity_id="US", invoice_id="in_a", number="INV-1", currency="USD", net_amount=100_01,
              tax_amount=19_00, **billed)  # fmt: skip
    books.add("can_invoices", entity_id="DE", invoice_id="in_d", number="D-1", currency="EUR", net_amount=500_00,
              tax_amount=0, **billed)  # fmt: skip
    books.add("can_credit_notes", entity_id="US", accounting_date="2026-03-10", event_key="ev-c", credit_note_id="cn_a",
              invoice_id="in_a", currency="USD", reason="duplicate", net_amount=19_00, stated_tax_amount=0)  # fmt: skip
    books.add("can_credit_note_lines", entity_id="US", credit_note_id="cn_a", invoice_id="in_a", invoice_line_id="li_a",
              amount=19_00, tax_amount=0)  # fmt: skip
    for currency in COMPANIES.values():
        books.add("state/currencies", currency=currency, exponent=2)
    export_state(house.store, house.state)
    with duckdb.connect(str(house.warehouse)) as connection:
        for schema in ("canonical", "subledger"):
            connection.execute(f"drop schema {schema} cascade")
        connection.execute("create schema fixture")
        for table, (_, ddl) in UPSTREAM.items():
            books._load(connection, f"fixture.{table}", ddl, books.tables[table])
        for name, ddl in FILES.items():
            path = house.root / f"{name}.parquet"
            if name.startswith("state/") and not path.exists():
                books._load(connection, "fixture._file", ddl, books.tables[name])
                connection.execute(f"copy fixture._file to '{path}' (format parquet)")
    layer_project(project)
    models = project / "models"
    for path in (models / "staging").glob("stg_erp__*.sql"):
        path.unlink()
    shutil.copytree(PROJECT / "models" / "staging" / "erp", models / "staging" / "erp")
    settings = project / "dbt_project.yml"
    settings.write_text(settings.read_text().replace("+materialized: table", "+materialized: view"))
    # What is not looked at need not be parsed.
    shutil.rmtree(models / "finance")
    shutil.rmtree(project / "tests")
    for path in (models / "reconciliation").glob("*.sql"):
        if path.stem not in NEEDED:
            path.unlink()


def test_posted_verified_read_back_and_tied_then_a_person_changes_the_ledger(circle: Circle) -> None:
    batches = outbox.all_batches(circle.house.store)
    assert [(b["status"], b["last_error"]) for b in batches] == [("verified", None)] * 6
    assert dict(circle.face.erp.copies()) == {b["batch_key"]: 1 for b in batches}
    now = dt.datetime(2026, 4, 1, 10, 0, tzinfo=dt.UTC)
    landed = circle.read_back(now)
    assert {name: (r.rows_landed, r.rows_quarantined) for name, r in landed.items()} == {
        "move": (6, 0), "account_balance": (8, 0), "period": (36, 0)
    }  # fmt: skip
    circle.build()
    assert circle.variances() == []
    assert circle.amounts("r04") == {"US": (100_01, 100_01), "DE": (500_00, 500_00)}
    assert circle.amounts("r10") == {"US": (40_01, 40_01), "DE": (500_00, 500_00)}
    assert circle.amounts("r11") == {"US": (74_01, 74_01), "DE": (458_33, 458_33)}
    assert circle.amounts("r12") == {"US": (7_00, 7_00), "DE": (41_67, 41_67)}
    assert sum(left for left, _ in circle.amounts("r16").values()) == 2 * (119_01 + 19_00 + 60_00 + 7_00 + 541_67)

    typed = by_hand(circle)
    altered = circle.erp_document("revenue.recognised", "DE")
    changed(circle, altered["erp_document_id"])
    assert circle.read_back(now + dt.timedelta(hours=1))["move"].rows_landed == 3
    assert circle.variances() == sorted([
        # 4.00 from deferred revenue to revenue; 5.00 of the invoice paid at a counter.
        ("R11", "US", "manual_erp_journal", typed[0], 4_00), ("R12", "US", "manual_erp_journal", typed[0], -4_00),
        ("R10", "US", "manual_erp_journal", typed[1], 5_00), ("R4", "US", "manual_erp_journal", "in_a", 5_00),
        ("R16", "DE", "amount", altered["batch_key"], -1), ("R16", "DE", "amount", altered["batch_key"], -1),
        ("R11", "DE", "amount", altered["batch_key"], 1), ("R12", "DE", "amount", altered["batch_key"], -1),
    ])  # fmt: skip
    (said,) = circle.rows("select explanation from reconciliation.rec_r04 where variance_class is not null")
    assert said[0] == (
        "Open on invoice INV-1: 4001 USD (minor units) in the books, 3501 USD (minor units) in the ERP "
        f"after {typed[1]}, which nobody here posted."
    )


def by_hand(circle: Circle) -> list[str]:
    """Two journals that somebody types into the ledger; their numbers."""

    def line(account: str, amount: int, **more: str) -> EntryLine:
        return EntryLine(account, max(amount, 0), max(-amount, 0), "USD", amount, **more)

    reclassed = line("2100", 4_00), line("4010", -4_00)
    paid = line("1000", 5_00), line("1100", -5_00, customer="cus_1", settles="INV-1")
    return [
        circle.face.erp.ledger.add(Entry("", "US Inc", "2026-03-28", "USD", lines, "by hand"), 0.0).number or ""
        for lines in (reclassed, paid)
    ]


def changed(circle: Circle, document_id: str) -> None:
    """Somebody with access to the ledger's database moves a cent on two lines of a posted journal."""
    erp = circle.face.erp
    held = erp.one(document_id)
    erp.ledger.replace(document_id, replace(ALTERATIONS["cent"](held, erp.dice).entry, state="posted"))
