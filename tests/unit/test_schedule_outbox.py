"""Each version reaches the ERP once and in turn, and is verified part by part; what cannot be, says why."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fake_erp import Faults, Killed
from schedule_kit import COMPANY, ScheduleErp, built, line, opened, planned, scheduled
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError
from store_kit import FakeClock, House

from revenue_assets import exception_queue
from revenue_assets.domain import schedule_state as state
from revenue_assets.domain.posting_state import IllegalTransition
from revenue_assets.exceptions_cli import _words
from revenue_assets.posting.erp.port import Failure
from revenue_assets.posting.outbox import Limits, ready
from revenue_assets.posting.schedules.outbox import drain, replay
from revenue_assets.store import audit, exceptions, leases, schedule_outbox
from revenue_assets.store.engine import StoreError

PATIENT = Limits(max_wait_seconds=60, backoff_base_seconds=0.05, backoff_cap_seconds=0.2)
NOW = replace(PATIENT, max_wait_seconds=0)
YEAR = {"2026-01": 100, "2026-02": 90, "2026-03": 100}
SHORT = {"2026-01": 100, "2026-02": 5}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three schedules, planned; planning anew for each test would take most of its time."""
    house, clock = built(tmp_path_factory.mktemp("template") / "home"), FakeClock()
    scheduled(house, line("i1", YEAR), line("i2", YEAR), line("i3", YEAR))
    planned(house, erp(clock), clock)
    house.store.close()
    return house.root


@pytest.fixture
def house(template: Path, tmp_path: Path) -> House:
    return opened(Path(shutil.copytree(template, tmp_path / "home")))


def erp(clock: FakeClock, **more) -> ScheduleErp:
    return ScheduleErp(clock.now, **more)


def run(house, port, clock, limits=PATIENT, **more):
    return drain(house.store, {COMPANY: port}, clock=clock, limits=limits, **more)


def states(house) -> dict[str, int]:
    return {status: n for status, n in schedule_outbox.counts(house.store).items() if n}


def open_items(house) -> list[dict]:
    return exceptions.all_exceptions(house.store, open_only=True)


def keys(house) -> dict[str, str]:
    """Document -> the key of its newest version."""
    rows = schedule_outbox.all_updates(house.store)
    return {json.loads(row["document_json"])["document_id"]: row["update_key"] for row in rows}


def amended(house, clock, *, document="i1", amounts=SHORT) -> None:
    """The contract of one line changes; the others stay."""
    others = [line(other, YEAR) for other in ("i1", "i2", "i3") if other != document]
    scheduled(house, line(document, amounts), *others)
    planned(house, erp(clock), clock)


def test_everything_is_put_read_back_and_verified(house, clock):
    port = erp(clock)
    report = run(house, port, clock)
    assert (report.total("verified"), report.total("sent"), report.is_finished) == (3, 3, True)
    assert states(house) == {"verified": 3}
    assert [len(s.parts) for s in port.now_held().values()] == [3, 3, 3]
    tried = schedule_outbox.attempts_of(house.store, keys(house)["i1"])
    assert [(a["action"], a["outcome"]) for a in tried] == [("put", "intent"), ("put", "ok"), ("read back", "equal")]
    assert audit.verify(house.store)[1] is None
    assert [e["detail"] for e in audit.of_subject(house.store, f"schedule:{keys(house)['i1']}")] == [
        "planned", "planned -> sent", "sent -> taken", "taken -> verified",
    ]  # fmt: skip


def test_a_second_drain_asks_the_erp_nothing(house, clock):
    port = erp(clock)
    run(house, port, clock)
    calls = dict(port.calls)
    assert run(house, port, clock).companies == []
    assert dict(port.calls) == calls


