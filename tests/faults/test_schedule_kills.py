"""Workers of revenue schedules die by SIGKILL at seeded points while the schedules go on changing: the ERP ends up with
the newest version of each, whatever was in flight when its sender died.

One seed runs by default; `REVENUE_KILL_SEEDS=200 pytest tests/faults/test_schedule_kills.py` runs more.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from fake_erp import BEHAVIOURS, Faults
from killing import fork, trial, url_of
from schedule_kit import ScheduleErp, built, line, planned, scheduled
from store_kit import House

from revenue_assets.posting.schedules.outbox import drain
from revenue_assets.posting.schedules.steps import schedule_of
from revenue_assets.store import audit, exceptions, schedule_outbox
from revenue_assets.store.clock import SystemClock
from revenue_assets.store.engine import open_store

SEEDS = int(os.environ.get("REVENUE_KILL_SEEDS", "1"))
# Of documents, those that say something about a register of versions; and a put that arrives after its sender died and
# the line has changed.
HOW = {name: BEHAVIOURS[name] for name in ("ideal", "index_lag", "drop_after_commit", "storms")}
HOW["late"] = Faults(late_commit=2.0, settle=2.3)


def change(house: House, choice: random.Random) -> None:
    """Some lines are billed anew, in a process of its own: this one must stay without threads."""
    lines = [line(f"i{n}", {f"2026-{m:02d}": choice.randint(1, 999) for m in range(1, 4)}) for n in range(4)]

    def task() -> None:
        mine = House(house.root, open_store(url_of(house.root)), house.journal, house.state, house.warehouse)
        scheduled(mine, *lines)
        planned(mine, ScheduleErp(SystemClock().now), SystemClock())

    pid = fork(task)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("behaviour", HOW)
def test_killed_workers_leave_the_newest_version_of_each(tmp_path: Path, behaviour: str, seed: int) -> None:
    house, choice = built(tmp_path), random.Random(seed)
    house.store.close()
    change(house, choice)
    erp = ScheduleErp(SystemClock().now, faults=HOW[behaviour], seed=seed)
    trial(url_of(house.root), erp, seed * 7919 + 13, drain, lambda: change(house, choice))
    store = open_store(url_of(house.root))
    with store.read() as connection:
        newest = schedule_outbox.newest(connection, ["US"])
        wanted = {
            one.schedule_key: schedule_of(
                schedule_outbox.get(connection, schedule_outbox.update_key(one.schedule_key, one.version))
            )
            for one in newest
        }
    assert erp.now_held() == wanted, "the ERP does not hold what we computed last"
    assert set(k for k, n in schedule_outbox.counts(store).items() if n) <= {"verified", "superseded"}
    assert exceptions.all_exceptions(store, open_only=True) == []
    assert audit.verify(store)[1] is None
