"""The outbox worker: takes planned batches to `verified`, exactly once, whatever breaks.

For each ERP company, under its lease: what an earlier process left in `sent` becomes `uncertain`; uncertain ones past
their settle time are looked up; only what the look-up does not find is sent again; intents are committed before the
request leaves; what the ERP posted is read back and compared. Everything is found by state, so that a crash at any
moment only means that the next drain goes on from what is committed.
"""

from __future__ import annotations

import datetime as dt
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import select

from revenue_assets.domain import posting_state as state
from revenue_assets.posting.company import CompanyReport
from revenue_assets.posting.erp.port import ErpPort
from revenue_assets.posting.steps import Limits
from revenue_assets.posting.worker import CompanyWorker
from revenue_assets.store import audit, circuits, exceptions, leases, outbox, schedule_outbox
from revenue_assets.store.approvals import REJECTED
from revenue_assets.store.clock import SYSTEM_CLOCK, Clock
from revenue_assets.store.engine import Store, StoreError
from revenue_assets.store.outbox import Batch, Step
from revenue_assets.store.tables import posting_batches


@dataclass
class DrainReport:
    """All companies of one drain. `unserved`: companies with work for which no port was given."""

    companies: list[CompanyReport] = field(default_factory=list)
    unserved: list[str] = field(default_factory=list)

    def total(self, name: str) -> int:
        """Sum of a count over the companies: sent, verified, found, dead or waiting."""
        return sum(getattr(c, name) for c in self.companies)

    @property
    def is_finished(self) -> bool:
        """Nothing is left that a later drain would have to do."""
        return self.total("waiting") == 0 and not self.unserved and not any(c.held_elsewhere for c in self.companies)


class Work(NamedTuple):
    """A company that a posting run should serve now; `batches` counts versions of schedules too. `run_key` names this
    very piece of work (see `ready`)."""

    erp_company: str
    batches: int
    attempt: int
    run_key: str
    oldest: dt.datetime


def ready(store: Store, *, clock: Clock = SYSTEM_CLOCK, relaunch_seconds: float = 600.0) -> list[Work]:
    """Companies with batches or revenue schedules that could move now, for a level-triggered sensor; changes nothing.

    A company whose lease is held or whose circuit is open is not listed. `attempt` is the number of drains so far, so
    that each finished run gives a new `run_key`; Dagster drops a repeated key for ever, even of a run that died before
    it started, hence the time slot in it: after `relaunch_seconds` the same work is asked for again.
    """
    now = clock.now()
    with store.read() as connection:
        busy = leases.live_names(connection, now)
        out = []
        for company in sorted({*_companies(connection), *schedule_outbox.companies(connection)}):
            name = f"erp:{company}"
            if name in busy or circuits.of(connection, company).is_paused(now):
                continue
            backlogs = (outbox.backlog(connection, company, now), schedule_outbox.backlog(connection, company, now))
            number = sum(count for count, _ in backlogs)
            if not number:
                continue
            attempt = leases.fence_of(connection, name) + 1
            slot = int((now - dt.datetime(1970, 1, 1)).total_seconds() // relaunch_seconds)  # noqa: DTZ001
            oldest = min((since for _, since in backlogs if since is not None), default=now)
            out.append(Work(company, number, attempt, f"post:{company}:{attempt}:{slot}", oldest))
    return out


def _companies(connection: Any) -> list[str]:
    live = (posting_batches.c.mode == outbox.LIVE) & posting_batches.c.status.in_(list(state.WORKABLE))
    return sorted(connection.scalars(select(posting_batches.c.erp_company).where(live).distinct()))


def drain(
    store: Store,
    ports: Mapping[str, ErpPort],
    *,
    clock: Clock = SYSTEM_CLOCK,
    limits: Limits | None = None,
    companies: Sequence[str] | None = None,
    stop: Callable[[], bool] | None = None,
    progress: Callable[[CompanyReport], None] | None = None,
) -> DrainReport:
    """Takes every batch whose time has come as far as the ERP lets it, company by company.

    `ports`: ERP company name -> its port (one object may serve several). `companies` restricts the drain. SIGINT and
    SIGTERM stop it after the request under way (the main thread only; elsewhere pass `stop`). Never raises for what
    the ERP does; that is in the report, the batches' states and the exceptions.
    """
    limits = limits or Limits()
    report = DrainReport()
    with store.read() as connection:
        pending = _companies(connection)
    with stop_on_signals(stop) as stopping:
        for company in pending:
            if companies is not None and company not in companies:
                continue
            if company not in ports:
                report.unserved.append(company)
                continue
            worker = CompanyWorker(store, ports[company], company, clock, limits, stopping, progress)
            report.companies.append(worker.run())
    return report


def replay(store: Store, batch_key: str, *, actor: str, note: str = "", clock: Clock = SYSTEM_CLOCK) -> Batch:
    """Takes a dead batch up again after a person's fix. It is looked up first if it was ever sent; nothing is re-keyed.

    Raises StoreError if the batch is not dead. Replaying everything twice changes nothing after the first time.
    """
    with store.write() as connection:
        batch = outbox.get(connection, batch_key)
        if batch.status != state.DEAD:
            raise StoreError(f"batch {batch_key} is {batch.status}, not dead; there is nothing to replay.")
        if batch.last_error_class == REJECTED:
            raise StoreError(f"batch {batch_key} was rejected; it is never posted. Correct the document at its source.")
        now = clock.now()
        target = state.UNCERTAIN if batch.attempts else state.PLANNED
        values = {"settle_until": now, "next_attempt_at": None}
        step = Step(batch, target, "replay", "ok", values, None, note or None)
        (after,) = outbox.apply(
            connection,
            [step],
            max(batch.fence, leases.fence_of(connection, f"erp:{batch.erp_company}")),
            actor,
            now,
            actor,
        )
        audit.record(connection, now, exceptions.ready_for_replay(connection, batch_key, actor, note or None))
    return after


@contextmanager
def stop_on_signals(stop: Callable[[], bool] | None) -> Iterator[Callable[[], bool]]:
    """Turns SIGINT and SIGTERM into a flag for the block, so that a request under way is finished and recorded."""
    flagged = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop or flagged.is_set
        return
    old = {s: signal.signal(s, lambda *_: flagged.set()) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: flagged.is_set() or (stop is not None and stop())
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
