"""The conformance suite of ERP adapters: every duty of the port, tried from outside. Run it over a new adapter by

    class TestMyLedger(HttpErpConformance):          # ErpConformance for adapters that do not speak HTTP
        @pytest.fixture
        def bench(self) -> ErpBench: ...

`erp_detail_conformance` has what concerns invoices, credit notes and payments. The worker's part (intent, lease,
settle, fence) is tried elsewhere; here one call at a time meets the ledger.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, get_args

import pytest

from revenue_assets.domain.failures import CLASSES
from revenue_assets.posting.erp.documents import compare, short_key
from revenue_assets.posting.erp.port import (
    AccountBalance,
    Customer,
    ErpError,
    ErpPort,
    Journal,
    Line,
    Master,
    MasterKey,
    MasterKind,
    Outcome,
    PostedDocument,
    Reversal,
)
from revenue_assets.testing.erp_bench import RETRY_AFTER, ErpBench, Fault, new_key

# More than a float can hold to the cent.
LARGE = 9_007_199_254_740_993_01


class ErpConformance:
    """Duties that need no network. `bench` is a fixture of the subclass."""

    tries_details: ClassVar[bool] = False

    def test_documents_that_are_no_journals_are_tried_too(self, bench: ErpBench) -> None:
        """An adapter that takes more than journals inherits `erp_detail_conformance.DetailConformance` as well."""
        assert self.tries_details is (bench.port().capabilities.kinds != {"journal"})

    def test_it_is_a_port_with_sound_capabilities(self, bench: ErpBench) -> None:
        port = bench.port()
        assert isinstance(port, ErpPort)
        can = port.capabilities
        assert can.key_length_max >= 16, "a shorter key would collide within a company's life"
        assert can.batch_size_max >= 1
        assert can.settle_seconds >= 0
        assert "journal" in can.kinds

    def test_a_journal_arrives_once_and_reads_back_equal(self, bench: ErpBench) -> None:
        port, document = bench.port(), bench.journal()
        outcome = posted(bench, port, document)
        assert outcome.document_id
        assert bench.copies([document.key]) == {document.key: 1}
        held = read(port, bench, outcome)
        assert compare(document, held) == []
        assert (held.state, held.document_id, held.number) == ("posted", outcome.document_id, outcome.number)
        assert held.period == bench.period

    def test_it_looks_before_it_creates(self, bench: ErpBench) -> None:
        first, fresh = bench.journal(), bench.journal()
        outcome = posted(bench, bench.port(), first)
        again = bench.brought_in(bench.port(), [first, fresh])
        assert [o.key for o in again] == [first.key, fresh.key]
        assert (again[0].document_id, again[0].already_there, again[0].failure) == (outcome.document_id, True, None)
        assert not again[1].already_there
        assert bench.copies([first.key, fresh.key]) == {first.key: 1, fresh.key: 1}

    def test_one_key_is_one_content(self, bench: ErpBench) -> None:
        document = bench.journal()
        posted(bench, bench.port(), document)
        (outcome,) = bench.brought_in(bench.port(), [replace(bench.journal(12_346, -12_346), key=document.key)])
        assert failure_of(outcome) == "conflict"
        assert bench.copies([document.key]) == {document.key: 1}

    def test_keys_are_found_exactly(self, bench: ErpBench) -> None:
        """Whole and to the last character: neither a prefix, nor another letter case of it, nor a pattern in it."""
        port = bench.port()
        length = port.capabilities.key_length_max
        key = new_key(length)
        posted(bench, port, bench.journal(key=key))
        near = [key[:-1], key[:-1] + ("x" if key[-1] != "x" else "y"), key[:-1] + "_", key[:-1] + "%", new_key(8)]
        found = port.find(bench.company, [key, *near])
        assert [(hit.key, hit.state) for hit in found[key]] == [(key, "posted")]
        assert all(not found.get(other) for other in near)
        shortened = short_key(f"{key}longer", length)
        assert posted(bench, port, bench.journal(key=shortened)).key == shortened

    def test_a_key_that_does_not_fit_is_not_cut(self, bench: ErpBench) -> None:
        port = bench.port()
        key = new_key(port.capabilities.key_length_max + 1)
        (outcome,) = bench.brought_in(port, [bench.journal(key=key)])
        assert failure_of(outcome) == "invalid"
        assert not any(bench.copies([key, key[:-1]]).values())

    def test_a_refused_document_harms_no_other(self, bench: ErpBench) -> None:
        good, unmapped, unbalanced, last = (
            bench.journal(), on_account(bench.journal(), "no-such-account"), bench.journal(100, -99), bench.journal()
        )  # fmt: skip
        outcomes = bench.brought_in(bench.port(), [good, unmapped, unbalanced, last])
        assert [o.state for o in outcomes] == ["posted", None, None, "posted"]
        assert (failure_of(outcomes[1]), failure_of(outcomes[2])) == ("mapping_missing", "invalid")
        keys = [d.key for d in (good, unmapped, unbalanced, last)]
        assert [bench.copies([key]).get(key, 0) for key in keys] == [1, 0, 0, 1]

    def test_large_amounts_survive_to_the_last_digit(self, bench: ErpBench) -> None:
        port, document = bench.port(), bench.journal(LARGE, -1, -(LARGE - 1))
        assert compare(document, read(port, bench, posted(bench, port, document))) == []
        posted(bench, port, bench.journal(-LARGE, 1, LARGE - 1))

    def test_currencies_of_0_2_and_3_digits_keep_their_amounts(self, bench: ErpBench) -> None:
        port = bench.port()
        for currency in (bench.currency, *bench.foreign):
            document = foreign(bench, currency)
            held = read(port, bench, posted(bench, port, document))
            assert compare(document, held) == [], currency

    def test_debits_and_credits_keep_their_sides(self, bench: ErpBench) -> None:
        """The order of lines is the ERP's; the side of each amount is not."""
        port, document = bench.port(), bench.journal(-7, 3, 4)
        held = read(port, bench, posted(bench, port, document))
        sides = sorted((x.account_code, x.debit, x.credit, x.amount_tc) for x in held.lines if x.debit or x.credit)
        a, b, c = bench.accounts
        assert sides == sorted([(a, 0, 7, -7), (b, 3, 0, 3), (c, 4, 0, 4)])

    def test_closed_periods_take_nothing(self, bench: ErpBench) -> None:
        port = bench.port()
        date = dt.date.fromisoformat(f"{bench.closable}-15")
        document = bench.journal(accounting_date=date, period=bench.closable)
        bench.set_period(bench.closable, "closed")
        try:
            states = {p.name: p.state for p in port.periods(bench.company)}
            assert (states[bench.period_name(bench.closable)], states[bench.period]) == ("closed", "open")
            assert port.preflight([document])[document.key].failure_class == "period_closed"
            (outcome,) = bench.brought_in(port, [document])
            assert failure_of(outcome) == "period_closed"
            assert not any(bench.copies([document.key]).values())
        finally:
            bench.set_period(bench.closable, "open")
        # The same adapter, a moment later: what it remembers of the period must not outlive the opening for long.
        assert posted(bench, bench.port(), document).document_id

    def test_periods_are_in_order_and_whole(self, bench: ErpBench) -> None:
        periods = bench.port().periods(bench.company)
        assert [p.start_date for p in periods] == sorted(p.start_date for p in periods)
        assert all(p.start_date <= p.end_date for p in periods)
        (mine,) = [p for p in periods if p.start_date <= bench.date <= p.end_date]
        assert (mine.name, mine.state, mine.company) == (bench.period, "open", bench.company)

    def test_a_date_without_a_period_is_said_so(self, bench: ErpBench) -> None:
        port, document = bench.port(), bench.journal(accounting_date=dt.date(1971, 1, 1), period="1971-01")
        assert port.preflight([document])[document.key].failure_class == "mapping_missing"
        (outcome,) = bench.brought_in(port, [document])
        assert failure_of(outcome) == "mapping_missing"
        assert not any(bench.copies([document.key]).values())

    def test_preflight_names_what_would_be_refused_and_sends_nothing(self, bench: ErpBench) -> None:
        port = bench.port()
        good, bad = bench.journal(), bench.journal(100, -99)
        unmapped = on_account(bench.journal(), "no-such-account")
        elsewhere = replace(bench.journal(), company="No Such Company")
        found = port.preflight([good, bad, unmapped, elsewhere])
        assert {k: f.failure_class for k, f in found.items()} == {
            bad.key: "invalid", unmapped.key: "mapping_missing", elsewhere.key: "mapping_missing"
        }  # fmt: skip
        assert not any(bench.copies([d.key for d in (good, bad, unmapped, elsewhere)]).values())

    def test_an_unknown_company_is_a_failure_of_its_documents(self, bench: ErpBench) -> None:
        document = replace(bench.journal(), company="No Such Company")
        (outcome,) = bench.port().submit([document])
        assert failure_of(outcome) == "mapping_missing"

    def test_resolve_leaves_out_what_is_missing(self, bench: ErpBench) -> None:
        there = [
            MasterKey("company", bench.company, bench.company),
            *(MasterKey("account", bench.company, code) for code in bench.accounts),
        ]
        missing = [
            MasterKey("account", bench.company, "no-such-account"),
            MasterKey("company", "No Such Company", "No Such Company"),
            MasterKey("unheard of", bench.company, "x"),
        ]
        found = bench.port().resolve([*there, *missing])
        assert set(found) == set(there)
        assert all(isinstance(known, str) and known for known in found.values())

    def test_an_altered_document_is_caught(self, bench: ErpBench) -> None:
        port, document = bench.port(), bench.journal()
        outcome = posted(bench, port, document)
        bench.alter(outcome.document_id or "")
        differences = compare(document, read(port, bench, outcome))
        assert {d.field for d in differences} & {"debit", "credit"}
        (again,) = bench.brought_in(port, [document])
        assert failure_of(again) == "conflict"

    def test_a_reversal_is_the_exact_negative_and_linked(self, bench: ErpBench) -> None:
        port, document = bench.port(), foreign(bench, (*bench.foreign, bench.currency)[0])
        original = posted(bench, port, document)
        request = Reversal(
            new_key(), bench.company, original.document_id or "", bench.date, f"{bench.date:%Y-%m}", "taken back"
        )
        outcome = followed(bench, port, port.reverse(request))
        assert outcome.failure is None, outcome.failure
        held = read(port, bench, outcome)
        assert sorted(content(held.lines)) == sorted(
            (a, credit, debit, c, -t) for a, debit, credit, c, t in content(read(port, bench, original).lines)
        )
        assert bench.origin(outcome.document_id or "") == original.document_id
        again = port.reverse(request)
        assert (again.document_id, again.already_there) == (outcome.document_id, True)
        assert bench.copies([request.key]) == {request.key: 1}

    def test_what_is_not_there_cannot_be_reversed(self, bench: ErpBench) -> None:
        request = Reversal(new_key(), bench.company, "999999999", bench.date, f"{bench.date:%Y-%m}")
        assert failure_of(bench.port().reverse(request)) == "invalid"

    def test_balances_move_by_what_was_posted(self, bench: ErpBench) -> None:
        port, period = bench.port(), bench.period
        before = sums(port.balances(bench.company, period))
        posted(bench, port, bench.journal(-7, 3, 4))
        after = port.balances(bench.company, period)
        assert [b.account_code for b in after] == sorted(b.account_code for b in after)
        assert sum(b.balance for b in after) == 0
        a, b, c = bench.accounts
        moved = sums(after)
        moved.subtract(before)
        assert {k: v for k, v in moved.items() if v} == {(a, "credit"): 7, (b, "debit"): 3, (c, "debit"): 4}

    def test_unknown_ids_keys_and_jobs_have_no_document(self, bench: ErpBench) -> None:
        port, key = bench.port(), new_key()
        assert port.lines(bench.company, ["999999999"]) == {}
        assert port.lines(bench.company, []) == {}
        assert not any(port.find(bench.company, [key]).values())
        (outcome,) = port.poll(bench.company, {key: "999999999"})
        assert outcome.key == key
        assert failure_of(outcome) in CLASSES

    def test_one_call_has_each_key_once(self, bench: ErpBench) -> None:
        document = bench.journal()
        with pytest.raises(ValueError, match="twice"):  # its outcomes could not be told apart
            bench.port().submit([document, document])

    def test_a_kind_it_does_not_take_never_arrives_as_another(self, bench: ErpBench) -> None:
        port = bench.port()
        unknown = {"invoice", "credit_note", "cash_application"} - port.capabilities.kinds
        documents = [
            bench.journal(kind=kind, customer=Customer("c1", "Customer"), reference="X-1") for kind in sorted(unknown)
        ]
        outcomes = port.submit(documents) if documents else ()
        assert {failure_of(o) for o in outcomes} <= {"invalid"}
        assert not any(bench.copies([d.key for d in documents]).values())

    def test_masters_it_cannot_make_are_named(self, bench: ErpBench) -> None:
        port = bench.port()
        masters = [
            Master(kind, bench.company, new_key(), "Name", bench.accounts[0])
            for kind in get_args(MasterKind)
            if kind not in port.capabilities.masters
        ]
        assert set(port.ensure(masters)) == {master.key for master in masters}


