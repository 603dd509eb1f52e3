"""P25: every exception has an owner, an age and a next step; replaying the whole queue again changes nothing.

An ERP refuses `count` batches, each for one of the reasons there are. Then the whole queue is replayed a hundred times.
"""

from __future__ import annotations

from fake_erp import FakeErp
from ground import Ground, Outcome
from p12_outage import planned
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from store_kit import FakeClock

from revenue_assets import exception_queue
from revenue_assets.domain.failures import CLASSES
from revenue_assets.posting.erp.port import Failure
from revenue_assets.posting.outbox import Limits, drain
from revenue_assets.store import audit, exceptions, outbox

REPLAYS = 100
NOBODY = ("''", "null", "'  '")


def replayed(ground: Ground, count: int) -> Outcome:
    """`count` refused batches."""
    result, clock = Outcome(), FakeClock()
    house = planned(ground, count, ("US",))
    erp = FakeErp(clock.now, batch_size_max=50)
    reasons = sorted(name for name, kind in CLASSES.items() if not kind.retry)
    keys = [row["batch_key"] for row in outbox.all_batches(house.store)]
    for key in keys:
        reason = ground.dice.choice(reasons)
        erp.refuse[key] = Failure(reason, f"The ERP says {reason}.")
        result.count(reason)
    drain(house.store, {"US Inc": erp}, clock=clock, limits=Limits())
    rows = exception_queue.listed(house.store, clock=clock)
    result.check(len(rows) == count, f"{len(rows)} exceptions for {count} refused batches")
    for row in rows:
        whole = row["owner_team"].strip() and row["next_step"].strip() and row["age_days"] >= 0
        result.check(bool(whole), f"{row['exception_id']} has no owner, age or next step")
    for nobody in NOBODY:
        try:
            with house.store.write() as connection:
                connection.execute(text(f"update exceptions set owner_team = {nobody}"))
            result.check(False, f"the database took owner_team = {nobody}")
        except DBAPIError:
            result.count("owner taken away: refused")

    ids, seen = [row["exception_id"] for row in rows], []
    for number in range(REPLAYS):
        done = exception_queue.replay(house.store, ids=ids, actor="anna", clock=clock)
        moved = sum(one.moved for one in done)
        seen.append((audit.newest(house.store), outbox.counts(house.store)))
        result.check(moved == (count if number == 0 else 0), f"replay {number + 1} moved {moved} of {count}")
    result.check(seen.count(seen[0]) == REPLAYS, "a replay after the first one changed the store")
    erp.refuse.clear()
    drain(house.store, {"US Inc": erp}, clock=clock, limits=Limits())
    result.check(erp.copies() == dict.fromkeys(keys, 1), "a journal is missing or there twice")
    result.check(not exceptions.all_exceptions(house.store, open_only=True), "an exception outlived its cause")
    result.reached = count
    house.store.close()
    return result
