"""Documents that are no journals: what is fit to send, what they need first, what a read-back compares."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

import pytest

from revenue_assets.posting import steps
from revenue_assets.posting.erp.delivery import deliver
from revenue_assets.posting.erp.documents import compare, masters_of, unfit
from revenue_assets.posting.erp.port import (
    Application,
    Capabilities,
    Customer,
    DocumentKind,
    Failure,
    Journal,
    Line,
    Master,
    MasterKey,
    Outcome,
    PostedDocument,
)
from revenue_assets.store.audit import canonical
from revenue_assets.store.outbox import Batch, content_hash

KINDS: frozenset[DocumentKind] = frozenset({"journal", "invoice", "credit_note", "cash_application"})
CAPABILITIES = Capabilities("any", "sync", 32, False, "call", 50, "company", False, 1.0, KINDS)
DATE = dt.date(2026, 3, 5)
ACME = Customer("cus_1", "Acme")


def document(kind: DocumentKind, *lines: Line, **changes: object) -> Journal:
    sent = Journal("key-1", "Meridian Inc", DATE, "2026-03", "USD", lines, kind=kind, customer=ACME)
    return replace(sent, **changes)  # type: ignore[arg-type]


def usd(number: int, account: str, amount: int, role: str = "", item: str | None = None) -> Line:
    return Line(number, account, max(amount, 0), max(-amount, 0), "USD", amount, role=role, item=item)


INVOICE = document(
    "invoice",
    usd(1, "1100", 12_000, "accounts_receivable"), usd(2, "2100", -10_000, "deferred_revenue", "PLAT-STD"),
    usd(3, "2200", -2_000, "tax_liability"),
    reference="INV-1", due_date=dt.date(2026, 4, 4),
)  # fmt: skip
CASH = document(
    "cash_application",
    usd(1, "1050", 11_700, "processor_clearing"), usd(2, "6000", 300, "fees"),
    usd(3, "1100", -12_000, "accounts_receivable"),
    applies_to=(Application("INV-1", 12_000, "USD"),),
)  # fmt: skip


def held(sent: Journal, **changes: object) -> PostedDocument:
    """The document as an ERP that changed nothing holds it, apart from `changes`."""
    document = PostedDocument(
        sent.key, "7", "7", "posted", sent.company, sent.accounting_date, sent.period, sent.functional_currency,
        sent.lines, (), sent.kind, sent.customer.id if sent.customer else None, sent.reference, sent.due_date,
        sent.applies_to,
    )  # fmt: skip
    return replace(document, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("sent", [INVOICE, CASH])
def test_sound_documents_are_fit_and_read_back_equal(sent: Journal) -> None:
    assert unfit(sent, CAPABILITIES) is None
    assert compare(sent, held(sent)) == []


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (replace(INVOICE, customer=None), "names no customer"),
        (replace(INVOICE, customer=Customer("cus_1", " ")), "names no customer"),
        (replace(INVOICE, reference=None), "has no number"),
        (replace(INVOICE, kind="credit_note"), "a receivable of 12000 minor units USD does not fit its kind"),
        (replace(CASH, kind="invoice", reference="X"), "a receivable of -12000 minor units USD does not fit its kind"),
        (replace(INVOICE, lines=tuple(replace(x, role="") for x in INVOICE.lines)), "one account in one currency"),
        (replace(INVOICE, applies_to=CASH.applies_to), "an invoice settles nothing"),
        (replace(CASH, applies_to=(Application("INV-1", 12_001, "USD"),)), "settles 12001 minor units USD with 12000"),
        (replace(CASH, applies_to=(Application("INV-1", 12_000, "EUR"),)), "settles 12000 minor units EUR of INV-1"),
        (replace(CASH, applies_to=(Application("INV-1", 0, "USD"),)), "settles 0 minor units USD of INV-1"),
        (replace(CASH, applies_to=(Application("INV-1", 1, "USD"),) * 2), "settles one document twice"),
    ],
)
def test_what_no_receivables_ledger_should_get(sent: Journal, words: str) -> None:
    failure = unfit(sent, CAPABILITIES)
    assert failure is not None
    assert (failure.failure_class, words in failure.message) == ("invalid", True), failure.message


def test_a_kind_that_the_erp_does_not_take_is_invalid() -> None:
    failure = unfit(INVOICE, replace(CAPABILITIES, kinds=frozenset({"journal"})))
    assert failure is not None
    assert (failure.failure_class, "takes no invoice" in failure.message) == ("invalid", True)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"kind": "journal"}, "kind: sent invoice, the ERP has journal"),
        ({"customer_id": "cus_2"}, "customer: sent cus_1, the ERP has cus_2"),
        ({"reference": "INV-2"}, "reference: sent INV-1, the ERP has INV-2"),
        ({"due_date": DATE}, "due_date: sent 2026-04-04, the ERP has 2026-03-05"),
    ],
)
def test_what_an_invoice_is_read_back_for(change: dict[str, object], expected: str) -> None:
    assert expected in [str(difference) for difference in compare(INVOICE, held(INVOICE, **change))]


def test_a_settlement_that_is_not_the_one_sent_is_a_difference() -> None:
    found = compare(CASH, held(CASH, applies_to=(Application("INV-1", 11_999, "USD"),)))
    assert [str(x) for x in found] == ["applications: sent 12000 USD of INV-1, the ERP has 11999 USD of INV-1"]
    assert compare(CASH, held(CASH, applies_to=()))


def test_the_masters_of_a_document_are_its_customer_and_its_items() -> None:
    assert masters_of(INVOICE) == (
        Master("customer", "Meridian Inc", "cus_1", "Acme", "1100"),
        Master("item", "Meridian Inc", "PLAT-STD", "PLAT-STD", "2100"),
    )
    assert masters_of(replace(INVOICE, kind="journal", customer=None)) == ()


@dataclass
class Erp:
    """Takes everything but customers named in `unknown`; keeps the order of its calls."""

    unknown: frozenset[str] = frozenset()
    calls: list[tuple[str, list[str]]] = field(default_factory=list)

    def ensure(self, masters: Sequence[Master]) -> dict[MasterKey, Failure]:
        self.calls.append(("ensure", [master.code for master in masters]))
        return {m.key: Failure("mapping_missing", f"No {m.code}.") for m in masters if m.code in self.unknown}

    def submit(self, documents: Sequence[Journal]) -> tuple[Outcome, ...]:
        self.calls.append(("submit", [sent.key for sent in documents]))
        return tuple(Outcome(sent.key, "posted", sent.key, sent.key) for sent in documents)


alone = contextlib.nullcontext


def nobody() -> AbstractContextManager[object]:
    raise AssertionError("no masters are made")


def test_masters_come_before_documents_and_once_a_call() -> None:
    erp = Erp()
    deliver(erp, [INVOICE, replace(CASH, key="key-2")], alone)  # type: ignore[arg-type]
    assert erp.calls == [("ensure", ["cus_1", "PLAT-STD"]), ("submit", ["key-1", "key-2"])]


def test_a_customer_that_cannot_be_made_harms_its_own_documents_only() -> None:
    erp = Erp(unknown=frozenset({"cus_1"}))
    other = replace(INVOICE, key="key-2", customer=Customer("cus_2", "Beta"))
    first, second = deliver(erp, [INVOICE, other], alone)  # type: ignore[arg-type]
    assert (first.state, first.failure and first.failure.failure_class) == (None, "mapping_missing")
    assert (second.state, second.failure) == ("posted", None)
    assert erp.calls[-1] == ("submit", ["key-2"])


def test_journals_alone_ask_for_no_masters() -> None:
    erp = Erp()
    deliver(erp, [replace(INVOICE, kind="journal", customer=None)], nobody)  # type: ignore[arg-type]
    assert [name for name, _ in erp.calls] == ["submit"]


def stored(**content: object) -> Batch:
    """An outbox row as the cut writes it."""
    line = {
        "line_no": 1, "account_role": "accounts_receivable", "account_code": "1100", "currency": "USD",
        "amount_tc": -500, "debit_fc": 0, "credit_fc": 500, "product_family": None, "prior_period": False,
        "member_count": 1, "dimensions": {},
    }  # fmt: skip
    other = line | {"line_no": 2, "account_role": "cash", "account_code": "1000", "amount_tc": 500}
    other |= {"debit_fc": 500, "credit_fc": 0, "item": "SEAT"}
    text = canonical(
        {"date": DATE, "period": "2026-03", "functional_currency": "USD", "event_class": "payment.settled",
         "entity_id": "US", "lines": [line, other], **content}
    )  # fmt: skip
    names: dict[str, object] = dict.fromkeys(Batch._fields)
    known = {"batch_key": "k" * 32, "erp_company": "Meridian Inc", "document_json": text}
    return Batch(**(names | known | {"content_hash": content_hash(text)}))  # type: ignore[arg-type]


def test_a_row_of_the_outbox_becomes_the_document_that_it_says() -> None:
    parts = [{"reference": "INV-1", "amount_tc": 500, "currency": "USD"}]
    row = stored(
        kind="cash_application", customer={"id": "cus_1", "name": "Acme"}, reference="ch_1", due_date="2026-04-04",
        applies_to=parts,
    )  # fmt: skip
    read = steps.journal_of(row, 64)
    assert (read.kind, read.customer, read.reference) == ("cash_application", ACME, "ch_1")
    assert (read.due_date, read.applies_to) == (dt.date(2026, 4, 4), (Application("INV-1", 500, "USD"),))
    assert [(x.role, x.item) for x in read.lines] == [("accounts_receivable", None), ("cash", "SEAT")]
    assert json.loads(row.document_json)["kind"] == read.kind


def test_a_row_without_a_kind_is_a_journal() -> None:
    read = steps.journal_of(stored(), 64)
    assert (read.kind, read.customer, read.applies_to) == ("journal", None, ())