class HttpErpConformance(ErpConformance):
    """What else an adapter owes that speaks HTTP: each way in which a write can fail is told apart."""

    # Fault -> classes that say the truth about it. `unavailable` is right where nothing left, `uncertain` never wrong.
    CLASSES_OF: ClassVar[dict[Fault, set[str]]] = {
        "auth": {"auth"},
        "throttled": {"throttled"},
        "unavailable": {"unavailable", "uncertain"},
        "server_error": {"uncertain", "unavailable"},
        "lost_request": {"uncertain", "unavailable"},
        "lost_answer": {"uncertain", "unavailable"},
    }

    def test_each_fault_of_a_write_has_its_class_and_leaves_no_second_document(self, bench: ErpBench) -> None:
        assert bench.faulty is not None
        for fault, classes in self.CLASSES_OF.items():
            document = bench.journal()
            (outcome,) = bench.faulty(fault).submit([document])
            if outcome.failure is None:  # it tried again by itself, which it may where nothing was done
                assert posted(bench, bench.port(), document).already_there, fault
                continue
            assert failure_of(outcome) in classes, fault
            assert outcome.failure.retry, fault
            assert outcome.failure.look_up_first is (fault not in ("auth", "throttled")), fault
            if fault == "throttled":
                assert outcome.failure.retry_after == RETRY_AFTER
            bench.settle()
            there = bench.copies([document.key]).get(document.key, 0)
            assert there <= (fault == "lost_answer"), fault
            (again,) = bench.brought_in(bench.port(), [document])
            assert (again.state, again.failure) == ("posted", None), fault
            assert bench.copies([document.key]) == {document.key: 1}, fault

    def test_a_read_that_gives_no_answer_raises(self, bench: ErpBench) -> None:
        """An empty answer would read as "not there", and the worker would send again."""
        assert bench.faulty is not None
        port = bench.faulty("dead_reads")
        for call in (
            lambda: port.find(bench.company, [new_key()]),
            lambda: port.lines(bench.company, ["1"]),
            lambda: port.periods(bench.company),
            lambda: port.balances(bench.company, bench.period),
        ):
            with pytest.raises(ErpError) as caught:
                call()
            assert caught.value.failure.failure_class == "unavailable"


