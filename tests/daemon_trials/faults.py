"""What is done to the daemon, and the hooks inside its process that do it at a named point."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Points at which the daemon process dies: Dagster's own flags (`check_for_debug_crash`) ...
CRASHES = {
    "evaluated": "AUTOMATION_EVALUATIONS_ADDED",  # after the evaluation, before the reservation of run ids
    "reserved": "RUN_IDS_RESERVED",
    "created": "RUN_CREATED",  # the first run is there, not submitted
    "submitted": "RUN_LAUNCHED",  # the run is in the queue
}
# ... and the two sides of the launch by the run coordinator.
LAUNCHES = ("before launch", "after launch")
RAISES = ("submit raises", "launch raises")
OTHERS = ("any time", "worker", "restored", "deleted", "wiped", "wiped", "wiped", "wiped")
# A quarter are wipes; four trials of four faults have each of these once.
FAULTS = (*CRASHES, *LAUNCHES, *RAISES, *OTHERS)


@dataclass(frozen=True)
class Plan:
    """One fault. `whole`: code server and run workers die with the daemon, else the daemon alone. `seconds`: after
    the first tick, for faults of no named point. `phase`, `nth`: of the ERP's protocol, when a worker dies."""

    fault: str
    whole: bool
    seconds: float
    phase: str
    nth: int


def hook(plan: Plan | None, ticks: Path) -> None:
    """Inside the daemon's process before it begins: writes down evaluated ticks, and sets the trap of `plan`."""
    import dagster._daemon.sensor as sensor_daemon
    from dagster._core.instance import DagsterInstance
    from launcher import ForkedWorkers

    _note_ticks(sensor_daemon, ticks)
    if plan is None:
        return
    if plan.fault in CRASHES:
        key = CRASHES[plan.fault]
        sensor_daemon.check_for_debug_crash = lambda _flags, at: _die(plan) if at == key else None  # type: ignore[assignment]
    elif plan.fault in LAUNCHES:
        launch = ForkedWorkers.launch_run

        def dying(self: ForkedWorkers, context: Any) -> None:
            if plan.fault == "after launch":
                launch(self, context)
            _die(plan)

        ForkedWorkers.launch_run = dying  # type: ignore[method-assign]
    elif plan.fault == "submit raises":
        DagsterInstance.submit_run = _raising_once(DagsterInstance.submit_run)  # type: ignore[method-assign]
    elif plan.fault == "launch raises":
        ForkedWorkers.launch_run = _raising_once(ForkedWorkers.launch_run)  # type: ignore[method-assign]


def _die(plan: Plan) -> None:
    os.killpg(0, signal.SIGKILL) if plan.whole else os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(10)


def _raising_once(method: Callable[..., Any]) -> Callable[..., Any]:
    """Raises for what is asked within one second of the first time: one iteration of the daemon."""
    first: list[float] = []

    def raising(*args: Any, **kwargs: Any) -> Any:
        first.append(time.monotonic())
        if first[-1] - first[0] < 1.0:
            raise RuntimeError("the trial lets this launch fail")
        return method(*args, **kwargs)

    return raising


def _note_ticks(sensor_daemon: Any, ticks: Path) -> None:
    """Appends `<when it began> <sensor> <asked|idle>` for every tick that was evaluated or resumed."""
    lock = threading.Lock()

    def noting(step: Callable[..., Any]) -> Callable[..., Any]:
        def noted(workspace: Any, context: Any, *args: Any, **kwargs: Any) -> Any:
            began = time.time()
            yield from step(workspace, context, *args, **kwargs)
            asked = "asked" if context.tick.tick_data.run_requests else "idle"
            with lock, ticks.open("a") as file:
                file.write(f"{began:.3f} {context.tick.instigator_name} {asked}\n")

        return noted

    sensor_daemon._evaluate_sensor = noting(sensor_daemon._evaluate_sensor)
    sensor_daemon._resume_tick = noting(sensor_daemon._resume_tick)
