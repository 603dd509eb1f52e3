"""The sensors as Dagster evaluates them, over a real operational store; only time and the ERP are the test's own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test
from fake_erp import FakeErp
from store_kit import AS_OF, House, entry, invoice

from revenue_assets.assets.posting import erp_documents
from revenue_assets.posting.batches import cut
from revenue_assets.posting.booking import book
from revenue_assets.posting.erp.port import Failure
from revenue_assets.posting.outbox import Limits, drain
from revenue_assets.resources import Platform
from revenue_assets.sensors import RELAUNCHES_MAX, WORK_TAG, near_real_time_sensor, ready_batches_sensor
from revenue_assets.settings import Settings
from revenue_assets.store import leases
from revenue_assets.store.clock import SystemClock

NO_WAIT = Limits(max_wait_seconds=0, backoff_base_seconds=120, backoff_cap_seconds=120)


class Time:
    """The machine's clock for everything under test; moves when told."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.at = dt.datetime(2026, 4, 1, 9, 0, 30)  # noqa: DTZ001 (naive UTC, as the store keeps it)
        patch.setattr(SystemClock, "now", lambda _clock: self.at)
        patch.setattr(SystemClock, "sleep", lambda _clock, seconds: self.pass_by(seconds))

    def pass_by(self, seconds: float) -> None:
        self.at += dt.timedelta(seconds=seconds)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, time: Time) -> House:
    """Two batches of the US company and one of the German, cut and not sent, in the home that the settings name."""
    house = House.build(tmp_path / "home")
    monkeypatch.setenv("REVENUE_HOME", str(house.root))
    for name in Settings.load().export():  # put back after the test: `Settings.prepare` writes them all
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("REVENUE_HOME", str(house.root))
    sale = (("accounts_receivable", 500), ("deferred_revenue", -500))
    house.should(
        invoice("i1", "2026-01-05", 100),
        invoice("i2", "2026-02-05", 200),
        entry("g1", "2026-01-07", *sale, entity="DE"),
    )
    book(house.store, house.journal, house.warehouse, house.state, AS_OF)
    cut(house.store, house.journal, house.state, AS_OF, tenant="t")
    return house


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def asked(instance: dg.DagsterInstance) -> dict[str, str] | str:
    """What one tick asks for: ERP company -> run key; or the reason for asking nothing."""
    context = dg.build_sensor_context(instance=instance, resources={"platform": Platform()})
    tick = ready_batches_sensor.evaluate_tick(context)
    assert tick.cursor is None, "the sensor is to look at the store, not at where it was"
    if tick.skip_message:
        assert not tick.run_requests
        return tick.skip_message
    assert all(request.run_key for request in tick.run_requests)
    return {request.tags["erp"]: str(request.run_key) for request in tick.run_requests}


def keys(instance: dg.DagsterInstance) -> dict[str, str]:
    found = asked(instance)
    assert isinstance(found, dict), found
    return found


def test_ready_batches_are_asked_for_per_erp_company(house: House, instance: dg.DagsterInstance) -> None:
    context = dg.build_sensor_context(instance=instance, resources={"platform": Platform()})
    requests = ready_batches_sensor.evaluate_tick(context).run_requests
    assert {r.tags["erp"]: r.tags["batches"] for r in requests} == {"DE Inc": "1", "US Inc": "2"}
    assert {r.run_key.split(":")[:3][-1] for r in requests} == {"1"}, "the first attempt"
    assert ready_batches_sensor.job_name == "erp_posting_job"


def test_an_empty_outbox_is_skipped_with_a_reason(house: House, instance: dg.DagsterInstance) -> None:
    erp = FakeErp(SystemClock().now)
    assert drain(house.store, {"US Inc": erp, "DE Inc": erp}).is_finished
    assert asked(instance) == "The outbox holds nothing that is ready to be posted."
    assert asked(instance) == "The outbox holds nothing that is ready to be posted."


def test_asking_changes_nothing_and_repeats_until_it_is_heard(
    house: House, instance: dg.DagsterInstance, time: Time
) -> None:
    """Dagster drops a repeated run key for ever: soon after, the same key keeps one launch; later, it must differ."""
    first = keys(instance)
    assert keys(instance) == first
    time.pass_by(30)
    assert keys(instance) == first
    time.pass_by(600)  # a run that had started would have taken the lease by now: the launch has failed
    again = keys(instance)
    assert again.keys() == first.keys()
    assert not set(again.values()) & set(first.values())


def test_a_run_that_came_to_nothing_is_replaced_at_once_but_not_for_ever(
    house: House, instance: dg.DagsterInstance, time: Time
) -> None:
    """A launch that raised, a worker that died before it began: its run has ended, and its work is still there."""
    context = dg.build_sensor_context(instance=instance, resources={"platform": Platform()})
    seen: list[str] = []
    for _ in range(RELAUNCHES_MAX + 2):
        request = next(r for r in ready_batches_sensor.evaluate_tick(context).run_requests if r.tags["erp"] == "US Inc")
        seen.append(str(request.run_key))
        assert keys(instance)["US Inc"] == request.run_key, "while its run has not ended it is asked for as before"
        made = create_run_for_test(instance, job_name="erp_posting_job", tags={**request.tags})
        assert keys(instance)["US Inc"] == request.run_key
        instance.report_run_failed(made, "the launch raised")
    assert len(set(seen)) == RELAUNCHES_MAX + 1
    assert seen[-1] == seen[-2], "a run that always fails waits for the next time slot"
    assert keys(instance)["DE Inc"].endswith(":0")
    time.pass_by(600)
    assert keys(instance)["US Inc"] not in seen
    assert request.tags[WORK_TAG] == seen[-1].rpartition(":")[0]


