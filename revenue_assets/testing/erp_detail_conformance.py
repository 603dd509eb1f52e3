"""What else an adapter owes whose ERP takes invoices, credit notes and payments: each tried from outside.

    class TestMyLedger(HttpErpConformance, DetailConformance):
        @pytest.fixture
        def detail(self) -> DetailBench: ...

Amounts are in the company's own currency and a credit note takes back one invoice, or a part of one, because not every
receivables ledger can do more. Documents are those that a cut makes of booked lines.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pytest

from revenue_assets.posting.erp.documents import RECEIVABLE, compare, masters_of
from revenue_assets.posting.erp.port import (
    Application,
    Customer,
    DocumentKind,
    ErpPort,
    Journal,
    Line,
    MasterKey,
    Outcome,
    Reversal,
)
from revenue_assets.testing.erp_bench import ErpBench, new_key
from revenue_assets.testing.erp_conformance import ErpConformance, failure_of, followed, read


@dataclass(frozen=True)
class DetailBench:
    """An ERP company that keeps its customers' open items.

    bench: that company; its `accounts` are not used here. accounts: code by role, of accounts_receivable,
    deferred_revenue, tax_liability and cash. open_amount: what is left to pay on an invoice with this number, minor
    units, as the ERP says it; None if it has none.
    """

    bench: ErpBench
    accounts: Mapping[str, str]
    open_amount: Callable[[str], int | None]

    def document(self, kind: DocumentKind, customer: Customer, *legs: tuple[str, int], **more: object) -> Journal:
        """Legs are (account role, minor units, debit positive); what stands on deferred revenue is an item."""
        currency = self.bench.currency
        lines = tuple(
            Line(
                n, self.accounts[role], max(amount, 0), max(-amount, 0), currency, amount, role, role=role,
                item=ITEM if role == "deferred_revenue" else None,
            )
            for n, (role, amount) in enumerate(legs, start=1)
        )  # fmt: skip
        date = self.bench.date
        made = Journal(new_key(), self.bench.company, date, f"{date:%Y-%m}", currency, lines, "conformance", kind=kind,
                       customer=customer)  # fmt: skip
        return replace(made, **more)  # type: ignore[arg-type]

    def invoice(self, customer: Customer, number: str, **more: object) -> Journal:
        """120.02 in all, with a tax that no rate gives exactly."""
        legs = ((RECEIVABLE, 120_02), ("deferred_revenue", -100_01), ("tax_liability", -20_01))
        due = self.bench.date + dt.timedelta(days=30)
        return self.document("invoice", customer, *legs, **{"reference": number, "due_date": due, **more})

    def credit_note(self, customer: Customer, invoice: str, amount: int) -> Journal:
        """Net, for a part of one invoice."""
        legs = ((RECEIVABLE, -amount), ("deferred_revenue", amount))
        settles = (Application(invoice, amount, self.bench.currency),)
        return self.document("credit_note", customer, *legs, reference=new_key(12), applies_to=settles)

    def payment(self, customer: Customer, amount: int, *settles: tuple[str, int]) -> Journal:
        """`amount` minor units, of which each pair settles a part of an invoice."""
        parts = tuple(Application(number, part, self.bench.currency) for number, part in settles)
        legs = (("cash", amount), (RECEIVABLE, -amount))
        return self.document("cash_application", customer, *legs, applies_to=parts)


ITEM = "CONFORMANCE-ITEM"


class DetailConformance(ErpConformance):
    """Duties of an adapter whose capabilities name invoices, credit notes and cash applications. `detail` is a fixture
    of the subclass."""

    tries_details = True

    @pytest.fixture
    def customer(self, detail: DetailBench) -> Customer:
        """A customer of this test alone, made through the port together with the item."""
        made = Customer(new_key(24), "Conformance & Sons")
        assert detail.bench.port().ensure(masters_of(detail.invoice(made, "any"))) == {}
        return made

    def test_it_takes_what_it_says(self, detail: DetailBench) -> None:
        can = detail.bench.port().capabilities
        assert can.kinds == {"journal", "invoice", "credit_note", "cash_application"}
        assert can.masters == {"customer", "item"}

    def test_masters_are_made_once_and_found_by_our_codes(self, detail: DetailBench) -> None:
        port, customer = detail.bench.port(), Customer(new_key(24), "Once")
        masters = masters_of(detail.invoice(customer, "any"))
        key = MasterKey("customer", detail.bench.company, customer.id)
        assert port.resolve([key]) == {}
        assert (port.ensure(masters), port.ensure(masters)) == ({}, {})
        again = detail.bench.port()
        assert set(again.resolve([master.key for master in masters])) == {master.key for master in masters}
        assert again.resolve([replace(key, code=customer.id[:-1])]) == {}

    def test_an_invoice_reads_back_equal_and_opens_what_is_owed(self, detail: DetailBench, customer: Customer) -> None:
        port, sent = detail.bench.port(), detail.invoice(customer, number := new_key(12))
        (outcome,) = arrived(detail, port, sent)
        assert differences(detail, port, sent, outcome) == []
        assert detail.bench.copies([sent.key]) == {sent.key: 1}
        assert detail.open_amount(number) == 120_02

    def test_payments_settle_in_parts_and_leave_the_rest(self, detail: DetailBench, customer: Customer) -> None:
        """The second one pays two invoices and more than that: 9.98 stay on the customer's account."""
        port, numbers = detail.bench.port(), [new_key(12), new_key(12)]
        arrived(detail, port, *(detail.invoice(customer, number) for number in numbers))
        part = detail.payment(customer, 20_02, (numbers[0], 20_02))
        rest = detail.payment(customer, 230_00, (numbers[0], 100_00), (numbers[1], 120_02))
        (first,) = arrived(detail, port, part)
        assert [detail.open_amount(number) for number in numbers] == [100_00, 120_02]
        (second,) = arrived(detail, port, rest)
        assert [detail.open_amount(number) for number in numbers] == [0, 0]
        assert differences(detail, port, part, first) + differences(detail, port, rest, second) == []

    def test_a_credit_note_settles_its_invoice(self, detail: DetailBench, customer: Customer) -> None:
        port, number = detail.bench.port(), new_key(12)
        arrived(detail, port, detail.invoice(customer, number))
        note = detail.credit_note(customer, number, 20_02)
        (outcome,) = arrived(detail, port, note)
        assert detail.open_amount(number) == 100_00
        assert differences(detail, port, note, outcome) == []

    def test_what_settles_may_come_in_one_call_with_what_it_settles(
        self, detail: DetailBench, customer: Customer
    ) -> None:
        """In whatever order: outcomes are in the order of the documents."""
        invoice = detail.invoice(customer, number := new_key(12))
        sent = [
            detail.payment(customer, 100_00, (number, 100_00)), detail.credit_note(customer, number, 20_02), invoice
        ]  # fmt: skip
        arrived(detail, detail.bench.port(), *sent)
        assert detail.open_amount(number) == 0

    def test_it_looks_before_it_creates_documents_of_each_kind(self, detail: DetailBench, customer: Customer) -> None:
        number = new_key(12)
        sent = [
            detail.invoice(customer, number), detail.credit_note(customer, number, 20_02),
            detail.payment(customer, 50_00, (number, 50_00)),
        ]  # fmt: skip
        first = arrived(detail, detail.bench.port(), *sent)
        again = arrived(detail, detail.bench.port(), *sent)
        assert [o.document_id for o in again] == [o.document_id for o in first]
        assert all(o.already_there for o in again)
        assert detail.bench.copies([d.key for d in sent]) == {d.key: 1 for d in sent}
        assert detail.open_amount(number) == 50_00

    def test_one_key_is_one_invoice(self, detail: DetailBench, customer: Customer) -> None:
        port, sent = detail.bench.port(), detail.invoice(customer, new_key(12))
        arrived(detail, port, sent)
        legs = ((RECEIVABLE, 120_02), ("deferred_revenue", -100_00), ("tax_liability", -20_02))
        other_tax = replace(
            detail.document("invoice", customer, *legs), reference=sent.reference, due_date=sent.due_date
        )
        other_head = replace(sent, reference=new_key(12)), replace(sent, due_date=detail.bench.date)
        for changed in (replace(other_tax, key=sent.key), *other_head):
            (outcome,) = detail.bench.brought_in(detail.bench.port(), [changed])
            assert failure_of(outcome) == "conflict"
        assert detail.bench.copies([sent.key]) == {sent.key: 1}

    def test_nothing_settles_more_than_is_open(self, detail: DetailBench, customer: Customer) -> None:
        port, number = detail.bench.port(), new_key(12)
        arrived(detail, port, detail.invoice(customer, number))
        arrived(detail, port, detail.payment(customer, 120_00, (number, 120_00)))
        early = detail.payment(customer, 3, (new_key(12), 3))
        sent = [detail.payment(customer, 3, (number, 3)), early, detail.credit_note(customer, number, 3)]
        for document in sent:
            (outcome,) = detail.bench.brought_in(detail.bench.port(), [document])
            # An ERP whose search lags cannot tell an invoice that is missing from one that comes.
            assert failure_of(outcome) in ({"invalid", "uncertain"} if document is early else {"invalid"})
        assert not any(detail.bench.copies([d.key for d in sent]).values())
        assert detail.open_amount(number) == 2
        # What waits for an invoice holds up no other.
        rest = detail.payment(customer, 2, (number, 2))
        outcomes = detail.bench.brought_in(detail.bench.port(), [early, rest])
        assert [o.state for o in outcomes] == [None, "posted"]
        assert detail.open_amount(number) == 0

    def test_a_missing_customer_harms_no_other_document(self, detail: DetailBench, customer: Customer) -> None:
        numbers = [new_key(12) for _ in range(3)]
        unknown = detail.invoice(Customer(new_key(24), "Nobody"), numbers[1])
        sent = [detail.invoice(customer, numbers[0]), unknown, detail.invoice(customer, numbers[2])]
        assert set(detail.bench.port().preflight(sent)) == {unknown.key}
        outcomes = detail.bench.brought_in(detail.bench.port(), sent)
        assert [o.state for o in outcomes] == ["posted", None, "posted"]
        assert failure_of(outcomes[1]) == "mapping_missing"
        assert [detail.open_amount(number) for number in numbers] == [120_02, None, 120_02]

    def test_the_reversal_of_an_invoice_takes_it_back_whole(self, detail: DetailBench, customer: Customer) -> None:
        port, number = detail.bench.port(), new_key(12)
        (original,) = arrived(detail, port, detail.invoice(customer, number))
        date = detail.bench.date
        request = Reversal(new_key(), detail.bench.company, original.document_id or "", date, f"{date:%Y-%m}")
        assert followed(detail.bench, port, port.reverse(request)).failure is None
        assert detail.open_amount(number) == 0
        again = detail.bench.port().reverse(request)
        assert again.already_there
        assert detail.bench.copies([request.key]) == {request.key: 1}

    def test_what_settles_is_not_reversed_behind_the_invoices_back(
        self, detail: DetailBench, customer: Customer
    ) -> None:
        port, number = detail.bench.port(), new_key(12)
        arrived(detail, port, detail.invoice(customer, number))
        (paid,) = arrived(detail, port, detail.payment(customer, 120_02, (number, 120_02)))
        date = detail.bench.date
        request = Reversal(new_key(), detail.bench.company, paid.document_id or "", date, f"{date:%Y-%m}")
        assert failure_of(port.reverse(request)) == "unsupported"
        assert detail.open_amount(number) == 0


def arrived(detail: DetailBench, port: ErpPort, *documents: Journal) -> list[Outcome]:
    """Outcomes of documents that must arrive."""
    outcomes = detail.bench.brought_in(port, documents)
    assert [o.key for o in outcomes] == [d.key for d in documents]
    assert {(o.state, o.failure) for o in outcomes} == {("posted", None)}, outcomes
    return outcomes


def differences(detail: DetailBench, port: ErpPort, sent: Journal, outcome: Outcome) -> list[str]:
    """What of the document is not as it was sent."""
    return [str(x) for x in compare(sent, read(port, detail.bench, outcome))]
