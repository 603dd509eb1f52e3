"""Runs that Dagster counts as running although their process is gone.

A killed run worker is noticed by the code server that started it; where both died (power cut, `kill -9` of the group),
or the daemon died between "starting" and the start, Dagster's embedded launcher has no health check: such a run would
hold its pool and its place in the queue until `max_runtime_seconds`. Here the process itself is looked for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.storage.runs.sqlite import SqliteRunStorage
from dagster._core.storage.tags import GRPC_INFO_TAG

from revenue_assets.store import leases

# Run tag: who executes a run that no daemon launched (`leases.this_holder`).
PROCESS_TAG = "revenue/process"
# A launch is younger than this until its code server is known, and that one's process until it has said its id.
START_SECONDS = 30.0
# A process that began this long after it had reported itself is another one with the same id.
CLOCK_SECONDS = 2.0
_RUNNING = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Reports each dead run as failed, and returns a sentence for each; doing it twice changes nothing.

    Judges only what it can see: run storage in a SQLite file, which serves one machine, on a system with /proc. With
    another storage the health check of the run launcher is what `run_monitoring` asks.
    """
    if not isinstance(instance.run_storage, SqliteRunStorage) or not Path("/proc/self/stat").exists():
        return []
    told = []
    for run, why in _dead(instance):
        now = instance.get_run_by_id(run.run_id)
        if now is not None and now.status in _RUNNING:  # a worker says how it ended before it is gone
            instance.report_run_failed(now, why)
            told.append(f"{run.job_name} {run.run_id[:8]}: {why}")
    return told


def _dead(instance: dg.DagsterInstance) -> Iterator[tuple[dg.DagsterRun, str]]:
    for run in instance.get_runs(dg.RunsFilter(statuses=_RUNNING)):
        reported = _reported(instance, run.run_id)
        if reported is not None:
            pid, at = reported
            began = leases.began_at(pid)
            if began is None or began > at + CLOCK_SECONDS:
                yield run, f"Its process {pid} is gone without having told how the run ended."
        elif run.status == dg.DagsterRunStatus.STARTING:
            launched = instance.get_run_stats(run.run_id).launch_time
            if launched is not None and time.time() - launched > START_SECONDS and not _is_being_started(run):
                yield run, f"No process has begun it within {START_SECONDS:.0f} s, and whoever launched it is gone."
        elif leases.holder_is_dead(run.tags.get(PROCESS_TAG, "")):
            yield run, "The command that executed it is gone without having told how the run ended."


def _is_being_started(run: dg.DagsterRun) -> bool:
    """Whether the code server that was to start it answers; that one watches the start, however slow the machine is."""
    from dagster._grpc.client import DagsterGrpcClient

    if GRPC_INFO_TAG not in run.tags:
        return False
    known = json.loads(run.tags[GRPC_INFO_TAG])
    try:
        DagsterGrpcClient(**known).ping("")
    except DagsterUserCodeUnreachableError:
        return False
    return True


def _reported(instance: dg.DagsterInstance, run_id: str) -> tuple[int, float] | None:
    """Process id and time (seconds since the epoch) that the run worker reported last."""
    for event in reversed(instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)):
        metadata = event.get_dagster_event().engine_event_data.metadata
        if "pid" in metadata:
            return int(str(metadata["pid"].value)), event.timestamp
    return None