@pytest.mark.parametrize("phase", ["received", "committed", "replied"])
@pytest.mark.parametrize("seed", range(2))
def test_a_death_at_any_phase_ends_with_the_newest_version_in_the_erp(house, clock, phase, seed):
    """The caller dies; the line changes meanwhile; the request that was in flight may still commit, late."""
    port = erp(clock, faults=Faults(late_commit=0.06, index_lag=0.15), seed=seed)
    port.phase = killer(phase)
    with pytest.raises(Killed):
        run(house, port, clock)
    assert states(house)["sent"] == 3
    amended(house, clock)
    port.phase = lambda name: None
    run(house, port, clock)
    held = port.now_held()
    with house.store.read() as connection:
        newest = {one.schedule_key: one.version for one in schedule_outbox.newest(connection, ["US"])}
    assert {key: schedule.version for key, schedule in held.items()} == newest
    assert sorted(newest.values()) == [1, 1, 2]
    assert set(states(house)) <= {"verified", "superseded"}
    assert open_items(house) == []
    assert audit.verify(house.store)[1] is None


def killer(phase):
    def kill(name):
        if name == phase:
            raise Killed

    return kill


def test_a_newer_version_waits_for_what_becomes_of_an_older_one(house, clock):
    port = erp(clock, faults=Faults(settle=30, late_commit=20), seed=1)
    port.phase = killer("received")
    with pytest.raises(Killed):
        run(house, port, clock)
    amended(house, clock)
    port.phase = lambda name: None
    run(house, port, clock, limits=NOW)
    assert states(house) == {"uncertain": 3, "planned": 1}
    assert port.puts == [], "version 2 must not overtake version 1 on the wire"
    clock.sleep(31)
    run(house, port, clock)
    assert [s.version for _, s in port.puts if s.key == keys(house)["i1"].split(".")[0]] in ([1, 2], [2])
    assert states(house)["verified"] >= 3


def test_a_version_that_died_while_in_flight_holds_the_next_one_until_it_has_settled(house, clock):
    port = erp(clock, faults=Faults(drop_after_commit=1.0, settle=30))
    run(house, port, clock, limits=replace(NOW, attempts_max=1))
    assert states(house) == {"dead": 3}
    amended(house, clock)
    port.faults = Faults(settle=30)
    run(house, port, clock, limits=NOW)
    assert states(house) == {"dead": 3, "planned": 1}
    clock.sleep(31)
    assert run(house, port, clock).total("verified") == 1
    assert states(house) == {"dead": 2, "superseded": 1, "verified": 1}
    assert len(open_items(house)) == 2, "what the newer version put right is no exception any more"


def test_an_unknown_outcome_is_looked_up_not_sent_again(house, clock):
    port = erp(clock, faults=Faults(drop_after_commit=1.0))
    report = run(house, port, clock)
    assert (report.total("verified"), report.total("found"), port.calls["put"]) == (3, 3, 1)


def test_a_refused_schedule_harms_no_other_and_has_an_owner(house, clock):
    port = erp(clock)
    bad = keys(house)["i2"]
    words = "The ERP has recognised 100 on 2026-01-28 for 2026-01; this version says 90."
    port.refuse[bad.split(".")[0]] = Failure("recognised_already", words)
    report = run(house, port, clock)
    assert (report.total("verified"), report.total("dead")) == (2, 1)
    (item,) = open_items(house)
    assert (item["category"], item["owner_team"], item["idempotency_key"], item["blocks_close"]) == (
        "recognised_already", "Revenue accounting", bad, True,
    )  # fmt: skip
    assert words in item["error_message"]
    assert "Revenue schedule of i2, line l1, version 1" in item["error_message"]
    assert "close the period here" in item["next_action"]