def test_a_company_at_work_is_not_asked_for_and_then_again_with_the_next_attempt(
    house: House, instance: dg.DagsterInstance
) -> None:
    first = keys(instance)
    lease = leases.acquire(house.store, "erp:US Inc", ttl_seconds=300)
    assert keys(instance) == {"DE Inc": first["DE Inc"]}
    leases.release(house.store, lease)  # it ended without having posted anything
    second = keys(instance)
    assert second["DE Inc"] == first["DE Inc"]
    assert second["US Inc"] != first["US Inc"]
    assert second["US Inc"].startswith("post:US Inc:2:")


def test_work_of_an_erp_that_is_down_is_asked_for_when_its_time_comes(
    house: House, instance: dg.DagsterInstance, time: Time
) -> None:
    erp = FakeErp(SystemClock().now)
    erp.down = Failure("unavailable", "The ERP answered 503.")
    before = keys(instance)
    drain(house.store, {"US Inc": erp, "DE Inc": erp}, limits=NO_WAIT)
    assert asked(instance) == "The outbox holds nothing that is ready to be posted."
    time.pass_by(1_000)
    after = keys(instance)
    assert after.keys() == before.keys()
    assert after["US Inc"].startswith("post:US Inc:2:")
    erp.down = None
    drain(house.store, {"US Inc": erp, "DE Inc": erp})
    assert isinstance(asked(instance), str)
    assert sorted(erp.copies().values()) == [1, 1, 1]


class Served(Platform):
    """The platform over the test's home, with an ERP that answers at once."""

    def erp_ports(self) -> dict[str, FakeErp]:  # type: ignore[override]
        return dict.fromkeys(("US Inc", "DE Inc"), ERP[0])


ERP: list[FakeErp] = []


def launch(request: dg.RunRequest, asset: dg.AssetsDefinition, instance: dg.DagsterInstance) -> None:
    """What the daemon does with a request."""
    done = dg.materialize(
        [asset], run_config=request.run_config, resources={"platform": Served()}, instance=instance,
        selection=[asset.key],
    )  # fmt: skip
    assert done.success


def test_a_run_serves_its_own_erp_company(house: House, instance: dg.DagsterInstance) -> None:
    ERP[:] = [FakeErp(SystemClock().now)]
    context = dg.build_sensor_context(instance=instance, resources={"platform": Platform()})
    requests = {r.tags["erp"]: r for r in ready_batches_sensor.evaluate_tick(context).run_requests}
    launch(requests["US Inc"], erp_documents, instance)
    assert sorted(keys(instance)) == ["DE Inc"]
    launch(requests["DE Inc"], erp_documents, instance)
    assert isinstance(asked(instance), str)
    assert sorted(ERP[0].copies().values()) == [1, 1, 1]


def test_dagster_may_forget_everything(house: House, time: Time) -> None:
    """rm -rf of its home after an evaluation, after a launch that raised, after a run: nothing lost, nothing twice."""
    ERP[:] = [FakeErp(SystemClock().now)]
    for moment in ("evaluated", "launch raised", "run"):
        with dg.DagsterInstance.ephemeral() as forgetful:
            context = dg.build_sensor_context(instance=forgetful, resources={"platform": Platform()})
            requests = ready_batches_sensor.evaluate_tick(context).run_requests
            assert len(requests) == 2, moment
            if moment == "run":
                launch(requests[0], erp_documents, forgetful)
    with dg.DagsterInstance.ephemeral() as new:
        context = dg.build_sensor_context(instance=new, resources={"platform": Platform()})
        (request,) = ready_batches_sensor.evaluate_tick(context).run_requests
        launch(request, erp_documents, new)
        assert isinstance(asked(new), str)
    assert sorted(ERP[0].copies().values()) == [1, 1, 1]


def test_near_real_time_lines_ask_for_one_cut(house: House, instance: dg.DagsterInstance, time: Time) -> None:
    def ask() -> dg.SensorExecutionData:
        context = dg.build_sensor_context(instance=instance, resources={"platform": Platform()})
        return near_real_time_sensor.evaluate_tick(context)

    assert ask().skip_message == "No booked line waits for a near real time delivery."
    house.write_posting(posting=[{"set": {"delivery_mode": "near_real_time"}}])
    sale = (("accounts_receivable", 500), ("deferred_revenue", -500))
    house.should(
        invoice("i1", "2026-01-05", 100),
        invoice("i2", "2026-02-05", 200),
        entry("g1", "2026-01-07", *sale, entity="DE"),
        invoice("i3", "2026-03-10", 7),
    )
    day = dt.date(2026, 3, 10)
    book(house.store, house.journal, house.warehouse, house.state, day)
    assert cut(house.store, house.journal, house.state, day, tenant="t").waiting == {"near_real_time": 2}
    (first,) = ask().run_requests
    (again,) = ask().run_requests
    assert (first.run_key, first.tags["lines"]) == (again.run_key, "2")
    assert first.run_config == {"ops": {"posting__posting_batches": {"config": {"tick": True}}}}
    assert near_real_time_sensor.job_name == "near_real_time_job"
    time.pass_by(600)
    (later,) = ask().run_requests
    assert later.run_key != first.run_key, "a launch that failed is asked for again"
    cut(house.store, house.journal, house.state, day, tenant="t", tick=True)
    assert ask().skip_message is not None
