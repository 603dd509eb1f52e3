"""Draining and replaying the outbox of revenue schedules; the counterpart of `posting.outbox`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from revenue_assets.domain import schedule_state as state
from revenue_assets.posting.company import CompanyReport
from revenue_assets.posting.erp.port import ErpPort
from revenue_assets.posting.erp.schedules import SchedulePort
from revenue_assets.posting.outbox import DrainReport, stop_on_signals
from revenue_assets.posting.schedules.worker import ORIGIN, ScheduleWorker
from revenue_assets.posting.steps import Limits
from revenue_assets.store import audit, exceptions, leases, schedule_outbox
from revenue_assets.store.clock import SYSTEM_CLOCK, Clock
from revenue_assets.store.engine import Store, StoreError
from revenue_assets.store.schedule_outbox import Step, Update


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
    """Takes every version whose time has come as far as the ERP lets it; arguments as of `posting.outbox.drain`.

    A company whose port takes no schedules (any more) is unserved.
    """
    report = DrainReport()
    with store.read() as connection:
        pending = schedule_outbox.companies(connection)
    with stop_on_signals(stop) as stopping:
        for company in pending:
            if companies is not None and company not in companies:
                continue
            port = ports.get(company)
            if port is None or not port.capabilities.revenue_schedules:
                report.unserved.append(company)
                continue
            worker = ScheduleWorker(
                store, cast(SchedulePort, port), company, clock, limits or Limits(), stopping, progress
            )
            report.companies.append(worker.run())
    return report


def replay(store: Store, update_key: str, *, actor: str, note: str = "", clock: Clock = SYSTEM_CLOCK) -> Update:
    """Takes a dead version up again after a person's fix. It is looked up first if it was ever sent.

    Raises StoreError if it is not dead, or if a newer version took its place: that one goes to the ERP.
    """
    with store.write() as connection:
        update = schedule_outbox.get(connection, update_key)
        if update.status != state.DEAD:
            raise StoreError(f"schedule {update_key} is {update.status}, not dead; there is nothing to replay.")
        if newer := schedule_outbox.newer_than(connection, update):
            raise StoreError(f"schedule {update_key} was overtaken by version {newer}, which goes to the ERP instead.")
        now = clock.now()
        target = state.UNCERTAIN if update.attempts else state.PLANNED
        step = Step(update, target, "replay", "ok", {"settle_until": now, "next_attempt_at": None}, None, note or None)
        fence = max(update.fence, leases.fence_of(connection, f"erp:{update.erp_company}"))
        (after,), _ = schedule_outbox.apply(connection, [step], fence, actor, now, actor)
        log = exceptions.ready_for_replay(connection, update_key, actor, note or None, origin=ORIGIN)
        audit.record(connection, now, log)
    return after