def test_exceptions_replay_goes_on_and_a_second_time_is_nothing(house, clock):
    port = erp(clock)
    bad = keys(house)["i2"]
    port.refuse[bad.split(".")[0]] = Failure("period_closed", "Period 2026-02 is closed.")
    run(house, port, clock)
    port.refuse.clear()
    (item,) = open_items(house)
    (done,) = exception_queue.replay(house.store, ids=[item["exception_id"]], actor="controller", clock=clock)
    assert done.moved, done.words
    (again,) = exception_queue.replay(house.store, ids=[item["exception_id"]], actor="controller", clock=clock)
    assert not again.moved
    assert [i["status"] for i in open_items(house)] == ["Ready for replay"]
    run(house, port, clock)
    assert (states(house), open_items(house)) == ({"verified": 3}, [])
    with pytest.raises(StoreError, match="nothing to replay"):
        replay(house.store, bad, actor="controller", clock=clock)


def test_the_queue_describes_a_schedule_and_settles_none_by_a_note(house, clock):
    port = erp(clock, alter=lambda held: replace(held, defects=("part 1: 1.005 has too many digits",)))
    run(house, port, clock)
    item = open_items(house)[0]
    told = exception_queue.described(house.store, item["exception_id"], clock=clock)
    assert told["batch"]["status"] == "dead"
    assert f"Schedule {item['idempotency_key']}: dead, ERP company US Inc, key unchanged" in _words(told)
    assert [a["action"] for a in told["attempts"]] == ["put", "put", "read back"]
    with pytest.raises(StoreError, match="no note puts it there"):
        exception_queue.settle(house.store, item["exception_id"], "Accepted", actor="x", note="fine", clock=clock)


def test_a_dead_version_that_was_overtaken_is_not_replayed(house, clock):
    port = erp(clock)
    old = keys(house)["i1"]
    port.refuse[old.split(".")[0]] = Failure("invalid", "No.")
    run(house, port, clock)
    amended(house, clock)
    with pytest.raises(StoreError, match="overtaken by version 2"):
        replay(house.store, old, actor="x", clock=clock)


@pytest.mark.parametrize(
    ("alter", "words"),
    [
        (lambda h: cent(h), "part 2026-01-28 for 2026-01: ours 100 (100 in functional currency), the ERP's 101"),
        (lambda h: changed(h, parts=h.schedule.parts[1:]), "the ERP's none"),
        (lambda h: changed(h, parts=(*h.schedule.parts, h.schedule.parts[0])), "is there twice"),
        (lambda h: changed(h, revenue_account="9999"), "revenue_account: ours '4010', the ERP's '9999'"),
        (lambda h: changed(h, customer_id="cus_2"), "customer_id"),
        (lambda h: changed(h, reference="INV-8"), "reference"),
        (lambda h: changed(h, key="other"), "key"),
        (lambda h: changed(h, version=0), "holds version 0"),
        (lambda h: changed(h, version=7), "another system wrote it"),
        (lambda h: replace(h, defects=("part 3: 1.005 has too many digits",)), "too many digits"),
        (lambda h: None, "has no such schedule"),
    ],
)
def test_an_altered_schedule_is_never_verified(house, clock, alter, words):
    report = run(house, erp(clock, alter=alter), clock)
    assert (report.total("verified"), report.total("dead")) == (0, 3)
    assert {i["category"] for i in open_items(house)} <= {"readback_mismatch", "conflict"}
    assert all(words in i["error_message"] for i in open_items(house))


def changed(held, **changes):
    return replace(held, schedule=replace(held.schedule, **changes))


def cent(held):
    first, *rest = held.schedule.parts
    return changed(held, parts=(replace(first, amount_tc=first.amount_tc + 1), *rest))


def test_an_outage_is_a_delay_and_opens_the_circuit(house, clock):
    port = erp(clock, batch_size_max=1)
    port.down = Failure("unavailable", "The ERP answers 503.")
    for _ in range(20):
        run(house, port, clock, limits=Limits(max_wait_seconds=0, backoff_base_seconds=10))
        clock.sleep(1)
    assert port.calls["put"] + port.calls["read"] <= 8, "an open circuit must keep us from hammering"
    port.down = None
    clock.sleep(3600)
    assert run(house, port, clock).total("verified") == 3
    assert open_items(house) == []


