"""Evidence of documents of their own and of corrections: the verifier reads what an ERP makes of an invoice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import test_posting_details as details
from fake_erp import FakeErp, cent
from store_kit import FakeClock, House, invoice, recognition

from revenue_assets.evidence import verify
from revenue_assets.evidence.books import Files, collect, one_snapshot
from revenue_assets.posting.erp.port import Capabilities, PostedDocument
from revenue_assets.posting.outbox import drain
from revenue_assets.store import outbox


class Receivables(FakeErp):
    """An ERP that takes invoices, and cuts a receivable into two instalments."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, kinds=details.EVERYTHING.kinds, masters=frozenset({"customer", "item"}))

    def resolve(self, wanted):
        return {key: key.code for key in wanted}

    def ensure(self, masters):
        return {}

    def lines(self, company: str, document_ids: list[str]) -> dict[str, PostedDocument]:
        return {name: self._as_held(document) for name, document in super().lines(company, document_ids).items()}

    def _as_held(self, document: PostedDocument) -> PostedDocument:
        sent = next(s.journal for s in self.documents if s.journal.key == document.key)
        if sent.kind == "journal":
            return document
        lines = list(document.lines)
        at = next(n for n, x in enumerate(lines) if x.role == details.RECEIVABLE)
        one = lines.pop(at)
        first = replace(
            one, debit=one.debit // 3, credit=one.credit // 3, amount_tc=(one.debit // 3) - (one.credit // 3)
        )
        rest = replace(
            one,
            debit=one.debit - first.debit,
            credit=one.credit - first.credit,
            amount_tc=one.amount_tc - first.amount_tc,
        )
        return replace(
            document, lines=(rest, *lines, first), kind=sent.kind, reference=sent.reference, due_date=sent.due_date,
            customer_id=sent.customer.id if sent.customer else None, applies_to=sent.applies_to,
        )  # fmt: skip


@pytest.fixture
def house(tmp_path: Path) -> House:
    """An invoice and its payment as documents of their own, and a summarised entry that was corrected."""
    house = House.build(tmp_path / "home")
    house.write_posting(posting=details.DETAIL, items=details.ITEMS)
    sale = details.sold("a", "2026-01-05", 100, 19)
    paid = details.settled("p", "2026-01-20", "in_a", 119, "payment.settled", "payment")
    house.should(sale, paid, recognition("r", "2026-01-31", 8))
    details.run(house)
    house.should(sale, paid, recognition("r", "2026-01-31", 9), invoice("late", "2026-02-03", 5))
    details.run(house)
    return house


def packed(house: House, folder: Path, port: FakeErp) -> verify.Package:
    drain(house.store, {"US Inc": port}, clock=FakeClock())
    files = Files()
    with one_snapshot(house.store) as connection:
        collect(connection, house.journal, files, "2026-01", ["US"])
    for name, content in files.content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return verify.Package(folder)


def test_details_and_corrections_verify(house: House, tmp_path: Path) -> None:
    package = packed(house, tmp_path / "package", Receivables(FakeClock().now))
    assert {b["status"] for b in outbox.all_batches(house.store)} == {"verified"}
    assert [line["sign"] for line in package.rows("journal/lines.csv")].count("-1") == 2
    assert verify.journal(package, None).startswith("11 booked lines balance")
    assert "verified" in verify.batches(package, None)
    assert "; 0 are in none" in verify.members(package, None)
    count = len(package.rows("posting/batches.csv"))
    assert verify.read_backs(package, None) == f"{count} documents read back from the ERP equal what was sent"


def test_what_differed_is_kept_too_and_its_batch_is_not_verified(house: House, tmp_path: Path) -> None:
    port = Receivables(FakeClock().now, alter=lambda document: cent(document))
    package = packed(house, tmp_path / "package", port)
    assert {b["status"] for b in outbox.all_batches(house.store)} == {"dead"}
    assert {r["outcome"] for r in package.rows("posting/read_backs.csv")} == {"different"}
    assert verify.read_backs(package, None) == "0 documents read back from the ERP equal what was sent"
