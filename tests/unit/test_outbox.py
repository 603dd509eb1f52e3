"""The worker takes every batch to verified exactly once, and says plainly what it cannot."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from fake_erp import FakeErp, Faults, Killed, cent
from sqlalchemy import text
from store_kit import AS_OF, FakeClock, House, entry, invoice, recognition

from revenue_assets.posting.batches import cut
from revenue_assets.posting.booking import book
from revenue_assets.posting.erp.port import Failure
from revenue_assets.posting.outbox import Limits, drain, ready, replay
from revenue_assets.store import audit, exceptions, leases, outbox
from revenue_assets.store.engine import StoreError

PATIENT = Limits(max_wait_seconds=60, backoff_base_seconds=0.05, backoff_cap_seconds=0.2)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def house(tmp_path, clock) -> House:
    house = House.build(tmp_path)
    house.should(
        *[invoice(f"i{n}", f"2026-0{1 + n % 3}-05", 100 + n) for n in range(6)], recognition("r", "2026-01-31", 9)
    )
    book(house.store, house.journal, house.warehouse, house.state, AS_OF, clock=clock)
    cut(house.store, house.journal, house.state, AS_OF, tenant="t", clock=clock)
    return house


def erp(clock, **more) -> FakeErp:
    return FakeErp(clock.now, **more)


def run(house, port, clock, limits=PATIENT, **more):
    return drain(house.store, {"US Inc": port}, clock=clock, limits=limits, **more)


def states(house) -> dict[str, int]:
    return {status: n for status, n in outbox.counts(house.store).items() if n}


def open_items(house) -> list[dict]:
    return exceptions.all_exceptions(house.store, open_only=True)


def test_everything_is_posted_read_back_and_verified(house, clock):
    port = erp(clock)
    report = run(house, port, clock)
    assert (report.total("verified"), report.total("sent"), report.is_finished) == (4, 4, True)
    assert states(house) == {"verified": 4}
    assert set(port.copies().values()) == {1}
    row = outbox.all_batches(house.store)[0]
    assert [a["action"] for a in outbox.attempts_of(house.store, row["batch_key"])] == ["submit", "submit", "read back"]
    assert row["erp_document_number"]
    assert audit.verify(house.store)[1] is None


def test_documents_go_out_in_the_order_of_their_periods(house, clock):
    port = erp(clock, batch_size_max=1)
    run(house, port, clock)
    assert [s.journal.period for s in port.documents] == sorted(s.journal.period for s in port.documents)
    assert port.calls["submit"] == 4


def test_a_second_drain_asks_the_erp_nothing(house, clock):
    port = erp(clock)
    run(house, port, clock)
    calls = dict(port.calls)
    assert run(house, port, clock).companies == []
    assert dict(port.calls) == calls


def test_a_death_at_any_phase_never_posts_twice(house, clock):
    for phase in ("received", "committed", "replied"):
        port = erp(clock, faults=Faults(remembers_keys=False, late_commit=0.06, index_lag=0.15))
        port.phase = killer(phase)
        with pytest.raises(Killed):
            run(house, port, clock)
        assert states(house)["sent"] == 4
        port.phase = lambda name: None
        report = run(house, port, clock)
        assert report.total("verified") == 4
        assert clock.slept > 0, "the unknown outcome has to settle before the look-up"
        assert set(port.copies().values()) == {1}
        assert len(port.copies()) == 4
        # The same four batches again, for the next phase.
        reset(house)


def killer(phase):
    def kill(name):
        if name == phase:
            raise Killed

    return kill


def reset(house):
    with house.store.write() as connection:
        connection.execute(
            text(
                "update posting_batches set status = 'planned', erp_document_id = null, settle_until = null, "
                "next_attempt_at = null"
            )
        )


def test_an_unknown_outcome_is_looked_up_not_resent(house, clock):
    port = erp(clock, faults=Faults(remembers_keys=False, drop_after_commit=1.0))
    report = run(house, port, clock)
    assert (report.total("verified"), report.total("found"), port.calls["submit"]) == (4, 4, 1)
    assert set(port.copies().values()) == {1}


def test_without_time_to_settle_the_rest_is_left_with_its_time(house, clock):
    port = erp(clock, faults=Faults(drop_after_commit=1.0, settle=30))
    report = run(house, port, clock, limits=replace(PATIENT, max_wait_seconds=0))
    assert (report.total("waiting"), states(house)) == (4, {"uncertain": 4})
    assert report.companies[0].next_due > clock.now() + dt.timedelta(seconds=20)
    assert ready(house.store, clock=clock) == []
    clock.sleep(31)
    assert [w.batches for w in ready(house.store, clock=clock)] == [4]


def test_a_refused_document_harms_no_other(house, clock):
    port = erp(clock)
    bad = outbox.all_batches(house.store)[1]["batch_key"]
    port.refuse[bad] = Failure("period_closed", "Period 2026-01 is closed in the ERP.", "ER-17")
    report = run(house, port, clock)
    assert (report.total("verified"), report.total("dead")) == (3, 1)
    (item,) = open_items(house)
    assert (item["category"], item["owner_team"], item["idempotency_key"], item["blocks_close"]) == (
        "period_closed",
        "Controller",
        bad,
        True,
    )
    assert "Period 2026-01 is closed" in item["error_message"]
    assert item["next_action"]


def test_replay_after_the_fix_posts_without_rekeying_and_twice_is_nothing(house, clock):
    port = erp(clock)
    bad = outbox.all_batches(house.store)[0]["batch_key"]
    port.refuse[bad] = Failure("mapping_missing", "Account 1100 is not in the ERP.")
    run(house, port, clock)
    port.refuse.clear()
    replay(house.store, bad, actor="integration", note="account added", clock=clock)
    assert [i["status"] for i in open_items(house)] == ["Ready for replay"]
    run(house, port, clock)
    assert open_items(house) == []
    assert states(house) == {"verified": 4}
    assert port.copies()[bad] == 1
    with pytest.raises(StoreError, match="nothing to replay"):
        replay(house.store, bad, actor="integration", clock=clock)


@pytest.mark.parametrize(
    ("alter", "word"),
    [
        (cent, "debit"),
        (lambda d: replace(d, lines=d.lines[:1]), "nothing"),
        (lambda d: replace(d, key="other"), "key"),
        (lambda d: replace(d, document_id="other"), "document id"),
        (lambda d: replace(d, functional_currency="EUR"), "EUR"),
        (lambda d: replace(d, accounting_date=dt.date(2026, 1, 1)), "accounting_date"),
        (lambda d: replace(d, state="created"), "created"),
        (lambda d: None, "no longer has"),
    ],
)
def test_an_altered_document_is_never_verified(house, clock, alter, word):
    report = run(house, erp(clock, alter=alter), clock)
    assert (report.total("verified"), report.total("dead")) == (0, 4)
    assert {i["category"] for i in open_items(house)} == {"readback_mismatch"}
    assert all(word in i["error_message"] for i in open_items(house))


def test_an_outage_is_a_delay_and_opens_the_circuit(house, clock):
    port = erp(clock, batch_size_max=1)
    port.down = Failure("unavailable", "The ERP answers 503.")
    limits = Limits(max_wait_seconds=0, backoff_base_seconds=10)
    for _ in range(20):
        run(house, port, clock, limits=limits)
        clock.sleep(1)
    assert port.calls["submit"] + port.calls["find"] <= 8, "an open circuit must keep us from hammering"
    assert states(house).keys() <= {"planned", "uncertain"}
    port.down = None
    clock.sleep(3600)
    assert run(house, port, clock).total("verified") == 4
    assert set(port.copies().values()) == {1}
    assert open_items(house) == []


def test_throttling_waits_as_long_as_the_erp_asks(house, clock):
    port = erp(clock)
    port.down = Failure("throttled", "Too many requests.", retry_after=120)
    run(house, port, clock, limits=Limits())
    assert port.calls["submit"] == 1
    clock.sleep(60)
    assert ready(house.store, clock=clock) == []
    run(house, port, clock, limits=Limits())
    assert port.calls["submit"] == 1
    port.down = None
    clock.sleep(61)
    assert run(house, port, clock).total("verified") == 4


def test_accepted_jobs_are_polled_to_the_end(house, clock):
    port = erp(clock, mode="async")
    report = run(house, port, clock)
    assert (report.total("verified"), port.calls["submit"]) == (4, 1)
    assert port.calls["poll"] >= 1


def test_two_documents_with_one_key_are_a_conflict_for_a_person(house, clock):
    port = erp(clock, faults=Faults(remembers_keys=False, drop_after_commit=1.0))
    run(house, port, clock, limits=replace(PATIENT, max_wait_seconds=0))
    port.documents.append(replace(port.documents[0], document_id="99"))
    report = run(house, port, clock)
    assert (report.total("verified"), report.total("dead")) == (3, 1)
    assert [i["category"] for i in open_items(house)] == ["conflict"]


def test_an_adapter_that_raises_leaves_uncertain_rows(house, clock):
    port = erp(clock, faults=Faults(remembers_keys=False))
    port.phase = broken
    run(house, port, clock, limits=replace(PATIENT, max_wait_seconds=0))
    assert states(house) == {"uncertain": 4}
    port.phase = lambda name: None
    assert run(house, port, clock).total("verified") == 4
    assert set(port.copies().values()) == {1}


def broken(name):
    if name == "committed":
        raise RuntimeError("a bug in the adapter")


def test_a_stored_document_that_was_tampered_with_is_not_sent(house, clock):
    with house.store.write() as connection:
        connection.execute(text("drop trigger posting_batches_frozen"))
        connection.execute(
            text(
                "update posting_batches set document_json = replace(document_json, '\"debit_fc\":', "
                "'\"debit_fc\": ') where seq = 1"
            )
        )
    port = erp(clock)
    report = run(house, port, clock)
    assert (report.total("dead"), len(port.documents)) == (1, 3)
    assert "not the one its key was made for" in open_items(house)[0]["error_message"]


def test_stopping_finishes_the_request_under_way(house, clock):
    port = erp(clock, batch_size_max=1)
    report = run(house, port, clock, stop=lambda: port.calls["submit"] >= 2)
    assert report.companies[0].stopped
    assert port.calls["submit"] == 2
    assert "sent" not in states(house)
    assert run(house, port, clock).total("waiting") == 0


def test_one_writer_per_company(house, clock):
    port = erp(clock)
    with leases.held(house.store, "erp:US Inc", clock=clock):
        report = run(house, port, clock, limits=replace(PATIENT, lease_wait_seconds=0))
        assert ready(house.store, clock=clock) == []
    assert report.companies[0].held_elsewhere
    assert not report.is_finished
    assert port.calls == {}


def test_a_poster_that_wakes_up_after_its_lease_writes_nothing(house, clock):
    port = erp(clock, faults=Faults(unique_id=True))
    other = erp(clock)
    other.documents = port.documents

    def overtaken(name):
        """While this poster sleeps inside its request, its lease runs out and another one drains everything."""
        if name == "committed":
            port.phase = lambda n: None
            with house.store.write() as connection:
                connection.execute(
                    text(
                        "update leases set holder = 'elsewhere|?|1|?|x', expires_at = '2000-01-01 "
                        "00:00:00.000000' where name like 'erp:%'"
                    )
                )
            assert run(house, other, clock).total("verified") == 4

    port.phase = overtaken
    other.faults = replace(other.faults, unique_id=True)
    report = run(house, port, clock)
    assert "taken over" in report.companies[0].held_elsewhere
    assert states(house) == {"verified": 4}
    assert set(port.copies().values()) == {1}


def test_ready_names_each_finished_attempt_anew(house, clock):
    (first,) = ready(house.store, clock=clock)
    assert (first.erp_company, first.batches, first.attempt) == ("US Inc", 4, 1)
    assert ready(house.store, clock=clock) == [first]
    port = erp(clock)
    port.down = Failure("auth", "The robot's password has expired.")
    run(house, port, clock, limits=Limits(max_wait_seconds=0))
    clock.sleep(5)
    (second,) = ready(house.store, clock=clock)
    assert second.run_key != first.run_key
    clock.sleep(700)
    (third,) = ready(house.store, clock=clock)
    assert third.attempt == second.attempt
    assert third.run_key != second.run_key, "a run that died before it started must not block its work for ever"


def test_work_without_a_port_is_named(house, clock):
    report = drain(house.store, {}, clock=clock)
    assert (report.unserved, report.is_finished) == (["US Inc"], False)


def test_the_exchange_leg_in_the_companys_own_currency_is_posted_at_its_functional_value(tmp_path, clock):
    """Received 15,883 US cents for a receivable worth 16,165: the ERP's own-currency line has room for one amount."""
    house = House.build(tmp_path)
    house.write_masters(
        accounts={"accounts_receivable": "1100", "cash": "1000", "currency_exchange": "1900", "fx": "7000"}
    )
    legs = [
        ("accounts_receivable", "CAD", -22315, -16165),
        ("cash", "USD", 15883, 15883),
        ("currency_exchange", "CAD", 22315, 16165),
        ("currency_exchange", "USD", -15883, -16165),
        ("fx", "CAD", 0, 282),
    ]
    lines = entry("p", "2026-01-05", *[(role, fc) for role, _, _, fc in legs], event="payment.settled")
    for line, (_, currency, tc, _) in zip(lines, legs, strict=True):
        line |= {"currency": currency, "amount_tc": tc}
    house.should(lines)
    book(house.store, house.journal, house.warehouse, house.state, AS_OF, clock=clock)
    cut(house.store, house.journal, house.state, AS_OF, tenant="t", clock=clock)
    port = erp(clock)
    assert run(house, port, clock).total("verified") == 1
    posted = {(x.account_code, x.currency): (x.debit, x.credit, x.amount_tc) for x in port.documents[0].journal.lines}
    assert posted["1900", "USD"] == (0, 16165, -16165)
    assert posted["1900", "CAD"] == (16165, 0, 22315)
    with house.store.read() as connection:
        (batch,) = outbox.lines_of(connection, [b["batch_key"] for b in outbox.all_batches(house.store)]).values()
    assert [x["amount_tc"] for x in batch if (x["account_role"], x["currency"]) == ("currency_exchange", "USD")] == [
        -15883
    ]