def posted(bench: ErpBench, port: ErpPort, document: Journal) -> Outcome:
    """The outcome of a document that must arrive."""
    (outcome,) = bench.brought_in(port, [document])
    assert (outcome.key, outcome.state, outcome.failure) == (document.key, "posted", None)
    return outcome


def followed(bench: ErpBench, port: ErpPort, outcome: Outcome) -> Outcome:
    """A reversal that is queued or drafted, until it is posted."""
    bench.settle()
    if outcome.failure is not None or outcome.state == "posted":
        return outcome
    hits = port.find(bench.company, [outcome.key])[outcome.key]
    assert [hit.state for hit in hits] == ["posted"]
    return replace(outcome, state="posted", document_id=hits[0].document_id, number=hits[0].number)


def read(port: ErpPort, bench: ErpBench, outcome: Outcome) -> PostedDocument:
    """The document as the ERP holds it now."""
    return port.lines(bench.company, [outcome.document_id or ""])[outcome.document_id or ""]


def failure_of(outcome: Outcome) -> str | None:
    """The failure's class, None if there is none."""
    return None if outcome.failure is None else outcome.failure.failure_class


def on_account(document: Journal, code: str) -> Journal:
    """The document with its first line on another account."""
    return replace(document, lines=(replace(document.lines[0], account_code=code), *document.lines[1:]))


def foreign(bench: ErpBench, currency: str) -> Journal:
    """Lines in another currency: the same digits in it for the company's own, else amounts of their own."""
    if currency == bench.currency:
        return bench.journal()
    a, b, c = bench.accounts
    lines = (
        Line(1, a, 6_321, 0, currency, 12_007, "t"),
        Line(2, b, 0, 6_000, currency, -12_007, "t"),
        Line(3, c, 0, 321, currency, 0, "exchange difference"),
    )
    return replace(bench.journal(), lines=lines)


def sums(balances: Sequence[AccountBalance]) -> Counter[tuple[str, str]]:
    """(account, side) -> minor units."""
    totals: Counter[tuple[str, str]] = Counter()
    for balance in balances:
        totals[balance.account_code, "debit"] += balance.debit
        totals[balance.account_code, "credit"] += balance.credit
    return totals


def content(lines: Sequence[Line]) -> list[tuple[str, int, int, str, int]]:
    """What of lines must be equal, whatever their order."""
    return [(x.account_code, x.debit, x.credit, x.currency, x.amount_tc) for x in lines if x.debit or x.credit]
