"""What changed of the schedules becomes a version, and nothing else does."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from schedule_kit import ERP, ScheduleErp, built, line, planned, scheduled
from store_kit import ACCOUNTS, AS_OF, FakeClock, House, invoice, recognition

from revenue_assets.posting.booking import book
from revenue_assets.posting.schedules.steps import schedule_of
from revenue_assets.store import audit, exceptions, schedule_outbox
from revenue_assets.store.engine import StoreError

YEAR = {"2026-01": 100, "2026-02": 90, "2026-03": 100}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def port(clock: FakeClock) -> ScheduleErp:
    return ScheduleErp(clock.now)


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = built(tmp_path)
    scheduled(house, line("i1", YEAR), line("i2", YEAR), line("i3", YEAR, entity_id="DE"))
    return house


def versions(house: House) -> list[tuple[str, int, int, str]]:
    """(document, version, total, status) of everything planned."""
    rows = schedule_outbox.all_updates(house.store)
    return [(json.loads(r["document_json"])["document_id"], r["version"], r["total_tc"], r["status"]) for r in rows]


def open_items(house: House) -> dict[str, str]:
    return {i["source_reference"]: i["category"] for i in exceptions.all_exceptions(house.store, open_only=True)}


def test_only_entities_whose_erp_runs_schedules_and_twice_is_nothing(house, port, clock):
    report = planned(house, port, clock)
    assert (report.schedules, report.planned, report.held) == (2, 2, 0)
    assert versions(house) == [("i1", 1, 290, "planned"), ("i2", 1, 290, "planned")]
    before = audit.head(house.store)
    assert planned(house, port, clock).planned == 0
    assert audit.head(house.store) == before, "planning nothing must write nothing"
    assert port.calls == {}


def test_the_version_says_what_the_erp_must_know(house, port, clock):
    house.write_posting(items=[{"product_family": "platform", "item": "ITEM-1"}])
    planned(house, port, clock)
    with house.store.read() as connection:
        row = schedule_outbox.all_updates(house.store)[0]
        schedule = schedule_of(schedule_outbox.get(connection, row["update_key"]))
    assert (schedule.reference, schedule.line, schedule.customer_id, schedule.item) == ("i1", "l1", "cus_1", "ITEM-1")
    assert (schedule.balance_account, schedule.revenue_account, schedule.discount_account) == ("2100", "4010", None)
    assert schedule.window == (dt.date(2026, 1, 28), dt.date(2026, 3, 28))
    assert [(p.service_period, p.amount_tc, p.amount_fc) for p in schedule.parts] == [
        ("2026-01", 100, 100), ("2026-02", 90, 90), ("2026-03", 100, 100),
    ]  # fmt: skip


def test_a_change_is_the_next_version_and_overtakes_what_was_not_sent(house, port, clock):
    planned(house, port, clock)
    scheduled(house, line("i1", {"2026-01": 100, "2026-02": 40}), line("i2", YEAR))
    report = planned(house, port, clock)
    assert (report.planned, report.superseded) == (1, 1)
    assert versions(house) == [
        ("i1", 1, 290, "superseded"), ("i2", 1, 290, "planned"), ("i1", 2, 140, "planned"),
    ]  # fmt: skip
    scheduled(house, line("i1", YEAR), line("i2", YEAR))
    assert planned(house, port, clock).planned == 1, "the old content again is a third version"
    assert versions(house)[-1] == ("i1", 3, 290, "planned")


def test_the_order_of_rows_does_not_matter(house, port, clock):
    planned(house, port, clock)
    scheduled(house, line("i2", YEAR)[::-1], line("i1", YEAR)[::-1])
    assert planned(house, port, clock).planned == 0


def test_a_schedule_that_is_gone_ends_once(house, port, clock):
    planned(house, port, clock)
    scheduled(house, line("i2", YEAR))
    report = planned(house, port, clock)
    assert (report.planned, report.ended) == (1, 1)
    assert versions(house)[-1] == ("i1", 2, 0, "planned")
    assert planned(house, port, clock).planned == 0
    scheduled(house, line("i1", YEAR), line("i2", YEAR))
    planned(house, port, clock)
    assert versions(house)[-1] == ("i1", 3, 290, "planned")


def test_a_warehouse_without_schedules_is_a_broken_build(house, port, clock):
    planned(house, port, clock)
    scheduled(house)
    with pytest.raises(StoreError, match="the build is not whole"):
        planned(house, port, clock)
    assert len(versions(house)) == 2


def test_without_a_warehouse_nothing_is_planned(house, port, clock):
    house.warehouse.unlink()
    with pytest.raises(StoreError, match="build it first"):
        planned(house, port, clock)


def test_one_line_twice_is_refused(house, port, clock):
    scheduled(house, line("i1", YEAR), line("i1", YEAR, customer_id="cus_2"))
    with pytest.raises(StoreError, match="share one line"):
        planned(house, port, clock)


def test_what_we_booked_before_the_erp_took_over_is_not_sent(tmp_path, port, clock):
    house = House.build(tmp_path)
    mine = recognition("r1", "2026-01-28", 100, document="i1")
    for leg in mine:
        leg["document_line_id"] = "l1"
    house.should(invoice("i1", "2026-01-01", 290), mine)
    book(house.store, house.journal, house.warehouse, house.state, AS_OF, clock=clock)
    house.write_masters(policy=ERP)
    scheduled(house, line("i1", YEAR))
    planned(house, port, clock)
    assert versions(house) == [("i1", 1, 190, "planned")]


def test_a_missing_account_holds_its_schedules_and_names_an_owner(house, port, clock):
    house.write_masters(accounts={k: v for k, v in ACCOUNTS.items() if k != "deferred_revenue"}, policy=ERP)
    report = planned(house, port, clock)
    assert (report.planned, report.held) == (0, 2)
    assert open_items(house) == {"US:deferred_revenue:platform:schedules": "mapping_missing"}
    house.write_masters(policy=ERP)
    assert planned(house, port, clock).planned == 2
    assert open_items(house) == {}


def test_an_erp_without_schedules_says_so_once(house, port, clock):
    port.takes_schedules = False
    report = planned(house, port, clock)
    assert report.planned == 0
    assert "takes no revenue schedules" in report.not_sent["US"]
    assert open_items(house) == {"US:revenue_schedules": "unsupported"}
    assert not exceptions.all_exceptions(house.store)[0]["blocks_close"]


@pytest.mark.parametrize("mode", ["shadow", "off"])
def test_nothing_of_a_pilot_reaches_the_erp(house, port, clock, mode):
    house.write_posting(posting=[{"entity": "US", "set": {"posting_mode": mode}}])
    assert planned(house, port, clock).not_sent["US"].endswith(f"at {mode}.")
    assert versions(house) == []


def test_live_from_leaves_earlier_periods_to_the_old_process(house, port, clock):
    house.write_posting(posting=[{"entity": "US", "set": {"posting_mode": "live", "live_from": "2026-02"}}])
    planned(house, port, clock)
    assert {total for _, _, total, _ in versions(house)} == {190}