def test_a_store_older_than_the_erp_writes_nothing_over_it(house, clock, template, tmp_path):
    """The operational store was restored from a backup; the ERP is three versions ahead."""
    port = erp(clock)
    run(house, port, clock)
    for amounts in (SHORT, YEAR, SHORT):
        amended(house, clock, amounts=amounts)
        run(house, port, clock)
    old = opened(Path(shutil.copytree(template, tmp_path / "backup")))
    port.faults = Faults(drop_after_commit=1.0)
    port.phase = lambda name: port.puts.pop() if name == "committed" else None
    run(old, port, clock, limits=replace(PATIENT, documents_per_call=1))
    item = next(i for i in open_items(old) if "Revenue schedule of i1" in i["error_message"])
    assert item["category"] == "conflict"
    assert "restored from an older backup" in item["error_message"]


def test_a_stored_schedule_that_was_tampered_with_is_not_sent(house, clock):
    with house.store.write() as connection:
        connection.execute(text("drop trigger schedule_updates_frozen"))
        connection.execute(text("update schedule_updates set document_json = document_json || ' ' where seq = 1"))
    port = erp(clock)
    assert run(house, port, clock).total("dead") == 1
    assert len(port.puts) == 2
    assert "not what was planned" in open_items(house)[0]["error_message"]


def test_the_store_refuses_what_the_state_machine_does_not_have(house, clock):
    run(house, erp(clock), clock)
    for statement, words in (
        ("update schedule_updates set document_json = '{}'", "never changes"),
        ("delete from schedule_updates", "for ever"),
        ("update schedule_updates set status = 'planned'", "stays so"),
        ("update schedule_attempts set outcome = 'x'", "append-only"),
        ("delete from schedule_attempts", "append-only"),
    ):
        with pytest.raises(DatabaseError, match=words), house.store.write() as connection:
            connection.execute(text(statement))


def test_nothing_that_may_be_in_the_erp_is_sent_again_unseen():
    for old in state.STATES:
        for new in state.STATES:
            if new == state.SENT:
                assert (new in state.TRANSITIONS[old]) == (old == state.PLANNED)
    assert state.PLANNED not in state.TRANSITIONS[state.TAKEN]
    with pytest.raises(IllegalTransition):
        state.check(state.SUPERSEDED, state.PLANNED)


def test_the_sensor_sees_schedules_and_leaves_out_those_that_wait_for_an_older_one(house, clock):
    (work,) = ready(house.store, clock=clock)
    assert (work.erp_company, work.batches) == (COMPANY, 3)
    with leases.held(house.store, f"erp:{COMPANY}", clock=clock):
        assert ready(house.store, clock=clock) == []
    port = erp(clock, faults=Faults(drop_after_commit=1.0, settle=300))
    run(house, port, clock, limits=NOW)
    amended(house, clock)
    assert ready(house.store, clock=clock) == []
    clock.sleep(301)
    assert [w.batches for w in ready(house.store, clock=clock)] == [3]


def test_a_company_whose_erp_takes_no_schedules_any_more_is_named(house, clock):
    report = run(house, erp(clock, takes_schedules=False), clock)
    assert (report.unserved, report.is_finished) == ([COMPANY], False)


def test_a_worker_that_wakes_up_after_its_lease_writes_nothing(house, clock):
    port = erp(clock)

    def overtaken(name):
        """While this worker sleeps inside its request, its lease runs out and another one drains everything."""
        if name == "committed":
            port.phase = lambda n: None
            with house.store.write() as connection:
                connection.execute(
                    text(
                        "update leases set holder = 'elsewhere|?|1|?|x', expires_at = '2000-01-01 00:00:00.000000' "
                        "where name like 'erp:%'"
                    )
                )
            assert run(house, port, clock).total("verified") == 3

    port.phase = overtaken
    report = run(house, port, clock)
    assert "taken over" in report.companies[0].held_elsewhere
    assert states(house) == {"verified": 3}
