"""Running a job in this process, for the command line: progress as lines, failures as sentences."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from revenue_assets.dead_runs import PROCESS_TAG
from revenue_assets.store.leases import this_holder

Echo = Callable[[str], None]
# Dagster's own tags for "these months in one run".
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
# What dagster-dbt writes between its command line (a page long) and what dbt found.
DBT_FINDINGS = "Errors parsed from dbt logs:"
CAUSE_CHARACTERS_MAX = 2000
_LISTENERS: list[Callable[[Any], None]] = []


class _EventHandler(logging.Handler):
    """Hands the structured events of a run to whoever listens in this process."""

    def emit(self, record: logging.LogRecord) -> None:
        meta = record.__dict__.get("dagster_meta")
        event = meta.get("dagster_event") if isinstance(meta, dict) else None
        if event is not None:
            for listener in _LISTENERS:
                listener(event)


@dg.logger(None, description="Silent on the console; feeds the command line's progress lines.")
def progress(_context: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.Logger("revenue_progress")
    logger.addHandler(_EventHandler())
    return logger


@dataclass
class RunOutcome:
    """What a run did. `failures` are sentences; `red_checks` the names of failed blocking checks."""

    run_id: str = ""
    success: bool = False
    failures: list[str] = field(default_factory=list)
    red_checks: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    assets: int = 0
    checks: int = 0
    seconds: float = 0.0


class _Narrator:
    """Turns events into one line per finished step and collects what went wrong."""

    def __init__(self, echo: Echo, outcome: RunOutcome) -> None:
        self._echo, self._outcome = echo, outcome
        self._started: dict[str, float] = {}

    def __call__(self, event: Any) -> None:
        kind, step = event.event_type_value, event.step_key or ""
        if kind == "STEP_START":
            self._started[step] = time.monotonic()
        elif kind == "ASSET_MATERIALIZATION":
            self._outcome.assets += 1
        elif kind == "ASSET_CHECK_EVALUATION":
            self._check(event.event_specific_data)
        elif kind in ("STEP_SUCCESS", "STEP_FAILURE"):
            seconds = time.monotonic() - self._started.get(step, time.monotonic())
            mark = "ok " if kind == "STEP_SUCCESS" else "FAILED"
            if seconds >= 0.5 or kind == "STEP_FAILURE":
                self._echo(f"  {mark} {_plain(step)}  {seconds:.0f} s")
            if kind == "STEP_FAILURE":
                self._outcome.failures.append(f"{_plain(step)}: {_cause(event)}")

    def _check(self, evaluation: Any) -> None:
        self._outcome.checks += 1
        if evaluation.passed:
            return
        name = f"{evaluation.asset_key.to_user_string()}: {evaluation.check_name}"
        if evaluation.description:
            name += f": {evaluation.description}"
        blocking = evaluation.severity == dg.AssetCheckSeverity.ERROR
        (self._outcome.red_checks if blocking else self._outcome.warnings).append(name)


def _plain(step: str) -> str:
    """A step as people name it: `posting__erp_documents` -> `posting erp documents`."""
    return " ".join(step.replace("_", " ").split())


def _cause(event: Any) -> str:
    """What went wrong, for a person: an asset's own sentence as it is, dbt's findings without its command line."""
    told = getattr(event.event_specific_data, "user_failure_data", None)
    if told is not None and told.description:
        return told.description
    error = getattr(event.event_specific_data, "error", None)
    while error is not None and error.cause is not None:
        error = error.cause
    if error is not None and error.cls_name == "DagsterExecutionInterruptedError":
        return "stopped by Ctrl-C or a signal; run the same command again to go on."
    text = error.message.strip() if error else "no message"
    return text.rpartition(DBT_FINDINGS)[2].strip()[:CAUSE_CHARACTERS_MAX]


def run_job(
    definitions: dg.Definitions,
    job_name: str,
    echo: Echo,
    *,
    first_period: str | None = None,
    last_period: str | None = None,
    tags: dict[str, str] | None = None,
) -> RunOutcome:
    """Runs a job in this process against the instance of DAGSTER_HOME, for a range of months if given.

    Never raises for a failed step: the outcome says what failed. Blocking checks stop what lies downstream.
    """
    outcome = RunOutcome()
    run_tags = dict(tags or {}) | {PROCESS_TAG: this_holder()}
    if first_period:
        run_tags |= {RANGE_START: first_period, RANGE_END: last_period or first_period}
    narrator = _Narrator(echo, outcome)
    _LISTENERS.append(narrator)
    began = time.monotonic()
    log = Path(os.environ["REVENUE_HOME"]) / "logs" / f"{job_name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        # What tools print (dbt's every line) goes to a file; the console keeps to the narrator's lines.
        with log.open("w") as output, contextlib.redirect_stdout(output), dg.DagsterInstance.get() as instance:
            result = definitions.resolve_job_def(job_name).execute_in_process(
                instance=instance, tags=run_tags, run_config={"loggers": {"progress": {}}}, raise_on_error=False
            )
    finally:
        _LISTENERS.remove(narrator)
    outcome.run_id, outcome.success = result.run_id, result.success and not outcome.red_checks
    outcome.seconds = time.monotonic() - began
    return outcome
