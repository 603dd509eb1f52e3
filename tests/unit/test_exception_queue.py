"""Finance finds an exception, sees whose it is and what to do, and replays it; replaying all again is nothing."""

from __future__ import annotations

import datetime as dt
import json
import os

import pytest
from click.testing import CliRunner, Result
from fake_erp import FakeErp
from store_kit import ACCOUNTS, AS_OF, FakeClock, House, invoice

from revenue_assets import exception_queue
from revenue_assets.cli import main
from revenue_assets.posting.batches import cut
from revenue_assets.posting.booking import book
from revenue_assets.posting.erp.port import Failure
from revenue_assets.posting.outbox import Limits, drain, ready
from revenue_assets.store import approvals, audit, exceptions, outbox
from revenue_assets.store.clock import SYSTEM_CLOCK
from revenue_assets.store.engine import StoreError

CLOSED = Failure("period_closed", "Period 2026-01 is closed in the ERP.", "ER-17")
REPLAYS = 100
LIMITS = Limits(max_wait_seconds=60, backoff_base_seconds=0.05, backoff_cap_seconds=0.2)


@pytest.fixture
def clock() -> FakeClock:
    """Ahead of the machine's clock, which the commands go by."""
    return FakeClock(SYSTEM_CLOCK.now() + dt.timedelta(hours=1))


@pytest.fixture
def erp(clock: FakeClock) -> FakeErp:
    return FakeErp(clock.now)


@pytest.fixture
def house(tmp_path, clock: FakeClock, erp: FakeErp, monkeypatch) -> House:
    """Three batches of the US company: two refused by the ERP, one posted."""
    house = House.build(tmp_path / "home")
    monkeypatch.setenv("REVENUE_HOME", str(house.root))
    for name in ("REVENUE_STORE_URL", "REVENUE_CONFIG", "REVENUE_AS_OF"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REVENUE_ACTOR", "anna")
    house.should(*[invoice(f"i{n}", f"2026-0{n}-05", 100 + n) for n in (1, 2, 3)])
    book(house.store, house.journal, house.warehouse, house.state, AS_OF, clock=clock)
    cut(house.store, house.journal, house.state, AS_OF, tenant="t", clock=clock)
    for batch in outbox.all_batches(house.store)[:2]:
        erp.refuse[batch["batch_key"]] = CLOSED
    post(house, erp, clock)
    return house


def post(house: House, erp: FakeErp, clock: FakeClock) -> None:
    drain(house.store, {"US Inc": erp, "DE Inc": erp}, clock=clock, limits=LIMITS)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["exceptions", *arguments])


def test_everything_open_has_an_owner_an_age_and_a_next_step(house):
    rows = json.loads(run("list", "--json").output)
    assert len(rows) == 2
    for row in rows:
        assert (row["owner_team"], row["age_days"] >= 0, bool(row["next_step"])) == ("Controller", True, True)
    assert len(json.loads(run("list", "--class", "period_closed", "--entity", "US", "--json").output)) == 2
    assert [json.loads(run("list", *o, "--json").output) for o in (("--owner", "Tax"), ("--period", "2026-03"))] == [
        [],
        [],
    ]
    table = run("list").output
    assert "2 exceptions, 2 block the close" in table
    assert "1.01 USD" in table


def test_an_item_without_a_next_step_gets_one(house):
    with house.store.write() as connection:
        exceptions.sync(connection, "test", [exceptions.Item("amount", "r", "RevOps")], FakeClock().now())
    assert [r["next_action"][:14] for r in exception_queue.listed(house.store, category="amount")] == ["Find the cause"]


