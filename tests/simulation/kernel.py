"""A deterministic world: one clock, one random source, and tasks of which one runs at a time.

A task is ordinary blocking code in a greenlet. It gives way only where a real process could lose the processor with
something at stake: when it sleeps, waits for an answer, and around each store transaction. Who goes on is decided by
the event queue, and that by the seed: the same seed gives the same run, to the microsecond.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import heapq
import random
from collections.abc import Callable
from contextlib import suppress

from greenlet import getcurrent, greenlet

START = dt.datetime(2026, 4, 1, 9, 0, 0)  # noqa: DTZ001


class Killed(BaseException):
    """SIGKILL, as a task sees it: nothing of it runs any more. (Its `finally` blocks do, but reach no store.)"""


class Task:
    """One simulated process."""

    def __init__(self, kernel: Kernel, name: str, body: Callable[[], None]) -> None:
        self.kernel, self.name, self.dead, self.paused_until = kernel, name, False, kernel.now()
        self.greenlet = greenlet(lambda: self._run(body), parent=kernel.main)

    def _run(self, body: Callable[[], None]) -> None:
        with suppress(Killed):
            body()
        self.dead = True

    def resume(self) -> None:
        """Goes on from where it waits; a stopped process (SIGSTOP) not before it is continued."""
        if self.dead:
            return
        if self.kernel.now() < self.paused_until:
            self.kernel.at(self.paused_until, self.resume)
            return
        self.greenlet.switch()

    def kill(self) -> None:
        """At once, wherever it waits; if the task itself asks for it, Killed is raised in its caller."""
        if self.dead:
            return
        self.dead = True
        self.kernel.note(f"{self.name} is killed")
        if getcurrent() is self.greenlet:
            raise Killed
        self.greenlet.throw(Killed)


class Kernel:
    """The event queue. `trace` holds what happened; `trace_hash` names a run."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.main = getcurrent()
        self.trace: list[str] = []
        self.after_each: Callable[[], None] = lambda: None
        self._at = START
        self._queue: list[tuple[dt.datetime, int, Callable[[], None]]] = []
        self._numbers = 0
        self._tasks: dict[greenlet, Task] = {}

    # The clock of everything in this world (`store.clock.Clock`).

    def now(self) -> dt.datetime:
        return self._at

    def sleep(self, seconds: float) -> None:
        """The task that calls it goes on `seconds` later."""
        task = self.current()
        if task.dead:
            raise Killed
        self.at(self._at + dt.timedelta(seconds=seconds), task.resume)
        self.main.switch()

    # Tasks and events.

    def current(self) -> Task:
        return self._tasks[getcurrent()]

    def task(self, name: str) -> Task:
        return next(t for t in self._tasks.values() if t.name == name)

    def living(self, prefix: str) -> list[Task]:
        return [t for t in self._tasks.values() if t.name.startswith(prefix) and not t.dead]

    def spawn(self, name: str, body: Callable[[], None]) -> Task:
        task = Task(self, name, body)
        self._tasks[task.greenlet] = task
        self.at(self._at, task.resume)
        return task

    def at(self, when: dt.datetime, action: Callable[[], None]) -> None:
        self._numbers += 1
        heapq.heappush(self._queue, (max(when, self._at), self._numbers, action))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        self.at(self._at + dt.timedelta(seconds=seconds), action)

    def run(self, until: dt.datetime, finished: Callable[[], bool] = lambda: False) -> None:
        """Takes event after event until `until` or until `finished`, and checks the invariants after each."""
        while self._queue and self._queue[0][0] <= until and not finished():
            self._at, _, action = heapq.heappop(self._queue)
            # Two readings of the clock are never equal, as on a real machine.
            self._at += dt.timedelta(microseconds=1)
            action()
            self.after_each()

    def stop(self) -> None:
        """Ends all tasks, so that no greenlet outlives its world."""
        for task in list(self._tasks.values()):
            task.kill()

    # What happened.

    def note(self, what: str) -> None:
        self.trace.append(f"{(self._at - START).total_seconds():11.6f} {what}")

    @property
    def trace_hash(self) -> str:
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()
