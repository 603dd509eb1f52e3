"""Runs without a process, in a real instance on SQLite: told apart from those that are at work or just begin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType, EngineEventData
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._core.test_utils import create_run_for_test
from dagster._grpc.client import DagsterGrpcClient

from revenue_assets import dead_runs
from revenue_assets.build import build_defs
from revenue_assets.dead_runs import PROCESS_TAG, fail_dead_runs
from revenue_assets.sensors import dead_runs_sensor
from revenue_assets.settings import SettingsError
from revenue_assets.store import leases


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def run(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus, pid: int | None = None, tag: str | None = None
) -> dg.DagsterRun:
    """A run as Dagster leaves it: launched, and reported by its worker if there is a `pid`."""
    made = create_run_for_test(instance, job_name="erp_posting_job", tags={PROCESS_TAG: tag} if tag else None)
    kinds = [DagsterEventType.RUN_STARTING]
    if status == dg.DagsterRunStatus.STARTED:
        kinds.append(DagsterEventType.RUN_START)
    for kind in kinds:
        instance.report_dagster_event(DagsterEvent(kind.value, "erp_posting_job"), made.run_id)
    if pid is not None:
        instance.report_engine_event(f"Started process for run (pid: {pid}).", made, EngineEventData.in_process(pid))
    return made


def status_of(instance: dg.DagsterInstance, made: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(made.run_id)
    assert found is not None
    return found.status


def ended_pid() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
def test_a_run_whose_process_is_gone_fails_once(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> None:
    dead, alive = run(instance, status, ended_pid()), run(instance, status, os.getpid())
    (told,) = fail_dead_runs(instance)
    assert "is gone without having told how the run ended" in told
    assert status_of(instance, dead) == dg.DagsterRunStatus.FAILURE
    assert status_of(instance, alive) == status
    assert fail_dead_runs(instance) == []


def test_another_process_with_the_same_id_is_not_taken_for_the_worker(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run(instance, dg.DagsterRunStatus.STARTED, os.getpid())
    monkeypatch.setattr(leases, "began_at", lambda pid: time.time() + 60)
    assert len(fail_dead_runs(instance)) == 1
    assert status_of(instance, made) == dg.DagsterRunStatus.FAILURE


def test_began_at_is_the_time_of_this_machine() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        began = leases.began_at(process.pid)
        assert began is not None
        assert abs(began - time.time()) < 5
        process.communicate(b"\n")
    assert leases.began_at(process.pid) is None


def test_a_launch_that_nobody_finishes_is_given_time(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run(instance, dg.DagsterRunStatus.STARTING)
    assert fail_dead_runs(instance) == []
    monkeypatch.setattr(dead_runs, "START_SECONDS", 0.0)
    (told,) = fail_dead_runs(instance)
    assert "No process has begun it" in told
    assert status_of(instance, made) == dg.DagsterRunStatus.FAILURE


def test_a_slow_start_is_its_code_servers_business_as_long_as_that_one_answers(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_runs, "START_SECONDS", 0.0)
    made = run(instance, dg.DagsterRunStatus.STARTING)
    instance.add_run_tags(
        made.run_id, {GRPC_INFO_TAG: json.dumps({"host": "localhost", "socket": str(tmp_path / "s")})}
    )
    with monkeypatch.context() as patch:
        patch.setattr(DagsterGrpcClient, "ping", lambda self, echo: {"echo": echo})
        assert fail_dead_runs(instance) == []
    (told,) = fail_dead_runs(instance)  # nobody listens at that socket
    assert "whoever launched it is gone" in told
    assert status_of(instance, made) == dg.DagsterRunStatus.FAILURE


def test_a_run_of_the_command_line_is_judged_by_who_executes_it(instance: dg.DagsterInstance) -> None:
    me = leases.this_holder()
    host, namespace, _, started, rest = me.split("|")
    gone = run(instance, dg.DagsterRunStatus.STARTED, tag="|".join((host, namespace, str(ended_pid()), started, rest)))
    others = [run(instance, dg.DagsterRunStatus.STARTED, tag=tag) for tag in (me, "elsewhere|x|1|2|3", None)]
    (told,) = fail_dead_runs(instance)
    assert gone.run_id[:8] in told
    assert {status_of(instance, made) for made in others} == {dg.DagsterRunStatus.STARTED}


def test_the_sensor_says_what_it_did_and_asks_for_nothing(instance: dg.DagsterInstance) -> None:
    run(instance, dg.DagsterRunStatus.STARTED, ended_pid())
    ticks = [dead_runs_sensor.evaluate_tick(dg.build_sensor_context(instance=instance)) for _ in range(2)]
    assert "is gone" in str(ticks[0].skip_message)
    assert ticks[1].skip_message == "Every run in progress has its process."
    assert dead_runs_sensor.default_status == dg.DefaultSensorStatus.RUNNING


def test_storage_of_several_machines_is_not_judged() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        made = run(instance, dg.DagsterRunStatus.STARTED, ended_pid())
        assert fail_dead_runs(instance) == []
        assert status_of(instance, made) == dg.DagsterRunStatus.STARTED


def test_an_unknown_name_among_what_shall_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVENUE_HOME", str(tmp_path))
    monkeypatch.setenv("REVENUE_RUNNING", "ready_batches_sensor, reddy_batches_sensor")
    with pytest.raises(SettingsError, match="REVENUE_RUNNING names reddy_batches_sensor; there are: closed_period"):
        build_defs()
