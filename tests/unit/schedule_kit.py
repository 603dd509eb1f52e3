"""A house whose ERP runs the schedules, and that ERP in memory: a raw register that keeps no promise by itself."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from fake_erp import Faults, Killed
from store_kit import House

from revenue_assets.posting.erp.port import Capabilities, ErpError, Failure
from revenue_assets.posting.erp.schedules import HeldSchedule, RevenueSchedule, ScheduleOutcome
from revenue_assets.posting.schedules.plan import PlanReport, plan
from revenue_assets.store.engine import open_store
from revenue_assets.store.ledger import Journal

ERP = {"US": {"schedules_owner": "erp"}}
COMPANY = "US Inc"
_COLUMNS = {
    "entity_id": "varchar", "document_type": "varchar", "document_id": "varchar", "line_id": "varchar",
    "service_period": "varchar", "recognition_date": "date", "period": "varchar", "currency": "varchar",
    "functional_currency": "varchar", "product_family": "varchar", "customer_id": "varchar", "balance_role": "varchar",
    "amount": "bigint", "amount_fc": "bigint", "discount_amount": "bigint", "discount_fc": "bigint",
}  # fmt: skip


def line(document: str, amounts: Mapping[str, int], **changes: Any) -> list[dict[str, Any]]:
    """The parts of one line of an invoice: amount by month, recognised on the 28th."""
    return [
        {
            "entity_id": "US", "document_type": "invoice", "document_id": document, "line_id": "l1",
            "service_period": month, "recognition_date": dt.date.fromisoformat(f"{month}-28"), "period": month,
            "currency": "USD", "functional_currency": "USD", "product_family": "platform", "customer_id": "cus_1",
            "balance_role": "deferred_revenue", "amount": amount, "amount_fc": amount, "discount_amount": 0,
            "discount_fc": 0,
        } | changes
        for month, amount in amounts.items()
    ]  # fmt: skip


def scheduled(house: House, *lines: list[dict[str, Any]]) -> None:
    """Replaces `subledger.erp_schedule_parts`."""
    rows = [tuple(row[name] for name in _COLUMNS) for parts in lines for row in parts]
    with duckdb.connect(str(house.warehouse)) as connection:
        connection.execute("create schema if not exists subledger")
        columns = ", ".join(f"{n} {k}" for n, k in _COLUMNS.items())
        connection.execute(f"create or replace table subledger.erp_schedule_parts ({columns})")
        if rows:
            marks = ", ".join("?" for _ in _COLUMNS)
            connection.executemany(f"insert into subledger.erp_schedule_parts values ({marks})", rows)


def planned(house: House, port: Any, clock: Any) -> PlanReport:
    ports = {COMPANY: port}
    return plan(house.store, house.journal, house.warehouse, house.state, ports, tenant="t", clock=clock)


def built(root: Path) -> House:
    return House.build(root, policy=ERP)


def opened(root: Path) -> House:
    """A house that stands in `root` already."""
    store = open_store(f"sqlite:///{root / 'store' / 'operational.sqlite'}")
    return House(root, store, Journal(root / "journal"), root / "state", root / "warehouse" / "revenue.duckdb")


@dataclass
class ScheduleErp:
    """A register: key -> the put that came last. `phase` is called at received, committed and replied; it may kill the
    caller. `alter` is what a read shows of a schedule."""

    clock: Callable[[], dt.datetime]
    faults: Faults = field(default_factory=Faults)
    seed: int = 0
    batch_size_max: int = 10
    takes_schedules: bool = True
    phase: Callable[[str], None] = lambda name: None
    alter: Callable[[HeldSchedule], HeldSchedule | None] = lambda held: held
    refuse: dict[str, Failure] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.puts: list[tuple[float, RevenueSchedule]] = []
        self.in_flight: list[tuple[float, RevenueSchedule]] = []
        self.calls: Counter[str] = Counter()
        self.down: Failure | None = None

    def __getattr__(self, name: str) -> Any:
        """The other half of the port, which nothing here may call: journals have a fake of their own."""
        if name in ("resolve", "ensure", "periods", "preflight", "find", "submit", "poll", "lines", "balances",
                    "reverse"):  # fmt: skip
            return self._none_of_that
        raise AttributeError(name)

    def _none_of_that(self, *_: Any) -> Any:
        raise AssertionError("the schedule worker called a method of the document port")

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            vendor="fake", mode="sync", key_length_max=64, key_unique=True, atomic_unit="document",
            batch_size_max=self.batch_size_max, writer_scope="company", posts_itself=True,
            settle_seconds=self.faults.settle, revenue_schedules=self.takes_schedules,
        )  # fmt: skip

    def now_held(self) -> dict[str, RevenueSchedule]:
        """What the ERP ends up with, late commits included."""
        self.tick(everything=True)
        return {schedule.key: schedule for _, schedule in self.puts}

    def restart(self) -> None:
        """It has no memory to lose."""

    def tick(self, *, everything: bool = False) -> None:
        now = self.clock().timestamp()
        for item in list(self.in_flight):
            if everything or item[0] <= now:
                self.in_flight.remove(item)
                self._store(item[1], item[0])

    def put_schedules(self, schedules: Sequence[RevenueSchedule]) -> tuple[ScheduleOutcome, ...]:
        self.calls["put"] += 1
        self.tick()
        blocked = self._blocked()
        if blocked is not None:
            return tuple(ScheduleOutcome(s.key, failure=blocked) for s in schedules)
        try:
            self.phase("received")
        except Killed:
            self._after_death(schedules)
            raise
        out = []
        for schedule in schedules:
            if schedule.key in self.refuse:
                out.append(ScheduleOutcome(schedule.key, failure=self.refuse[schedule.key]))
                continue
            self._store(schedule, self.clock().timestamp())
            out.append(ScheduleOutcome(schedule.key, f"S{schedule.key[:6]}"))
        self.phase("committed")
        if self.random.random() < self.faults.drop_after_commit + self.faults.storm_after:
            lost = Failure("uncertain", "The connection broke while the answer was on its way.")
            return tuple(ScheduleOutcome(s.key, failure=lost) for s in schedules)
        self.phase("replied")
        return tuple(out)

    def schedules(self, company: str, keys: Sequence[str]) -> dict[str, HeldSchedule]:
        self.calls["read"] += 1
        self.tick()
        if (blocked := self._blocked()) is not None:
            raise ErpError(blocked)
        now = self.clock().timestamp()
        found = {
            s.key: HeldSchedule(f"S{s.key[:6]}", s) for at, s in self.puts if s.key in keys and at <= now
        }  # fmt: skip
        shown = {key: self.alter(held) for key, held in found.items()}
        return {key: held for key, held in shown.items() if held is not None}

    def _store(self, schedule: RevenueSchedule, at: float) -> None:
        self.puts.append((at + self.random.uniform(0, self.faults.index_lag), schedule))

    def _after_death(self, schedules: Sequence[RevenueSchedule]) -> None:
        """Received; the caller is gone. It may commit all the same, and later than anybody thinks."""
        now = self.clock().timestamp()
        if self.faults.late_commit and self.random.random() < 0.8:
            late = now + self.random.uniform(0, self.faults.late_commit)
            self.in_flight += [(late, schedule) for schedule in schedules]
        elif self.random.random() < 0.5:
            for schedule in schedules:
                self._store(schedule, now)

    def _blocked(self) -> Failure | None:
        if self.down is not None:
            return self.down
        if self.random.random() < self.faults.throttle:
            return Failure("throttled", "Too many requests.", retry_after=0.05)
        if self.random.random() < self.faults.storm_before:
            return Failure("unavailable", "The ERP answered 503.")
        return None
