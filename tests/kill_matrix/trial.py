"""One trial: posters die by SIGKILL one to three times, the last one may finish, and everything is counted.

A poster is a forked child of this process, which must stay without threads: nothing here keeps a connection open, and
what needs DuckDB runs in a child of its own.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from erps import SETUP, Protocol, Server
from killing import fork

from demo.erp_emulators.behaviour import BEHAVIOURS
from revenue_assets.posting.erp.generic_files import DropFolder
from revenue_assets.posting.outbox import drain
from revenue_assets.posting.steps import Limits
from revenue_assets.store import audit, exceptions, outbox
from revenue_assets.store.engine import open_store

COMPANY = "US Inc"
STOP = signal.SIGSTOP
# Phases of the protocol at which the emulator kills its caller, and two that are ours.
PHASES = ("asked", "received", "committed", "replied", "any time")
LIMITS = Limits(
    max_wait_seconds=30, backoff_base_seconds=0.02, backoff_cap_seconds=0.15, documents_per_call=2,
    lease_wait_seconds=10,
)  # fmt: skip
# Longer than the emulators' late commits and index lag together (0.25 s + 0.35 s), with air for a busy machine.
SETTLE_SECONDS = 0.9
FINISH_SECONDS_MAX = 120.0
FINAL_DRAINS_MAX = 4


@dataclass(frozen=True)
class Result:
    """What one trial found; all but `kills`, `requests` and `seconds` must be empty or 0."""

    protocol: str
    behaviour: str
    seed: int
    kills: int
    requests: int
    seconds: float
    duplicates: int = 0
    lost: int = 0
    stuck: int = 0
    problem: str = ""

    @property
    def broken(self) -> bool:
        return bool(self.duplicates or self.lost or self.stuck or self.problem)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def play(
    template: Path,
    folder: Path,
    server: Server,
    name: str,
    protocol: Protocol,
    behaviour: str,
    seed: int,
    settle: float = SETTLE_SECONDS,
    late_seconds: float | None = None,
) -> Result:
    """One trial in a fresh folder against an emptied ERP, whose commits may be later than the behaviour says."""
    began = time.monotonic()
    choice = random.Random(f"{name}:{behaviour}:{seed}")
    how = BEHAVIOURS[behaviour]
    how = how if late_seconds is None else replace(how, late_commit=late_seconds)
    server.order("reset", how=asdict(how), seed=choice.randrange(2**31), setup=SETUP)
    url = _store(template, folder)
    killed, problem = 0, ""
    try:
        for _ in range(choice.randint(1, 3)):
            phase, nth = choice.choice(PHASES), choice.randint(1, 3)
            seconds = choice.uniform(0.0, 0.4)
            killed += poster(url, server, protocol, settle, phase=phase, nth=nth, seconds=seconds)
            server.order("disarm")
            server.order("restart")
        for _ in range(FINAL_DRAINS_MAX):
            poster(url, server, protocol, settle)
            if _unfinished(url) == 0:
                break
    except (RuntimeError, TimeoutError) as error:
        problem = str(error)
    # Requests that died with their caller may still be under way: they have had their time by now.
    copies = server.order("copies")
    seconds = round(time.monotonic() - began, 2)
    counted = count(url, copies)
    made = Result(name, behaviour, seed, killed, server.order("calls").get("requests", 0), seconds, **counted)
    return replace(made, problem=problem or made.problem)


def duel(
    template: Path, folder: Path, server: Server, name: str, protocol: Protocol, behaviour: str, seed: int,
    settle: float = SETTLE_SECONDS,
) -> Result:  # fmt: skip
    """One poster is stopped (SIGSTOP) past its lease, a second one does the work, and the first one goes on.

    What the first had under way then reaches the ERP after all: only an ERP that knows keys or keeps ids unique can
    refuse it, so only those are asked.
    """
    began = time.monotonic()
    choice = random.Random(f"duel:{name}:{behaviour}:{seed}")
    server.order("reset", how=behaviour, seed=choice.randrange(2**31), setup=SETUP)
    url, limits = _store(template, folder), replace(LIMITS, lease_seconds=0.5)
    # Not after an answer: stopped there it may hold SQLite's only write lock, and nobody works until it goes on.
    phase = choice.choice(("asked", "received", "committed"))
    first = started(url, server, protocol, settle, limits, phase, choice.randint(1, 3), STOP)
    stopped = stopped_for_good = _stopped(first)
    problem = ""
    try:
        poster(url, server, protocol, settle)
        if stopped:
            os.kill(first, signal.SIGCONT)
            stopped_for_good = False
            ended(first, None)
        poster(url, server, protocol, settle)
    except (RuntimeError, TimeoutError) as error:
        problem = str(error)
    finally:
        if stopped_for_good:
            os.kill(first, signal.SIGKILL)
            os.waitpid(first, 0)
    requests = server.order("calls").get("requests", 0)
    counted = count(url, server.order("copies"))
    seconds = round(time.monotonic() - began, 2)
    made = Result(name, f"stopped, {behaviour}", seed, int(stopped), requests, seconds, **counted)
    return replace(made, problem=problem or made.problem)


def _stop_at_send(nth: int, *, before: bool) -> None:
    """A file drop has no request at which its poster could be stopped: it stops itself around its `nth` file. (Stopped
    anywhere else it may hold SQLite's only write lock, and then nobody works until it goes on.)"""
    send, left = DropFolder.send, [nth]

    def stopping(self: DropFolder, key: str, attempt: int, text: str) -> bool:
        left[0] -= 1
        if before and left[0] == 0:
            os.kill(os.getpid(), STOP)
        made = send(self, key, attempt, text)
        if not before and left[0] == 0:
            os.kill(os.getpid(), STOP)
        return made

    DropFolder.send = stopping  # type: ignore[method-assign]


def _stopped(pid: int) -> bool:
    """Waits until the child is stopped (True) or has ended without coming to its trap (False)."""
    deadline = time.monotonic() + FINISH_SECONDS_MAX
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if done:
            return os.WIFSTOPPED(status)
        time.sleep(0.003)
    raise TimeoutError("a poster neither stopped nor ended")


def poster(
    url: str, server: Server, protocol: Protocol, settle: float, *, phase: str = "", nth: int = 0, seconds: float = 0.0
) -> int:
    """A poster that drains once; 1 if it was killed before its end. Raises RuntimeError if it fails by itself."""
    trap = phase if phase != "any time" else ""
    pid = started(url, server, protocol, settle, LIMITS, trap, nth, signal.SIGKILL)
    return ended(pid, seconds if phase == "any time" else None)


def started(
    url: str, server: Server, protocol: Protocol, settle: float, limits: Limits, phase: str, nth: int, by: int
) -> int:
    """A poster that drains once, with its trap set before it sends anything."""
    start, go = os.pipe()

    def task() -> None:
        os.read(start, 1)
        if by == STOP and protocol.face == "drop":
            _stop_at_send(nth, before=phase in ("asked", "received"))
        drain(open_store(url), {COMPANY: protocol.port(server, settle)}, limits=limits)

    pid = fork(task)
    if phase and not (by == STOP and protocol.face == "drop"):
        server.order("trap", phase=phase, nth=nth, pid=pid, signal=int(by))
    os.write(go, b".")
    os.close(go)
    os.close(start)
    return pid


def ended(pid: int, kill_after: float | None) -> int:
    """Waits for the child. 1: killed (by the emulator, or by us after `kill_after`), 0: it came to its end."""
    began = time.monotonic()
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        waited = time.monotonic() - began
        if done:
            code = os.waitstatus_to_exitcode(status)
            if code not in (0, -signal.SIGKILL):
                raise RuntimeError(f"a poster failed by itself with exit code {code}")
            return int(code != 0)
        if kill_after is not None and waited >= kill_after:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return 1
        if waited > FINISH_SECONDS_MAX:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise TimeoutError(f"a poster did not end within {FINISH_SECONDS_MAX:.0f} s")
        time.sleep(0.003)


def _store(template: Path, folder: Path) -> str:
    """A copy of the cut house's operational store."""
    folder.mkdir(parents=True)
    path = folder / "operational.sqlite"
    shutil.copyfile(template, path)
    return f"sqlite:///{path}"


def _unfinished(url: str) -> int:
    store = open_store(url)
    try:
        return sum(n for status, n in outbox.counts(store).items() if status not in ("verified", "dead"))
    finally:
        store.close()


def count(url: str, copies: dict[str, int]) -> dict[str, Any]:
    """Duplicates and losses by what the ERP holds; stuck: neither verified nor with an open, owned exception."""
    store = open_store(url)
    try:
        batches = outbox.all_batches(store)
        with store.read() as connection:
            owned = {
                row.idempotency_key
                for row in connection.execute(exceptions.exceptions.select())
                if row.owner_team and row.status not in exceptions.DONE
            }
        keys = {batch["batch_key"] for batch in batches}
        open_ones = [b for b in batches if b["status"] != "verified"]
        return {
            "duplicates": sum(n - 1 for n in copies.values()) + len(set(copies) - keys),
            "lost": sum(b["batch_key"] not in copies for b in batches if b["status"] == "verified"),
            "stuck": sum(b["batch_key"] not in owned for b in open_ones),
            "problem": "; ".join(
                [f"{b['batch_key']} ended {b['status']}: {b['last_error']}" for b in open_ones]
                + [f"audit: {broken}" for broken in [audit.verify(store)[1]] if broken]
            ),
        }
    finally:
        store.close()


def make_template(path: Path, build: Callable[[Path], None]) -> None:
    """The cut house's store, made in a child: DuckDB's threads must not be in this process when it forks."""
    pid = fork(lambda: build(path))
    _, status = os.waitpid(pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise RuntimeError("the scratch ledger could not be made")
