"""One trial: work arrives, the daemon breaks, again and again; a last daemon may finish, and everything is counted."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from company import arrive, url_of
from erps import SETUP, Server
from faults import CRASHES, FAULTS, LAUNCHES, RAISES, Plan
from killing import fork
from machine import Machine
from trial import PHASES, count

from revenue_assets.settings import DAGSTER_YAML, Settings
from revenue_assets.store.leases import holder_is_dead

BEHAVIOURS = ("ideal", "unique_id", "no_key_late", "everything")
SENSOR = "ready_batches_sensor"
TICKS_MAX = 2
STRIKE_SECONDS_MAX = 60.0
FINISH_SECONDS_MAX = 900.0
UNFINISHED_RUNS = "select count(*) from runs where status not in ('SUCCESS', 'FAILURE', 'CANCELED')"


@dataclass
class Result:
    """What one trial found. `ticks`: how often each restarted sensor had asked when the first run worker began."""

    seed: int
    behaviour: str
    faults: list[str]
    kills: int = 0
    worker_kills: int = 0
    wipes: int = 0
    missed: int = 0
    journals: int = 0
    seconds: float = 0.0
    ticks: list[int] = field(default_factory=list)
    duplicates: int = 0
    lost: int = 0
    stuck: int = 0
    problem: str = ""

    @property
    def broken(self) -> bool:
        return bool(self.duplicates or self.lost or self.stuck or self.problem)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def plans(seed: int, faults: int) -> tuple[str, list[Plan]]:
    """The ERP's behaviour and the faults of a seed. Consecutive seeds share out all faults, so that none is missed."""
    dice = random.Random(f"daemon:{seed}")
    per_round = len(FAULTS) // faults
    order = list(FAULTS)
    random.Random(f"round:{seed // per_round}").shuffle(order)
    start = seed % per_round * faults
    chosen = [
        Plan(name, dice.random() < 0.5, dice.uniform(0.0, 8.0), dice.choice(PHASES[:-1]), dice.randint(1, 3))
        for name in order[start : start + faults]
    ]
    return dice.choice(BEHAVIOURS), chosen


