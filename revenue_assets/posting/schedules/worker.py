"""One drain of one ERP company's revenue schedules: requests to the ERP, each between two store transactions.

The order that makes each version arrive once and in turn is here and in `store.schedule_outbox.due`; lease, circuit and
rounds are in `company`; what an answer means is in `steps`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

from revenue_assets.domain import schedule_state as state
from revenue_assets.posting.company import OUTAGE_ATTEMPTS, READ_CHUNK, CompanyDrain, CompanyReport
from revenue_assets.posting.erp.port import ErpError, Failure
from revenue_assets.posting.erp.schedules import HeldSchedule, RevenueSchedule, ScheduleOutcome, SchedulePort
from revenue_assets.posting.schedules import steps
from revenue_assets.posting.steps import Limits
from revenue_assets.store import audit, exceptions, leases, schedule_outbox
from revenue_assets.store.clock import Clock
from revenue_assets.store.engine import Store
from revenue_assets.store.schedule_outbox import Step, Update

# Origin of the exceptions of schedule versions; `idempotency_key` is the version's.
ORIGIN = "schedules"


class ScheduleWorker(CompanyDrain):
    """One drain of one company's schedules. Each move is one request to the ERP between two store transactions."""

    def __init__(
        self, store: Store, port: SchedulePort, company: str, clock: Clock, limits: Limits,
        stopping: Callable[[], bool], progress: Callable[[CompanyReport], None] | None,
    ) -> None:  # fmt: skip
        super().__init__(store, port.capabilities, company, clock, limits, stopping, progress)
        self.port = port

    def _moves(self) -> Sequence[Callable[[], bool]]:
        return self._look_up, self._send, self._read_back

    def _next_due(self) -> dt.datetime | None:
        with self.store.read() as connection:
            return schedule_outbox.next_due(connection, self.company)

    def _adopt_orphans(self) -> None:
        """`sent` rows of an earlier holder: its request may still be in flight, so they settle from now on."""
        until = self.clock.now() + dt.timedelta(seconds=self.capabilities.settle_seconds)
        with self.store.read() as connection:
            left = schedule_outbox.orphaned(connection, self.company, self.lease.fence)
        self._apply([Step(one, state.UNCERTAIN, "take over", "unknown", {"settle_until": until}) for one in left])

    def _look_up(self) -> bool:
        """Uncertain versions past their settle time: what the ERP holds decides."""
        found = self._held("find", self._due(state.UNCERTAIN, READ_CHUNK))
        if found is None:
            return False
        self._apply([steps.after_look_up(one, held, newer) for one, held, newer in found])
        return bool(found)

    def _send(self) -> bool:
        """Intents committed, then one call, then its outcomes committed. A crash in between leaves `sent` rows."""
        sound, refused = _sound(self._due(state.PLANNED, self._call_size()))
        self._apply(refused)
        if not sound:
            return bool(refused)
        now = self.clock.now()
        sent = self._apply([steps.intent(update, now) for update, _ in sound])
        schedules = [schedule for _, schedule in sound]
        try:
            outcomes = self.port.put_schedules(schedules)
        except ErpError as error:
            outcomes = tuple(ScheduleOutcome(s.key, failure=error.failure) for s in schedules)
        except Exception as error:
            # An adapter must not raise; if it does, nobody knows what it sent.
            failure = Failure("uncertain", f"The ERP adapter failed: {type(error).__name__}.", str(error))
            outcomes = tuple(ScheduleOutcome(s.key, failure=failure) for s in schedules)
        self.report.sent += len(sent)
        now, by_key = self.clock.now(), {outcome.key: outcome for outcome in outcomes}
        settle = self.capabilities.settle_seconds
        self._apply(
            [steps.after_put(one, by_key.get(one.schedule_key), now, settle, self.limits) for one in sent]
        )  # fmt: skip
        self._count_call([outcome.failure for outcome in outcomes])
        return True

    def _read_back(self) -> bool:
        """Taken -> verified, by what the ERP holds now."""
        due = self._due(state.TAKEN, READ_CHUNK)
        with self.store.read() as connection:
            missed = schedule_outbox.misses(connection, [one.update_key for one in due])
        found = self._held("read back", due)
        if found is None:
            return False
        now = self.clock.now()
        self._apply(
            [
                steps.after_read_back(one, held, newer, missed.get(one.update_key, 0), now, self.limits)
                for one, held, newer in found
            ]
        )
        return bool(found)

    def _held(self, action: str, due: list[Update]) -> list[tuple[Update, HeldSchedule | None, int | None]] | None:
        """Each version with what the ERP holds of its schedule, and with the newer version that we have, if any. None:
        the ERP gave no answer; the versions come back later."""
        sound, refused = _sound(due)
        self._apply(refused)
        if not sound:
            return []
        answer = self._answer(lambda: self.port.schedules(self.company, [s.key for _, s in sound]))
        if isinstance(answer, Failure):
            later = self._later(answer)
            self._apply(
                [
                    Step(one, one.status, action, "no answer", later, answer.failure_class, answer.message)
                    for one, _ in sound
                ]
            )
            return None
        self._answered()
        with self.store.read() as connection:
            return [(one, answer.get(s.key), schedule_outbox.newer_than(connection, one)) for one, s in sound]

    def _due(self, status: str, limit: int) -> list[Update]:
        with self.store.read() as connection:
            settle = self.capabilities.settle_seconds
            return schedule_outbox.due(connection, self.company, self.clock.now(), [status], settle, limit)

    def _apply(self, to_write: Sequence[Step]) -> list[Update]:
        """Writes the steps, their exceptions and the lease's renewal in one transaction; nothing for no steps."""
        if not to_write:
            return []
        now = self.clock.now()
        with self.store.write() as connection:
            leases.renew(connection, self.lease, now)
            log: list[audit.Entry] = []
            for step in to_write:
                is_long = step.error_class is not None and step.update.attempts == OUTAGE_ATTEMPTS
                if step.status == state.DEAD or is_long:
                    log.append(exceptions.raise_one(connection, ORIGIN, steps.exception_of(step, now), now))
            after, over = schedule_outbox.apply(connection, to_write, self.lease.fence, self.lease.holder, now)
            log += exceptions.clear_batches(connection, over, now, origin=ORIGIN) if over else []
            audit.record(connection, now, log)
        self.report.verified += sum(step.status == state.VERIFIED for step in to_write)
        self.report.dead += sum(step.status == state.DEAD for step in to_write)
        self.report.found += sum((step.action, step.outcome) == ("find", "found") for step in to_write)
        if self.progress is not None:
            self.progress(self.report)
        return after

    def _count_waiting(self) -> None:
        with self.store.read() as connection:
            self.report.waiting = schedule_outbox.waiting(connection, self.company)
            self.report.next_due = schedule_outbox.next_due(connection, self.company)


def _sound(updates: list[Update]) -> tuple[list[tuple[Update, RevenueSchedule]], list[Step]]:
    """The versions as the port takes them, and dead-letter steps for those whose stored content was touched."""
    sound, refused = [], []
    for update in updates:
        try:
            sound.append((update, steps.schedule_of(update)))
        except (ValueError, KeyError, TypeError) as error:
            refused.append(steps.dead(update, "check", "refused", Failure("conflict", f"{error}.")))
    return sound, refused
