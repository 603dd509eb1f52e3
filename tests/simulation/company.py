"""One simulated run: two posters, a sensor that launches them, a cut that comes later, people, and what goes wrong.

For ten simulated minutes everything may fail. Then the faults end, and everything must come to its end: each batch in
the ERP once, as cut, and verified.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from fake_erp import BEHAVIOURS, FakeErp, cent
from invariants import Invariants
from kernel import START, Kernel, Task
from sqlalchemy import Connection, insert, select
from store_kit import AS_OF, House, invoice, recognition
from world import FLIGHT_MAX, LAG_MAX, SETTLE, Network, SimPort, SimStore, sim_store

from revenue_assets.domain import posting_state as state
from revenue_assets.posting.batches import cut
from revenue_assets.posting.booking import book
from revenue_assets.posting.erp.port import Failure
from revenue_assets.posting.outbox import drain, ready, replay
from revenue_assets.posting.steps import Limits
from revenue_assets.store import leases, outbox
from revenue_assets.store.engine import Store
from revenue_assets.store.tables import member_cuts, posting_batch_lines, posting_batches

COMPANIES = ("US Inc", "UK Inc")
CUTS = 5
FAULTS_END = START + dt.timedelta(minutes=10)
LATEST_END = START + dt.timedelta(hours=6)
LIMITS = Limits(
    documents_per_call=2, max_wait_seconds=45, backoff_base_seconds=1, backoff_cap_seconds=30, lease_seconds=60,
    lease_wait_seconds=1,
)  # fmt: skip


@dataclass(frozen=True)
class Cut:
    """The rows that one cut adds to the store."""

    row: dict[str, Any]
    batches: list[dict[str, Any]]
    lines: list[dict[str, Any]]


@cache
def cuts() -> tuple[bytes, tuple[Cut, ...]]:
    """The database after a first cut, and what later ones add; made once, with the real booking and cutting."""
    with tempfile.TemporaryDirectory() as folder:
        house = House.build(Path(folder))
        entries, later, database = [], [], b""
        for n in range(CUTS + 1):
            for entity in ("US", "UK"):
                entries.append(invoice(f"{entity}{n}", f"2026-0{1 + n % 3}-05", 100 + n, entity=entity))
                entries.append(recognition(f"r{entity}{n}", "2026-02-28", 9, entity=entity))
            house.should(*entries)
            book(house.store, house.journal, house.warehouse, house.state, AS_OF)
            report = cut(house.store, house.journal, house.state, AS_OF, tenant="t")
            with house.store.read() as connection:
                if n == 0:
                    database = connection.connection.driver_connection.serialize()  # type: ignore[union-attr]
                else:
                    later.append(_rows(connection, report.batch_keys))
        house.store.close()
        return database, tuple(later)


def _rows(connection: Connection, keys: list[str]) -> Cut:
    moving = {"fence", "attempts", "created_at", "seq"}
    batches = connection.execute(select(posting_batches).where(posting_batches.c.batch_key.in_(keys))).mappings().all()
    lines = connection.execute(select(posting_batch_lines).where(posting_batch_lines.c.batch_key.in_(keys))).mappings()
    row = connection.execute(select(member_cuts).where(member_cuts.c.cut_id == batches[0]["cut_id"])).mappings().one()
    return Cut(
        dict(row), [{k: v for k, v in b.items() if k not in moving} for b in batches], [dict(line) for line in lines]
    )


class Company:
    """One run of one seed. `behaviour` is a name of BEHAVIOURS; None lets the seed choose."""

    def __init__(self, seed: int, behaviour: str | None = None) -> None:
        self.kernel = Kernel(seed)
        random = self.kernel.random
        self.behaviour = behaviour or random.choice(sorted(BEHAVIOURS))
        faults = BEHAVIOURS[self.behaviour]
        # The fake's own times are those of tests by the real clock; here a second costs nothing.
        lag = LAG_MAX if faults.index_lag else 0.0
        self.faults = replace(faults, index_lag=lag, settle=SETTLE)
        # A request that leaves after its sender was stopped for longer than the settle time is a second one for an ERP
        # that knows no keys. No protocol of ours prevents that; reading back finds it (PROMISES of the ERP decide).
        self.may_be_stopped = self.faults.unique_id or (
            self.faults.remembers_keys and not self.faults.forgets_at_restart
        )
        self.kernel.note(f"seed {seed}, ERP {self.behaviour}")
        database, self.cuts = cuts()
        self.store: SimStore = sim_store(self.kernel, database, self._hazard)
        self.erps = {c: FakeErp(self.kernel.now, self.faults, seed=seed + n) for n, c in enumerate(COMPANIES)}
        self.networks = {c: Network(self.kernel, erp, self._kill) for c, erp in self.erps.items()}
        self.invariants = Invariants(self.store, self.erps, self.networks)
        # On one machine a dead holder's lease is taken over at once; from another one only when it ends.
        self.is_one_machine = random.random() < 0.5
        self.kernel.after_each = self.invariants.after_step
        self.launched: set[str] = set()
        self.runs = 0
        self.kills = 0

    @property
    def is_faulty(self) -> bool:
        return self.kernel.now() < FAULTS_END

    def run(self) -> Company:
        """Plays the run to its end; AssertionError if a promise broke."""
        holders = mock.patch.multiple(leases, this_holder=self._this_holder, holder_is_dead=self._holder_is_dead)
        try:
            holders.start()
            self.kernel.spawn("sensor", self._sensor)
            self.kernel.spawn("accountant", self._accountant)
            self.kernel.spawn("cutter", self._cutter)
            for _ in range(self.kernel.random.randint(3, 12)):
                self.kernel.after(self.kernel.random.uniform(0, 560), self._mishap)
            self.kernel.at(FAULTS_END, self._heal)
            self.kernel.run(LATEST_END, self._is_finished)
            self.invariants.at_the_end()
        finally:
            self.kernel.stop()
            holders.stop()
            self.store.engine.dispose()
        return self

    def _this_holder(self) -> str:
        return f"simulated||{self.kernel.current().name}"

    def _holder_is_dead(self, holder: str) -> bool:
        return self.is_one_machine and self.kernel.task(holder.split("|")[2]).dead

    # Who acts.

    def _sensor(self) -> None:
        """Every half minute: what is ready? As Dagster does, a key that was launched once is never launched again."""
        while True:
            for work in ready(self.store, clock=self.kernel, relaunch_seconds=120):
                if work.run_key in self.launched:
                    continue
                self.launched.add(work.run_key)
                if self.is_faulty and self.kernel.random.random() < 0.15:
                    self.kernel.note(f"launch of {work.run_key} fails")
                    continue
                self.runs += 1
                company = work.erp_company
                self.kernel.spawn(f"poster {self.runs} of {company}", lambda c=company: self._poster(c))
            self.kernel.sleep(30)

    def _poster(self, company: str) -> None:
        # A run that waits in a queue, so that two for one company meet now and then.
        self.kernel.sleep(self.kernel.random.choice((0.1, 0.1, 40.0)))
        report = drain(
            self.store, {company: SimPort(self.networks[company])}, clock=self.kernel, limits=LIMITS,  # type: ignore[dict-item]
            companies=[company],
        )  # fmt: skip
        for done in report.companies:
            self.kernel.note(
                f"{self.kernel.current().name}: sent {done.sent}, verified {done.verified}, dead {done.dead}, "
                f"waiting {done.waiting}" + (", held elsewhere" if done.held_elsewhere else "")
            )

    def _cutter(self) -> None:
        """Each cut's transaction, some time after the other, and again: the same batches are there already."""
        for made in self.cuts:
            self.kernel.sleep(self.kernel.random.uniform(1, 110))
            for again in (False, True):
                with self.store.write() as connection:
                    if not again:
                        connection.execute(insert(member_cuts).values(**made.row))
                    new = outbox.insert_batches(connection, made.batches, made.lines, self.kernel.now())
                assert new == (0 if again else len(made.batches))

    def _accountant(self) -> None:
        """Takes up every dead batch again: rightly once the cause is gone, in vain before."""
        while True:
            self.kernel.sleep(self.kernel.random.uniform(20, 120))
            for batch in outbox.all_batches(self.store):
                if batch["status"] == state.DEAD:
                    self.kernel.note(f"replay of {batch['batch_key'][:8]} ({batch['last_error_class']})")
                    replay(self.store, batch["batch_key"], actor="anna", clock=self.kernel)

    # What goes wrong.

    def _hazard(self) -> None:
        """At each store transaction of a poster: it may die, or be stopped for longer than its lease."""
        task = self.kernel.current()
        if not self.is_faulty or not task.name.startswith("poster"):
            return
        chance = self.kernel.random.random()
        if chance < 0.03:
            self._kill(task)
        if chance < 0.05 and self.may_be_stopped:
            seconds = self.kernel.random.uniform(30, 200)
            self.kernel.note(f"{task.name} is stopped for {seconds:.0f} s")
            task.paused_until = self.kernel.now() + dt.timedelta(seconds=seconds)

    def _kill(self, task: Task) -> None:
        self.kills += not task.dead
        task.kill()

    def _mishap(self) -> None:
        random = self.kernel.random
        company = random.choice(COMPANIES)
        erp = self.erps[company]
        what = random.choice(("kill", "kill", "outage", "period", "restart", "edit"))
        self.kernel.note(f"mishap: {what} {company}")
        if what == "kill":
            for task in self.kernel.living("poster"):
                self._kill(task)
        elif what == "outage":
            erp.down = Failure("unavailable", "The ERP answered 503.")
            self.kernel.after(random.uniform(5, 300), lambda: setattr(erp, "down", None))
        elif what == "period":
            # The ERP's accountant closes a period: its documents are refused until it is open again.
            rows = outbox.all_batches(Store(self.store.engine))
            period = random.choice(sorted({r["period"] for r in rows}))
            for row in rows:
                if row["period"] == period and row["erp_company"] == company:
                    erp.refuse[row["batch_key"]] = Failure("period_closed", f"Period {period} is closed in the ERP.")
            self.kernel.after(random.uniform(30, 300), erp.refuse.clear)
        elif what == "restart":
            erp.restart()
        else:
            # Somebody edits documents by hand for a while.
            erp.alter = cent
            self.kernel.after(random.uniform(10, 120), lambda: setattr(erp, "alter", lambda document: document))

    def _heal(self) -> None:
        self.kernel.note("the faults end")
        for erp, network in zip(self.erps.values(), self.networks.values(), strict=True):
            erp.down, erp.alter = None, lambda document: document
            erp.refuse.clear()
            erp.faults = replace(erp.faults, storm_before=0, storm_after=0, throttle=0, drop_after_commit=0)
            network.is_calm = True

    def _is_finished(self) -> bool:
        """Nothing left to do, and long enough after the last fault that nothing can still be on its way."""
        if self.kernel.now() < FAULTS_END + dt.timedelta(seconds=FLIGHT_MAX + 1):
            return False
        counts = outbox.counts(Store(self.store.engine))
        total = sum(counts.values())
        return counts[state.VERIFIED] == total