def test_show_tells_the_story_in_words(house, clock):
    first = exception_queue.listed(house.store)[0]["exception_id"]
    assert run("assign", first[:6], "ben").exit_code == 0
    shown = run("show", first[:8]).output
    for words in (
        "In progress, assigned to ben", "owner        Controller", "age          ",
        "Period 2026-01 is closed in the ERP.",
        "Reopen the period where it is closed", "submit: failed  period_closed", "new -> Open: period_closed",
        "anna: Open -> In progress: assigned to ben", "key unchanged",
    ):  # fmt: skip
        assert words in shown, shown
    links = len(audit.of_subject(house.store, f"exception:{first}"))
    assert run("assign", first, "ben").exit_code == 0
    assert len(audit.of_subject(house.store, f"exception:{first}")) == links, "assigning again is nothing"
    missing = run("show", "ffffffff")
    assert (missing.exit_code, "no exception has the id ffffffff" in missing.output) == (1, True)


def test_a_replay_goes_on_under_the_old_key_and_a_hundred_more_change_nothing(house, erp, clock):
    keys = {b["batch_key"] for b in outbox.all_batches(house.store)}
    erp.refuse.clear()  # the fix
    done = run("replay", "--class", "period_closed", "--note", "reopened in the ERP")
    assert "2 of 2 replayed" in done.output, done.output
    assert [w.batches for w in ready(house.store)] == [2], "the level-triggered sensor sees them"
    before = audit.newest(house.store)
    ids = [r["exception_id"] for r in exception_queue.listed(house.store)]
    for _ in range(REPLAYS):
        again = exception_queue.replay(house.store, ids=ids, category="period_closed", actor="anna", clock=clock)
        assert [r.moved for r in again] == [False, False]
    assert audit.newest(house.store) == before
    assert {r["status"] for r in exception_queue.listed(house.store)} == {"Ready for replay"}
    post(house, erp, clock)
    assert exception_queue.listed(house.store) == []
    assert erp.copies() == dict.fromkeys(keys, 1)
    assert run("replay", ids[0]).output.count("left alone: is resolved already") == 1
    post(house, erp, clock)
    assert sorted(erp.copies().values()) == [1, 1, 1]
    history = [h["detail"] for h in audit.of_subject(house.store, f"exception:{ids[0]}")]
    assert history == [
        "new -> Open: period_closed",
        "Open -> Ready for replay: reopened in the ERP",
        "Ready for replay -> Resolved: cleared",
    ]


def test_a_replay_that_fails_again_is_the_same_exception_with_its_age(house, erp, clock):
    first = exception_queue.listed(house.store)[0]
    run("replay", first["exception_id"])
    clock.sleep(3 * 86_400)
    post(house, erp, clock)
    (again,) = [
        r for r in exception_queue.listed(house.store, clock=clock) if r["exception_id"] == first["exception_id"]
    ]
    assert (again["status"], again["opened_at"], again["reopened"], again["age_days"]) == (
        "Open",
        first["opened_at"],
        1,
        3,
    )


def test_no_note_puts_a_journal_into_the_erp(house):
    first = exception_queue.listed(house.store)[0]["exception_id"]
    for command in ("accept", "resolve"):
        refused = run(command, first, "--note", "looks fine")
        assert refused.exit_code == 1
        assert "its journal is not in the ERP, and no note puts it there" in refused.output
    assert run("accept", first).exit_code == 2, "a note is needed"


def test_a_variance_is_accepted_or_resolved_with_a_note_by_a_person(house, clock):
    items = [exceptions.Item("amount", f"r{n}", "RevOps", recon_id="R1", amount=n) for n in (1, 2)]
    with house.store.write() as connection:
        exceptions.sync(connection, "reconciliation", items, clock.now())
    assert run("accept", items[0].exception_id, "--note", "below one dollar").exit_code == 0
    assert run("resolve", items[1].exception_id, "--note", "credited").exit_code == 0
    row = exception_queue.get(house.store, items[0].exception_id)
    assert (row["status"], row["resolved_by"], row["resolution_note"]) == ("Accepted", "anna", "below one dollar")
    late = run("resolve", items[1].exception_id, "--note", "again")
    assert "is resolved already" in late.output
    listed = json.loads(run("list", "--all", "--status", "Resolved", "--json").output)
    assert [r["exception_id"] for r in listed] == [items[1].exception_id]


