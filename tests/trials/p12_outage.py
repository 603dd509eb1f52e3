"""P12: an ERP that is down for a day is a delay. Nothing is hammered, lost or sent twice; it drains in order.

The worker, the generic REST adapter and the emulated ERP run on one simulated clock; the requests skip the socket.
"""

from __future__ import annotations

import datetime as dt
import itertools
import time
from pathlib import Path
from typing import Any

from direct import Direct
from ground import Ground, Outcome
from store_kit import AS_OF, FakeClock, House, invoice

from demo.erp_emulators.core import Refused
from demo.erp_emulators.ledger import EXPONENTS
from demo.erp_emulators.rest import TOKEN, RestFace
from demo.simulators.server import Response
from revenue_assets.domain.config_erp_generic import GenericOptions
from revenue_assets.posting.batches import cut
from revenue_assets.posting.booking import book
from revenue_assets.posting.erp.generic_rest import GenericRestErp
from revenue_assets.posting.outbox import Limits, drain, ready
from revenue_assets.store import outbox

COMPANIES = {"US Inc": "USD", "UK Inc": "GBP"}
CHART = ["1000", "1100", "1999", "2100", "2200", "4000", "4010"]
DAY = dt.timedelta(hours=24)
TICK_SECONDS = 600.0
RETRY_AFTER = 30.0


class Watched(RestFace):
    """Notes when it refused, and why."""

    def __init__(self, root: Path, clock: FakeClock) -> None:
        super().__init__(root, clock=lambda: clock.at.timestamp())
        self.refusals: list[tuple[float, str]] = []
        self.setup(companies=COMPANIES, accounts=CHART, years=[2026])

    def refused(self, error: Refused) -> Response:
        self.refusals.append((self.erp.clock(), error.code))
        return super().refused(error)


def planned(ground: Ground, journals: int, entities: tuple[str, ...] = ("US", "UK")) -> House:
    """A house with `journals` batches, dealt to the entities: one per rule hash, booked and cut for real."""
    house = ground.house()
    house.should(
        *[
            invoice(f"i{n}", f"2026-0{1 + n % 3}-05", 100 + n, policy=f"policy-{n}", entity=entity)
            for n in range(journals // len(entities))
            for entity in entities
        ]
    )
    book(house.store, house.journal, house.warehouse, house.state, AS_OF)
    cut(house.store, house.journal, house.state, AS_OF, tenant="t")
    return house


def adapter(face: RestFace, **options: Any) -> GenericRestErp:
    made = GenericOptions(**({"settle_seconds": 90, "batch_size_max": 50} | options))
    return GenericRestErp("http://127.0.0.1:1", {"token": TOKEN}, made, EXPONENTS, transport=Direct(face))


def ticks(house: House, port: GenericRestErp, clock: FakeClock, until: dt.datetime) -> None:
    """The sensor's ticks: each launches a drain for what it says is ready."""
    while clock.at < until:
        for work in ready(house.store, clock=clock):
            drain(house.store, {work.erp_company: port}, clock=clock, companies=[work.erp_company], limits=Limits())
        clock.sleep(TICK_SECONDS)


def outage(ground: Ground, count: int) -> Outcome:
    """Down for 24 hours with `count` journals waiting, then up again."""
    result, clock = Outcome(), FakeClock()
    house = planned(ground, count)
    face = Watched(ground.root / "erp", clock)
    face.erp.down, began, port = True, clock.at, adapter(face)
    ticks(house, port, clock, began + DAY)
    down = [at for at, code in face.refusals if code == "unavailable"]
    result.check(not face.erp.documents(), "a document came into an ERP that was down")
    # A company then asks once per back-off (15 minutes at most, half of it at least) and not once per journal.
    first = [at for at in down if at < began.timestamp() + 5]
    result.check(len(first) <= 5 * len(COMPANIES), f"the circuit opened after {len(first)} calls of two companies")
    bound = len(COMPANIES) * (12 + DAY.total_seconds() / 450)
    result.check(len(down) <= bound, f"{len(down)} calls in a day of outage")
    result.facts |= {"calls in the first five seconds": len(first), "calls in the day": len(down)}

    face.erp.down, up = False, time.monotonic()
    face.refusals.clear()
    ticks(house, port, clock, clock.at + dt.timedelta(hours=3))
    result.facts["seconds to drain"] = round(time.monotonic() - up, 1)
    batches = outbox.all_batches(house.store)
    result.reached = sum(b["status"] == "verified" for b in batches)
    result.check(len(batches) == count == result.reached, f"{result.reached} of {len(batches)} batches are verified")
    result.check(
        face.erp.copies() == dict.fromkeys((b["batch_key"] for b in batches), 1), "a document is missing or there twice"
    )
    order = {b["batch_key"]: (b["period"], b["seq"]) for b in batches}
    for company in COMPANIES:
        mine = [order[d.entry.key] for d in face.erp.documents() if d.entry.company == company]
        result.check(mine == sorted(mine), f"the documents of {company} did not go out in order")
    face.erp.ledger.close()
    return result


def throttled(ground: Ground, count: int) -> Outcome:
    """Each "too many requests" silences its company for as long as it was told: one 429 per window, no more."""
    result, clock = Outcome(), FakeClock()
    house = planned(ground, count, ("US",))
    face = Watched(ground.root / "erp", clock)
    face.reset({"throttle": 0.15, "retry_after": RETRY_AFTER}, seed=ground.seed + 7)
    face.setup(companies=COMPANIES, accounts=CHART, years=[2026])
    port = adapter(face, batch_size_max=10)
    while not ground.is_over and outbox.counts(house.store)["verified"] < count:
        drain(house.store, {"US Inc": port}, clock=clock, companies=["US Inc"], limits=Limits())
        clock.sleep(5.0)
    asked = [at for at, code in face.refusals if code == "throttled"]
    result.reached = outbox.counts(house.store)["verified"]
    result.facts["429 answers"] = len(asked)
    result.check(len(asked) >= 3, "the ERP never asked for less: nothing was tried")
    gaps = [b - a for a, b in itertools.pairwise(asked)]
    result.check(not gaps or min(gaps) >= RETRY_AFTER, "a second 429 within one window")
    result.check(ground.is_over or result.reached == count, f"{result.reached} of {count} batches are verified")
    result.check(set(face.erp.copies().values()) == {1}, "a document is there twice")
    face.erp.ledger.close()
    return result
