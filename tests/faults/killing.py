"""Processes that die on purpose: a forked poster talks to an ERP that lives in the test's own process.

The ERP serves one request at a time from the test's main thread and kills the poster (SIGKILL) at a protocol phase or
at a time of the seed's choosing; so the ERP survives its caller, as real ones do, and may commit after its death.
"""

from __future__ import annotations

import os
import random
import signal
import time
import traceback
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from fake_erp import Killed

from revenue_assets.posting.erp.port import Capabilities, ErpError, Failure
from revenue_assets.posting.outbox import Limits, drain
from revenue_assets.store.engine import open_store

PHASES = ("received", "committed", "replied", "any time")
QUICK = Limits(
    max_wait_seconds=20, backoff_base_seconds=0.02, backoff_cap_seconds=0.1, documents_per_call=2, lease_wait_seconds=5
)


class RemoteErp:
    """The port as the poster's process sees it: every call goes through the pipe."""

    def __init__(self, pipe: Connection, capabilities: Capabilities) -> None:
        self.pipe, self.capabilities = pipe, capabilities

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            self.pipe.send((method, args))
            answer = self.pipe.recv()
            if isinstance(answer, Failure):
                raise ErpError(answer)
            return answer

        return call


def fork(task: Callable[[], None]) -> int:
    """Runs `task` in a child and returns its pid. The child never returns into the test."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            task()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def start_poster(
    url: str, capabilities: Capabilities, limits: Limits = QUICK, drain: Callable[..., Any] = drain
) -> tuple[int, Connection]:
    """A child that drains the outbox at `url` once (`drain`: that of documents, or of schedules)."""
    ours, theirs = Pipe()

    def task() -> None:
        ours.close()
        drain(open_store(url), {"US Inc": RemoteErp(theirs, capabilities)}, limits=limits)

    pid = fork(task)
    theirs.close()
    return pid, ours


def serve(pid: int, pipe: Connection, erp: Any, *, kill_after_seconds: float | None = None) -> bool:
    """Answers the poster until it ends by itself (True) or is killed (False)."""
    deadline = None if kill_after_seconds is None else time.monotonic() + kill_after_seconds

    def kill() -> bool:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        pipe.close()
        return False

    while True:
        if deadline is not None and time.monotonic() >= deadline:
            return kill()
        if not pipe.poll(0.005):
            continue
        try:
            method, args = pipe.recv()
        except EOFError:
            _, status = os.waitpid(pid, 0)
            pipe.close()
            assert os.waitstatus_to_exitcode(status) == 0, "the poster failed by itself"
            return True
        try:
            answer = getattr(erp, method)(*args)
        except Killed:
            return kill()
        except ErpError as error:
            answer = error.failure
        pipe.send(answer)


def trial(
    url: str, erp: Any, seed: int, drain: Callable[..., Any] = drain, between: Callable[[], None] = lambda: None
) -> int:
    """Kills posters one to three times at seeded points, then lets one finish; returns how many were killed.

    `between`: what happens after each of them.
    """
    choice, killed = random.Random(seed), 0
    for _ in range(choice.randint(1, 3)):
        phase, nth = choice.choice(PHASES), choice.randint(1, 2)
        erp.phase = _killer(phase, nth)
        after = choice.uniform(0.0, 0.25) if phase == "any time" else None
        finished = serve(*start_poster(url, erp.capabilities, drain=drain), erp, kill_after_seconds=after)
        killed += not finished
        erp.phase = lambda name: None
        erp.restart()
        between()
    assert serve(*start_poster(url, erp.capabilities, drain=drain), erp)
    return killed


def _killer(phase: str, nth: int) -> Callable[[str], None]:
    left = [nth]

    def at(name: str) -> None:
        if name == phase:
            left[0] -= 1
            if left[0] == 0:
                raise Killed

    return at


def kill_somewhere(task: Callable[[], None], seconds: float) -> bool:
    """Runs `task` in a child and kills it after `seconds`; True if it had finished before."""
    pid = fork(task)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return True
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


def url_of(root: Path) -> str:
    return f"sqlite:///{root / 'store' / 'operational.sqlite'}"