def test_what_waits_for_data_is_looked_at_by_the_next_run(house, clock):
    item = exceptions.Item("amount", "r1", "RevOps", recon_id="R1", amount=5)

    def look() -> None:
        with house.store.write() as connection:
            exceptions.sync(connection, "reconciliation", [item], clock.now())

    look()
    (done,) = exception_queue.replay(house.store, ids=[item.exception_id], actor="anna", clock=clock)
    assert (done.moved, done.words) == (True, "the next run looks at it again")
    (done,) = exception_queue.replay(house.store, ids=[item.exception_id], actor="anna", clock=clock)
    assert (done.moved, done.words) == (False, "waits for the next run already")
    look()
    assert exception_queue.get(house.store, item.exception_id)["status"] == "Open"


def test_a_missing_mapping_ends_with_the_mapping_not_with_a_note(house, clock):
    house.write_masters(accounts={k: v for k, v in ACCOUNTS.items() if k != "deferred_revenue"})
    house.should(invoice("i4", "2026-03-06", 5), *[invoice(f"i{n}", f"2026-0{n}-05", 100 + n) for n in (1, 2, 3)])
    book(house.store, house.journal, house.warehouse, house.state, AS_OF, clock=clock)
    cut(house.store, house.journal, house.state, AS_OF, tenant="t", clock=clock)
    (row,) = exception_queue.listed(house.store, category="mapping_missing")
    with pytest.raises(StoreError, match="ends by itself once its cause is corrected"):
        exception_queue.settle(house.store, row["exception_id"], "Accepted", actor="anna", note="x")
    assert exception_queue.replay(house.store, category="mapping_missing", actor="anna", clock=clock)[0].moved
    house.write_masters()
    cut(house.store, house.journal, house.state, AS_OF, tenant="t", clock=clock)
    assert exception_queue.listed(house.store, category="mapping_missing") == []


@pytest.mark.parametrize(("origin", "words"), [("booking", "revenue approvals approve"), ("subledger", "an event")])
def test_a_material_entry_of_a_closed_period_takes_more_than_a_note(house, clock, origin, words):
    item = exceptions.Item("closed_period_material", "inv-1", "Controller", entity_id="US", currency="USD", amount=5)
    with house.store.write() as connection:
        exceptions.sync(connection, origin, [item], clock.now())
    with pytest.raises(StoreError, match=words):
        exception_queue.settle(house.store, item.exception_id, "Accepted", actor="ben", note="fine")
    assert [w.id for w in approvals.waiting(house.store)] == [item.exception_id] * (origin == "booking")


def test_commands_leave_the_snapshots_and_the_anchor_up_to_date(house):
    first = exception_queue.listed(house.store)[0]["exception_id"]
    run("assign", first, "ben")
    import pyarrow.parquet as pq

    rows = pq.read_table(house.state / "exceptions.parquet").to_pylist()
    assert {r["assignee"] for r in rows} == {"ben", None}
    assert os.path.getsize(house.root / "audit" / "anchor.jsonl") > 0


def test_the_job_does_the_same_through_the_same_function(house, erp):
    import dagster as dg

    from revenue_assets.replay_job import exception_replay_job
    from revenue_assets.resources import Platform

    ids = [r["exception_id"][:8] for r in exception_queue.listed(house.store)]
    op = {"config": {"exception_ids": ids, "actor": "carla", "note": "reopened"}}
    for _ in range(2):
        result = exception_replay_job.execute_in_process(
            run_config={"ops": {"replay_exceptions": op}}, resources={"platform": Platform()}
        )
        assert result.success
    assert [w.batches for w in ready(house.store)] == [2]
    history = audit.of_subject(house.store, f"exception:{exception_queue.listed(house.store)[0]['exception_id']}")
    assert [(h["actor"], h["detail"]) for h in history][1:] == [("carla", "Open -> Ready for replay: reopened")]
    with pytest.raises(dg.Failure, match="Name exception_ids"):
        exception_replay_job.execute_in_process(resources={"platform": Platform()})