class Trial:
    """`template`: a home with an empty outbox. `module`: what the code server serves."""

    def __init__(self, folder: Path, template: Path, config: Path, server: Server, module: str) -> None:
        self.folder, self.server = folder, server
        home = folder / "home"
        shutil.copytree(template, home)
        surroundings(home, config)
        os.environ["ERP_BASE_URL"] = server.url
        settings = Settings.load()
        settings.prepare()
        self.home, self.dagster_home = home, settings.dagster_home
        launcher = "run_launcher: {module: launcher, class: ForkedWorkers}\n"
        self.machine = Machine(folder, settings.dagster_home, module, DAGSTER_YAML.read_text() + launcher)

    def play(self, seed: int, faults: int) -> Result:
        began = time.monotonic()
        behaviour, chosen = plans(seed, faults)
        self.result = Result(seed, behaviour, [p.fault + (" (whole)" if p.whole else "") for p in chosen])
        self.server.order("reset", how=behaviour, seed=seed, setup=SETUP)
        try:
            for stage, plan in enumerate(chosen, 1):
                child(partial(arrive, self.home, stage))
                self._life(plan)
            self._finish()
        except (RuntimeError, TimeoutError) as error:
            self.result.problem = str(error)
        finally:
            self.machine.close()
        self.server.order("disarm")
        counted = count(url_of(self.home), self.server.order("copies"))
        problems = [self.result.problem, counted.pop("problem")]
        slow = [n for n in self.result.ticks if n > TICKS_MAX]
        problems += [f"back to work only after {max(slow)} ticks"] if slow else []
        vars(self.result).update(counted)
        self.result.problem = "; ".join(text for text in problems if text)
        self.result.journals = sum(self._batches().values())
        self.result.seconds = round(time.monotonic() - began, 1)
        return self.result

    def _life(self, plan: Plan) -> None:
        """A daemon over what is left of its home, until the fault has happened and it is dead."""
        machine = self.machine
        self._start(plan)
        if plan.fault in (*CRASHES, *LAUNCHES):
            died = self._until(lambda: machine.daemon is None, STRIKE_SECONDS_MAX)
            self.result.kills += died
            self.result.missed += not died
        elif plan.fault in RAISES:
            self._until(lambda: self._resumed, STRIKE_SECONDS_MAX)
        elif plan.fault == "worker":
            machine.on_worker = lambda pid: self.server.order("trap", phase=plan.phase, nth=plan.nth, pid=pid, signal=9)
            self._until(lambda: bool(machine.killed) or self._is_posted(), STRIKE_SECONDS_MAX)
            self.result.missed += not machine.killed
        elif plan.fault == "restored":
            self._at_work(plan.seconds / 2)
            self.result.kills += machine.kill(whole=plan.whole)
            shutil.copytree(machine.home, self.folder / "old", dirs_exist_ok=True)
            self._ended()
            self._start(None)
            self._at_work(plan.seconds / 2)
        else:
            self._at_work(plan.seconds)
        if plan.fault == "wiped" and plan.nth == 1:  # under the running daemon
            machine.wipe()
            self._until(lambda: False, 1.0)
        self._ended()
        self.result.kills += machine.kill(whole=plan.whole)
        self.result.worker_kills += len(machine.killed)
        self.result.wipes += plan.fault == "wiped"
        if plan.fault in ("wiped", "restored"):
            machine.wipe()
        if plan.fault == "restored":
            shutil.copytree(self.folder / "old", machine.home)
        elif plan.fault == "deleted":
            child(_delete_runs)
        self.server.order("disarm")
        self.server.order("restart")

    def _finish(self) -> None:
        """The last daemon, undisturbed, until all is verified and Dagster knows of nothing unfinished."""
        self._start(None)
        if not self._until(self._is_done, FINISH_SECONDS_MAX):
            runs = self._ask(
                self.machine.home / "history" / "runs.db", "select pipeline_name, status, run_id from runs"
            )
            raise TimeoutError(f"not done after {FINISH_SECONDS_MAX:.0f} s: batches {self._batches()}, runs {runs}")
        self._ended()

    def _is_posted(self) -> bool:
        return not set(self._batches()) - {"verified", "dead"}

    def _is_done(self) -> bool:
        return self._is_posted() and self._ask(self.machine.home / "history" / "runs.db", UNFINISHED_RUNS) == [(0,)]

    # How soon a restarted sensor has a run at work.

    def _start(self, plan: Plan | None) -> None:
        leases = self._leases()
        survivors = any(holder and not holder_is_dead(holder) for _, holder in leases)
        self._fences, self._began, self._resumed = sum(f for f, _ in leases), time.time(), survivors
        self.machine.start(plan)

    def _watch(self) -> None:
        if not self._resumed:
            self._resumed = sum(fence for fence, _ in self._leases()) > self._fences

    def _ended(self) -> None:
        """The life is over. One that had work and asked in vain is as bad as one that was slow; where a run worker of
        an earlier life went on, there was nothing to resume."""
        launched = min(self.machine.launched, default=time.time())
        asked = self._ticks(launched, "asked")
        if self.machine.launched or (asked > TICKS_MAX and not self._resumed):
            self.result.ticks.append(asked)

    def _ticks(self, until: float, what: str = "") -> int:
        """Ticks of the posting sensor in this life."""
        if not self.machine.ticks.exists():
            return 0
        lines = [line.split() for line in self.machine.ticks.read_text().splitlines()]
        return sum(
            self._began <= float(at) <= until and name == SENSOR and what in (how, "") for at, name, how in lines
        )

    def _at_work(self, seconds: float) -> None:
        """Until the daemon has evaluated something, and then for `seconds`: before, there is nothing to disturb."""
        self._until(lambda: self._ticks(time.time()) > 0, STRIKE_SECONDS_MAX)
        self._until(lambda: False, seconds)

    def _until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Serves until `done` or for `seconds`; whether it was done."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.machine.serve(0.1)
            self._watch()
            if done():
                return True
        return False

    def _leases(self) -> list[tuple[int, str | None]]:
        return self._ask(self._store, "select fence, holder from leases where name like 'erp:%'")

    def _batches(self) -> dict[str, int]:
        return dict(self._ask(self._store, "select status, count(*) from posting_batches group by status"))

    @property
    def _store(self) -> Path:
        return Path(url_of(self.home).removeprefix("sqlite:///"))

    def _ask(self, database: Path, query: str) -> list[Any]:
        """Plain SQL on a connection that is closed at once: this process forks. Nothing there yet: no rows."""
        try:
            connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
            try:
                return connection.execute(query).fetchall()
            finally:
                connection.close()
        except sqlite3.OperationalError:
            return []


def surroundings(home: Path, config: Path) -> None:
    """The environment of daemon, code server and run workers."""
    for name in Settings.load().export():
        os.environ.pop(name, None)
    os.environ |= {
        "REVENUE_HOME": str(home),
        "REVENUE_CONFIG": str(config),
        "REVENUE_AS_OF": "2026-03-31",
        "REVENUE_RUNNING": SENSOR,
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }


def child(task: Callable[[], None]) -> None:
    """Runs what needs threads (DuckDB, Dagster's storage) in a process of its own; RuntimeError if it fails."""
    _, status = os.waitpid(fork(task), 0)
    if status:
        raise RuntimeError(
            f"a child of the trial failed ({os.waitstatus_to_exitcode(status)}); its output stands above"
        )


def _delete_runs() -> None:
    from dagster import DagsterInstance

    with DagsterInstance.get() as instance:
        for run in instance.get_runs():
            instance.delete_run(run.run_id)
