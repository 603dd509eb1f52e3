"""Is a document fit to send, and does what came back equal it? No ERP needed."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revenue_assets.posting.erp.documents import compare, reversed_lines, short_key, unfit
from revenue_assets.posting.erp.port import Capabilities, Journal, Line, PostedDocument

CAPABILITIES = Capabilities("any", "sync", 20, False, "call", 50, "company", False, 1.0)
LINES = (
    Line(1, "1100", 6_321, 0, "JPY", 12_000),
    Line(2, "2100", 0, 6_000, "JPY", -12_000),
    Line(3, "7000", 0, 321, "JPY", 0),
)
SENT = Journal("key-1", "Meridian Ltd", dt.date(2026, 3, 31), "2026-03", "GBP", LINES)


def held(journal: Journal, **changes: object) -> PostedDocument:
    """The journal as an ERP that changed nothing holds it, apart from `changes`."""
    document = PostedDocument(
        journal.key, "7", "1-2026/000007", "posted", journal.company, journal.accounting_date, journal.period,
        journal.functional_currency, journal.lines,
    )  # fmt: skip
    return replace(document, **changes)  # type: ignore[arg-type]


def test_equal_documents_have_no_difference() -> None:
    assert compare(SENT, held(SENT)) == []


def test_order_of_lines_and_idle_lines_do_not_matter() -> None:
    idle = Line(9, "1999", 0, 0, "GBP", 0)
    assert compare(SENT, held(SENT, lines=(idle, *reversed(SENT.lines)))) == []


def test_a_line_without_transaction_amount_is_in_functional_currency() -> None:
    read = (*LINES[:2], Line(3, "7000", 0, 321, "GBP", -321))
    assert compare(SENT, held(SENT, lines=read)) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"lines": (replace(LINES[0], debit=6_322), *LINES[1:])}, "debit of line 1: sent 6321, the ERP has 6322"),
        ({"lines": (replace(LINES[0], account_code="9"), *LINES[1:])}, "account of line 1: sent 1100, the ERP has 9"),
        ({"lines": (replace(LINES[0], amount_tc=12), *LINES[1:])}, "amount_tc of line 1: sent 12000, the ERP has 12"),
        ({"lines": (replace(LINES[0], currency="EUR"), *LINES[1:])}, "currency of line 1: sent JPY, the ERP has EUR"),
        ({"lines": LINES[:2]}, "line of line 3: sent 7000 debit 0 credit 321 (GBP -321), the ERP has nothing"),
        ({"lines": (*LINES, LINES[2])}, "line: sent nothing, the ERP has 7000 debit 0 credit 321 (GBP -321)"),
        ({"key": "key-2"}, "key: sent key-1, the ERP has key-2"),
        ({"company": "Meridian Inc"}, "company: sent Meridian Ltd, the ERP has Meridian Inc"),
        ({"functional_currency": "USD"}, "functional_currency: sent GBP, the ERP has USD"),
        ({"accounting_date": dt.date(2026, 4, 1)}, "accounting_date: sent 2026-03-31, the ERP has 2026-04-01"),
        ({"defects": ("line 1: half a cent",)}, "document: sent a sound document, the ERP has line 1: half a cent"),
    ],
)  # fmt: skip
def test_every_change_is_named(change: dict[str, object], expected: str) -> None:
    assert expected in [str(difference) for difference in compare(SENT, held(SENT, **change))]


amounts = st.integers(min_value=1, max_value=10**15)


@given(st.lists(amounts, min_size=1, max_size=6), st.data())
def test_no_single_change_goes_unseen(debits: list[int], data: st.DataObject) -> None:
    lines = [Line(n, str(1000 + n), amount, 0, "USD", amount) for n, amount in enumerate(debits)]
    lines.append(Line(len(lines), "2100", 0, sum(debits), "USD", -sum(debits)))
    journal = Journal("k", "c", dt.date(2026, 1, 1), "2026-01", "USD", tuple(lines))
    assert unfit(journal, CAPABILITIES) is None
    at = data.draw(st.integers(0, len(lines) - 1))
    changed = data.draw(
        st.sampled_from(
            [
                replace(lines[at], debit=lines[at].debit + 1),
                replace(lines[at], credit=lines[at].credit + 1),
                replace(lines[at], account_code="9999"),
                replace(lines[at], currency="EUR"),
            ]
        )
    )
    assert compare(journal, held(journal, lines=(*lines[:at], changed, *lines[at + 1 :])))


@given(st.lists(amounts, min_size=1, max_size=6))
def test_a_reversal_and_its_original_come_to_nothing(debits: list[int]) -> None:
    lines = tuple(Line(n, "1", amount, 0, "JPY", amount * 2) for n, amount in enumerate(debits))
    back = reversed_lines(lines)
    assert all(
        a.debit == b.credit and a.credit == b.debit and a.amount_tc == -b.amount_tc
        for a, b in zip(lines, back, strict=True)
    )
    assert reversed_lines(back) == lines


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"key": ""}, "key"),
        ({"key": " key"}, "blank"),
        ({"key": "k" * 21}, "1 to 20 characters"),
        ({"lines": ()}, "no lines"),
        ({"lines": LINES[:2]}, "do not balance"),
        ({"lines": (Line(1, "1", 5, 5, "GBP", 0),)}, "not on one side"),
        ({"lines": (Line(1, "1", -5, 0, "GBP", -5),)}, "not on one side"),
        ({"lines": (Line(1, "1", 5, 0, "GBP", 6), Line(2, "2", 0, 5, "GBP", -5))}, "two amounts in GBP"),
    ],
)
def test_an_unsound_document_is_not_sent(change: dict[str, object], words: str) -> None:
    failure = unfit(replace(SENT, **change), CAPABILITIES)  # type: ignore[arg-type]
    assert failure is not None
    assert (failure.failure_class, words in failure.message) == ("invalid", True)


def test_a_kind_the_erp_does_not_take_is_said_so() -> None:
    failure = unfit(SENT, replace(CAPABILITIES, kinds=frozenset({"invoice"})))
    assert failure is not None
    assert "takes no journal" in failure.message


def test_short_keys_keep_what_fits_and_stay_apart() -> None:
    assert short_key("key-1", 20) == "key-1"
    long = ["revenue-" + "x" * 40 + str(number) for number in range(2_000)]
    short = [short_key(key, 10) for key in long]
    assert len(set(short)) == len(long)
    assert {len(key) for key in short} == {10}
    assert short == [short_key(key, 10) for key in long]
