"""One drain of one ERP company, whatever is sent: its lease, its circuit, its rounds.

What is sent and what an answer means is for the subclasses: documents (`worker`) and revenue schedules
(`schedules.worker`). Both write under the same lease, so that an ERP company has one writer, and count the same
circuit, so that an ERP which is down is left alone by both.
"""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from revenue_assets.domain.failures import backoff_seconds
from revenue_assets.posting.erp.port import Capabilities, ErpError, Failure
from revenue_assets.posting.steps import Limits
from revenue_assets.store import circuits, leases
from revenue_assets.store.clock import Clock
from revenue_assets.store.engine import Store

T = TypeVar("T")
# Work that has waited this many sends for an ERP that is down becomes visible as an exception; it still retries.
OUTAGE_ATTEMPTS = 5
# Ids in one look-up or read-back.
READ_CHUNK = 200


@dataclass
class CompanyReport:
    """What one drain did for one ERP company. Counts are batches, or versions of schedules."""

    company: str
    sent: int = 0
    verified: int = 0
    found: int = 0
    dead: int = 0
    waiting: int = 0
    next_due: dt.datetime | None = None
    paused: str | None = None
    held_elsewhere: str | None = None
    stopped: bool = False


class CompanyDrain(ABC):
    """One drain of one company. A subclass says what an earlier holder left (`_adopt_orphans`), what can be done
    (`_moves`, each one request to the ERP between two store transactions), and what is left (`_next_due`,
    `_count_waiting`)."""

    def __init__(
        self, store: Store, capabilities: Capabilities, company: str, clock: Clock, limits: Limits,
        stopping: Callable[[], bool], progress: Callable[[CompanyReport], None] | None,
    ) -> None:  # fmt: skip
        self.store, self.capabilities, self.company, self.clock = store, capabilities, company, clock
        self.limits, self.stopping, self.progress = limits, stopping, progress
        self.report = CompanyReport(company)
        self.lease: leases.Lease

    @abstractmethod
    def _adopt_orphans(self) -> None: ...

    @abstractmethod
    def _moves(self) -> Sequence[Callable[[], bool]]: ...

    @abstractmethod
    def _next_due(self) -> dt.datetime | None: ...

    @abstractmethod
    def _count_waiting(self) -> None: ...

    def run(self) -> CompanyReport:
        """The whole drain of the company, under its lease. A lost lease ends it; the new holder goes on."""
        # An ERP that wants one writer for all its companies gets one lease for all of them besides each company's own.
        wide = f"erp-tenant:{self.capabilities.vendor}" if self.capabilities.writer_scope == "tenant" else None
        how: dict[str, Any] = {
            "ttl_seconds": self.limits.lease_seconds,
            "wait_seconds": self.limits.lease_wait_seconds,
            "clock": self.clock,
        }
        try:
            with (
                leases.held(self.store, wide, **how) if wide else _nothing(),
                leases.held(self.store, f"erp:{self.company}", **how) as self.lease,
            ):
                self._adopt_orphans()
                self._work(self.clock.now() + dt.timedelta(seconds=self.limits.max_wait_seconds))
        except leases.LeaseHeld as held:
            self.report.held_elsewhere = str(held)
        except leases.LeaseLost as lost:
            self.report.held_elsewhere = str(lost)
        self._count_waiting()
        return self.report

    def _work(self, deadline: dt.datetime) -> None:
        """Rounds of look-up, send, poll and read-back until nothing can move before `deadline`."""
        while not self.stopping():
            pause = self._paused_until()
            moved = False
            if pause is None:
                for move in self._moves():
                    if self.stopping() or self._paused_until() is not None:
                        break
                    moved |= move()
            if moved:
                continue
            due = self._next_due()
            pause = self._paused_until()
            wake = max(due, pause) if due and pause else due
            if wake is None or max(wake, self.clock.now()) > deadline:
                return
            self.clock.sleep(min(1.0, max(0.05, (wake - self.clock.now()).total_seconds())))
        self.report.stopped = True

    def _call_size(self) -> int:
        """Documents in the next call: one while the circuit is half open, so that a probe risks little."""
        with self.store.read() as connection:
            half_open = circuits.of(connection, self.company).failures >= self.limits.breaker_failures
        return 1 if half_open else max(1, min(self.limits.documents_per_call, self.capabilities.batch_size_max))

    def _answer(self, call: Callable[[], T]) -> T | Failure:
        """A read of the ERP, or why it gave no answer, which the circuit counts. What a good answer means for the
        circuit is the caller's to say: a poll's may be full of failures."""
        try:
            return call()
        except ErpError as error:
            failure = error.failure
        except Exception as error:
            failure = Failure("unavailable", f"The ERP adapter failed: {type(error).__name__}.", str(error))
        self._failed_call(failure)
        return failure

    def _later(self, failure: Failure) -> dict[str, Any]:
        """What is written of rows that a failed read leaves as they are: when they come back, and why."""
        with self.store.read() as connection:
            times = circuits.of(connection, self.company).failures
        wait = failure.retry_after or backoff_seconds(
            times, self.company, base=self.limits.backoff_base_seconds, cap=self.limits.backoff_cap_seconds
        )
        return {
            "next_attempt_at": self.clock.now() + dt.timedelta(seconds=wait),
            "last_error_class": failure.failure_class,
            "last_error": failure.message,
        }

    def _count_call(self, failures: Sequence[Failure | None]) -> None:
        """Of the answers of one write: a call that failed for all its documents, or was throttled, counts as failed."""
        retried = [f for f in failures if f is not None and f.retry]
        if failures and len(retried) == len(failures):
            self._failed_call(retried[0])
        elif any(f.failure_class == "throttled" for f in retried):
            self._failed_call(next(f for f in retried if f.failure_class == "throttled"))
        else:
            self._answered()

    def _failed_call(self, failure: Failure) -> None:
        """Counts a failed call; at the limit, and at once when the ERP asks for it, the circuit opens."""
        now = self.clock.now()
        with self.store.write() as connection:
            times = circuits.of(connection, self.company).failures + 1
            wait = failure.retry_after
            if wait is None and times >= self.limits.breaker_failures:
                over = times - self.limits.breaker_failures + 1
                wait = backoff_seconds(
                    over, self.company, base=self.limits.backoff_base_seconds, cap=self.limits.backoff_cap_seconds
                )
            until = None if wait is None else now + dt.timedelta(seconds=wait)
            circuits.put(
                connection, self.company, circuits.Circuit(times, until, f"{failure.failure_class}: {failure.message}")
            )
        self.report.paused = failure.message if wait is not None else None

    def _answered(self) -> None:
        """The ERP answered: the circuit is closed again."""
        with self.store.read() as connection:
            healthy = circuits.of(connection, self.company) == circuits.Circuit()
        if not healthy:
            with self.store.write() as connection:
                circuits.put(connection, self.company, circuits.Circuit())
        self.report.paused = None

    def _paused_until(self) -> dt.datetime | None:
        with self.store.read() as connection:
            circuit = circuits.of(connection, self.company)
        return circuit.paused_until if circuit.is_paused(self.clock.now()) else None


@contextmanager
def _nothing() -> Iterator[None]:
    yield
