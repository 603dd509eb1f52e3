"""One drain of one ERP company's documents: requests to the ERP, each between two store transactions.

The order of things that makes it exactly-once is here; lease, circuit and rounds are in `company`, what an answer means
is in `steps`, what may be written is in `store.outbox`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from sqlalchemy import func, select

from revenue_assets.domain import posting_state as state
from revenue_assets.posting import steps
from revenue_assets.posting.company import OUTAGE_ATTEMPTS, READ_CHUNK, CompanyDrain, CompanyReport
from revenue_assets.posting.erp.delivery import deliver
from revenue_assets.posting.erp.documents import unfit
from revenue_assets.posting.erp.port import ErpError, ErpPort, Failure, Journal, Outcome
from revenue_assets.posting.steps import Limits
from revenue_assets.store import audit, exceptions, leases, outbox
from revenue_assets.store.clock import Clock
from revenue_assets.store.engine import Store
from revenue_assets.store.outbox import Batch, Step
from revenue_assets.store.tables import posting_attempts, posting_batches

T = TypeVar("T")


class CompanyWorker(CompanyDrain):
    """One drain of one company's batches. Each move is one request to the ERP between two store transactions."""

    def __init__(
        self, store: Store, port: ErpPort, company: str, clock: Clock, limits: Limits, stopping: Callable[[], bool],
        progress: Callable[[CompanyReport], None] | None,
    ) -> None:  # fmt: skip
        super().__init__(store, port.capabilities, company, clock, limits, stopping, progress)
        self.port = port

    def _moves(self) -> Sequence[Callable[[], bool]]:
        return self._look_up, self._poll, self._send, self._read_back

    def _next_due(self) -> dt.datetime | None:
        with self.store.read() as connection:
            return outbox.next_due(connection, self.company)

    def _adopt_orphans(self) -> None:
        """`sent` rows of an earlier holder: its request may still be in flight, so they settle from now on."""
        now = self.clock.now()
        until = now + dt.timedelta(seconds=self.capabilities.settle_seconds)
        with self.store.read() as connection:
            left = outbox.orphaned(connection, self.company, self.lease.fence)
        self._apply([Step(b, state.UNCERTAIN, "take over", "unknown", {"settle_until": until}) for b in left])

    def _look_up(self) -> bool:
        """Uncertain batches past their settle time, and drafts that the ERP posts itself; what is not there is sent."""
        statuses = [state.UNCERTAIN] + ([state.CREATED] if self.capabilities.posts_itself else [])
        batches = self._due(statuses, READ_CHUNK)
        if not batches:
            return False
        sound, result = self._journals(batches)
        if sound:
            found = self._ask("find", sound, lambda: self.port.find(self.company, [j.key for _, j in sound]))
            if found is None:
                return False
            self._answered()
            now, absent = self.clock.now(), []
            for batch, journal in sound:
                step = steps.after_look_up(batch, tuple(found.get(journal.key, ())), now, self.limits)
                if step is not None:
                    result.append(step)
                    self.report.found += step.status != state.DEAD
                elif batch.status == state.CREATED:
                    words = "The draft we made is gone from the ERP."
                    result.append(
                        Step(
                            batch,
                            state.DEAD,
                            "find",
                            "gone",
                            {"last_error_class": "conflict", "last_error": words},
                            "conflict",
                            words,
                        )
                    )
                else:
                    absent.append((batch, journal))
            self._apply(result)
            size = self._call_size()
            for start in range(0, len(absent), size):
                if self.stopping() or self._paused_until() is not None:
                    break
                self._submit(absent[start : start + size])
            return True
        self._apply(result)
        return bool(result)

    def _send(self) -> bool:
        """The next planned batches (and drafts that we must post), one call's worth."""
        statuses = [state.PLANNED] + ([] if self.capabilities.posts_itself else [state.CREATED])
        batches = self._due(statuses, self._call_size())
        if not batches:
            return False
        sound, refused = self._journals(batches)
        self._apply(refused)
        if sound:
            self._submit(sound)
        return True

    def _submit(self, work: list[tuple[Batch, Journal]]) -> None:
        """Intents committed, then one call, then its outcomes committed. A crash in between leaves `sent` rows."""
        now = self.clock.now()
        with self.store.read() as connection:
            closed = outbox.in_closed_period(connection, [batch.batch_key for batch, _ in work])
        self._apply([steps.period_closed(batch) for batch, _ in work if batch.batch_key in closed])
        work = [(batch, journal) for batch, journal in work if batch.batch_key not in closed]
        if not work:
            return
        sent = self._apply([steps.intent(batch, now) for batch, _ in work])
        try:
            outcomes = deliver(self.port, [journal for _, journal in work], self._masters_alone)
        except ErpError as error:
            outcomes = tuple(Outcome(j.key, failure=error.failure) for _, j in work)
        except leases.LeaseHeld as held:
            failure = Failure(
                "throttled", f"Another company's poster makes customers and items: {held}", retry_after=1.0
            )
            outcomes = tuple(Outcome(j.key, failure=failure) for _, j in work)
        except Exception as error:
            # An adapter must not raise; if it does, nobody knows what it sent.
            failure = Failure("uncertain", f"The ERP adapter failed: {type(error).__name__}.", str(error))
            outcomes = tuple(Outcome(j.key, failure=failure) for _, j in work)
        self.report.sent += len(sent)
        self._outcomes(list(zip(sent, (j.key for _, j in work), strict=True)), outcomes)

    def _masters_alone(self) -> AbstractContextManager[leases.Lease]:
        """One poster at a time makes customers and items, whichever its company."""
        return leases.held(
            self.store, f"erp-masters:{self.capabilities.vendor}", ttl_seconds=self.limits.lease_seconds,
            wait_seconds=self.limits.lease_wait_seconds, clock=self.clock,
        )  # fmt: skip

    def _poll(self) -> bool:
        batches = self._due([state.ACCEPTED], READ_CHUNK)
        if not batches:
            return False
        sound, refused = self._journals(batches)
        self._apply(refused)
        jobs = {j.key: b.erp_job_id or "" for b, j in sound}
        outcomes = self._ask("poll", sound, lambda: self.port.poll(self.company, jobs))
        if outcomes is None:
            return False
        self._outcomes([(b, j.key) for b, j in sound], outcomes)
        return True

    def _outcomes(self, asked: list[tuple[Batch, str]], outcomes: Sequence[Outcome]) -> None:
        now, by_key = self.clock.now(), {o.key: o for o in outcomes}
        answered = [
            steps.after_submit(batch, by_key.get(key), now, self.capabilities.settle_seconds, self.limits)
            for batch, key in asked
        ]
        self._apply(answered)
        self._count_call([by_key[key].failure for _, key in asked if key in by_key])

    def _read_back(self) -> bool:
        """Posted -> verified, by what the ERP holds now."""
        batches = [b for b in self._due([state.POSTED], READ_CHUNK)]
        if not batches:
            return False
        sound, result = self._journals(batches)
        with self.store.read() as connection:
            missed = (posting_attempts.c.action == "read back") & (posting_attempts.c.outcome == "not found")
            mine = posting_attempts.c.batch_key.in_([b.batch_key for b in batches])
            query = (
                select(posting_attempts.c.batch_key, func.count())
                .where(missed, mine)
                .group_by(posting_attempts.c.batch_key)
            )
            seen: dict[str, int] = dict(connection.execute(query).all())
        ids = [b.erp_document_id or "" for b, _ in sound]
        documents = self._ask("read back", sound, lambda: self.port.lines(self.company, ids))
        if documents is None:
            return False
        self._answered()
        now = self.clock.now()
        for batch, journal in sound:
            document = documents.get(batch.erp_document_id or "")
            result.append(
                steps.after_read_back(batch, journal, document, seen.get(batch.batch_key, 0), now, self.limits)
            )
        self._apply(result)
        return True

    def _journals(self, batches: list[Batch]) -> tuple[list[tuple[Batch, Journal]], list[Step]]:
        """The documents to work with, and dead-letter steps for those that are not fit to be sent at all."""
        sound, refused = [], []
        for batch in batches:
            try:
                journal = steps.journal_of(batch, self.capabilities.key_length_max)
                failure = unfit(journal, self.capabilities) if batch.status == state.PLANNED else None
            except ValueError as error:
                failure = Failure("conflict", str(error))
            if failure is None:
                sound.append((batch, journal))
                continue
            values = {"last_error_class": failure.failure_class, "last_error": failure.message}
            refused.append(Step(batch, state.DEAD, "check", "refused", values, failure.failure_class, failure.message))
        return sound, refused

    def _due(self, statuses: Sequence[str], limit: int) -> list[Batch]:
        with self.store.read() as connection:
            return outbox.due(connection, self.company, self.clock.now(), statuses, limit)

    def _apply(self, to_write: Sequence[Step]) -> list[Batch]:
        """Writes the steps, their exceptions and the lease's renewal in one transaction; nothing for no steps."""
        if not to_write:
            return []
        now = self.clock.now()
        with self.store.write() as connection:
            leases.renew(connection, self.lease, now)
            log: list[audit.Entry] = []
            for step in to_write:
                if step.status == state.DEAD:
                    log.append(exceptions.raise_one(connection, "posting", steps.dead_letter(step, now), now))
                elif steps.is_overdue(step):
                    log.append(exceptions.raise_one(connection, "posting", steps.overdue(step, now), now))
                elif step.error_class is not None and step.batch.attempts == OUTAGE_ATTEMPTS:
                    log.append(exceptions.raise_one(connection, "posting", steps.outage(step, now), now))
            verified = [step.batch.batch_key for step in to_write if step.status == state.VERIFIED]
            if verified:
                log += exceptions.clear_batches(connection, verified, now)
            after = outbox.apply(connection, to_write, self.lease.fence, self.lease.holder, now)
            audit.record(connection, now, log)
        self.report.verified += len(verified)
        self.report.dead += sum(s.status == state.DEAD for s in to_write)
        if self.progress is not None:
            self.progress(self.report)
        return after

    def _ask(self, action: str, asked: list[tuple[Batch, Journal]], call: Callable[[], T]) -> T | None:
        """A read of the ERP; None if it gave no answer, and then the batches stay as they are and come back later."""
        answer = self._answer(call)
        if not isinstance(answer, Failure):
            return answer
        later = self._later(answer)
        again = [b for b, _ in asked if b.status in state.TRANSITIONS[b.status]]
        self._apply(
            [Step(b, b.status, action, "no answer", later, answer.failure_class, answer.message) for b in again]
        )
        return None

    def _count_waiting(self) -> None:
        with self.store.read() as connection:
            mine = (posting_batches.c.erp_company == self.company) & posting_batches.c.status.in_(list(state.WORKABLE))
            live = posting_batches.c.mode == outbox.LIVE
            self.report.waiting = (
                connection.scalar(select(func.count()).select_from(posting_batches).where(mine, live)) or 0
            )
            self.report.next_due = outbox.next_due(connection, self.company)
