"""Documents as the generic contracts carry them: the receivable cut by what it settles, and the way back."""

from __future__ import annotations

import datetime as dt

import pytest

from revenue_assets.domain.config_erp_generic import GenericOptions
from revenue_assets.posting.erp.documents import compare
from revenue_assets.posting.erp.generic_records import GenericRecords, settling
from revenue_assets.posting.erp.port import Application, Customer, Journal, Line

DAY = dt.date(2026, 3, 20)
RECORDS = GenericRecords({"USD": 2, "EUR": 2, "KWD": 3})


def receivable(number: int, amount_tc: int, amount_fc: int, currency: str = "EUR") -> Line:
    return Line(number, "1100", 0, amount_fc, currency, -amount_tc, role="accounts_receivable")


def payment(*lines: Line, settles: tuple[tuple[str, int], ...]) -> Journal:
    currency, total = lines[0].currency, sum(x.credit for x in lines)
    cash = Line(9, "1000", total, 0, currency, -sum(x.amount_tc for x in lines), role="cash")
    parts = tuple(Application(number, amount, currency) for number, amount in settles)
    return Journal("k", "US Inc", DAY, "2026-03", "USD", (cash, *lines), kind="cash_application",
                   customer=Customer("cus_1", "Ada"), applies_to=parts)  # fmt: skip


def cut(document: Journal) -> list[tuple[str | None, int, int]]:
    """(number, amount in the line's currency, in functional currency) of the receivable lines."""
    return [(number, -x.amount_tc, x.credit - x.debit) for x, number in settling(document) if x.role != "cash"]


def test_a_line_that_is_one_invoices_part_keeps_its_own_functional_amount() -> None:
    """Two invoices at two rates: 100.00 EUR at 1.10 and 50.00 EUR at 1.30, as the books relieve them."""
    sent = payment(receivable(1, 100_00, 110_00), receivable(2, 50_00, 65_00), settles=(("B", 50_00), ("A", 100_00)))
    assert cut(sent) == [("A", 100_00, 110_00), ("B", 50_00, 65_00)]


def test_one_line_for_several_invoices_is_shared_out_to_the_last_cent() -> None:
    sent = payment(receivable(1, 100_00, 111_11), settles=(("A", 33_33), ("B", 33_33)))
    assert cut(sent) == [("A", 33_33, 37_03), ("B", 33_33, 37_03), (None, 33_34, 37_05)]
    assert sum(fc for _, _, fc in cut(sent)) == 111_11


def test_what_settles_nothing_stays_on_the_customers_account() -> None:
    assert cut(payment(receivable(1, 70_00, 70_00, "USD"), settles=())) == [(None, 70_00, 70_00)]
    two = payment(receivable(1, 40_00, 40_00, "USD"), receivable(2, 30_00, 30_00, "USD"), settles=(("A", 30_00),))
    assert cut(two) == [("A", 30_00, 30_00), (None, 40_00, 40_00)]


@pytest.mark.parametrize("currency", ["USD", "EUR", "KWD"])
def test_the_way_to_the_ledger_and_back_changes_nothing(currency: str) -> None:
    sent = payment(receivable(1, 100_01, 90_01 if currency != "USD" else 100_01, currency), settles=(("A", 60_00),))
    record = RECORDS.record(sent) | {"id": "7", "number": "J7", "state": "posted", "period": "2026-03"}
    held = RECORDS.read("US Inc", record)
    assert compare(sent, held) == []
    assert held.applies_to == sent.applies_to
    assert [line.get("settles") for line in record["lines"]] == [None, "A", None]
    assert [line.get("customer") for line in record["lines"]] == [None, "cus_1", "cus_1"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kinds": ["invoice"]}, "kinds must have 'journal'"),
        ({"kinds": ["journal", "credit_note"]}, "kinds with 'credit_note' must have 'invoice'"),
        ({"masters": ["item"]}, "masters are for ledgers that take invoices"),
    ],
)
def test_kinds_that_make_no_ledger_are_refused(options: dict[str, list[str]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        GenericOptions.model_validate(options)
