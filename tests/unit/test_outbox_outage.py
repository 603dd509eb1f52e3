"""An ERP that is down for a day is a delay: nothing hammered, nothing lost, nothing twice, drained in order.

The worker, the generic REST adapter and the emulated ERP run on one simulated clock; the requests skip the socket.
"""

from __future__ import annotations

import datetime as dt
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from direct import Direct
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

JOURNALS = 2_000 if os.environ.get("REVENUE_TRIALS") == "full" else 40
COMPANIES = {"US Inc": "USD", "UK Inc": "GBP"}
DAY = dt.timedelta(hours=24)
TICK_SECONDS = 600.0
RETRY_AFTER = 30.0


class Watched(RestFace):
    """Notes when it refused, and why."""

    def __init__(self, root: Path, clock: Any) -> None:
        super().__init__(root, clock=clock)
        self.refusals: list[tuple[float, str]] = []

    def refused(self, error: Refused) -> Response:
        self.refusals.append((self.erp.clock(), error.code))
        return super().refused(error)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def face(tmp_path: Path, clock: FakeClock) -> Iterator[Watched]:
    face = Watched(tmp_path / "erp", lambda: clock.at.timestamp())
    accounts = ["1000", "1100", "1999", "2100", "2200", "4000", "4010"]
    face.setup(companies=COMPANIES, accounts=accounts, years=[2026])
    yield face
    face.erp.ledger.close()


@pytest.fixture
def house(tmp_path: Path) -> House:
    """One batch per rule hash and entity."""
    house = House.build(tmp_path / "house")
    house.should(
        *[
            invoice(f"i{n}", "2026-03-05", 100 + n, policy=f"policy-{n}", entity=entity)
            for n in range(JOURNALS // 2)
            for entity in ("US", "UK")
        ]
    )
    book(house.store, house.journal, house.warehouse, house.state, AS_OF)
    cut(house.store, house.journal, house.state, AS_OF, tenant="t")
    return house


def adapter(face: RestFace) -> GenericRestErp:
    options = GenericOptions(settle_seconds=90, batch_size_max=10)
    return GenericRestErp("http://127.0.0.1:1", {"token": TOKEN}, options, EXPONENTS, transport=Direct(face))


def a_while(house: House, face: RestFace, clock: FakeClock, until: dt.datetime) -> None:
    """The sensor's ticks: each launches a drain for what it says is ready."""
    port = adapter(face)
    while clock.at < until:
        for work in ready(house.store, clock=clock):
            drain(house.store, {work.erp_company: port}, clock=clock, companies=[work.erp_company], limits=Limits())
        clock.sleep(TICK_SECONDS)


def test_an_outage_of_a_day_is_a_delay(house: House, face: Watched, clock: FakeClock) -> None:
    face.erp.down = True
    began = clock.at
    a_while(house, face, clock, began + DAY)
    down = [at for at, code in face.refusals if code == "unavailable"]
    assert not face.erp.documents()
    # The circuit opens within five failures, and a company then asks once per back-off (15 minutes at most, half of it
    # at least) and not once per journal.
    first_minutes = [at for at in down if at < began.timestamp() + 5]
    assert len(first_minutes) <= 5 * len(COMPANIES)
    assert len(down) <= len(COMPANIES) * (12 + DAY.total_seconds() / 450)

    face.erp.down = False
    face.refusals.clear()
    a_while(house, face, clock, clock.at + dt.timedelta(hours=3))
    batches = outbox.all_batches(house.store)
    assert len(batches) == JOURNALS
    assert {b["status"] for b in batches} == {"verified"}
    assert face.erp.copies() == dict.fromkeys((b["batch_key"] for b in batches), 1)
    for company in COMPANIES:
        mine = [b["batch_key"] for b in sorted(batches, key=lambda b: b["seq"]) if b["erp_company"] == company]
        assert [d.entry.key for d in face.erp.documents() if d.entry.company == company] == mine


def test_an_erp_that_asks_for_less_gets_less(house: House, face: Watched, clock: FakeClock) -> None:
    """Each "too many requests" silences its company for as long as it was told: one 429 per window, no more."""
    face.reset({"throttle": 0.15, "retry_after": RETRY_AFTER}, seed=7)
    face.setup(companies=COMPANIES, accounts=["1000", "1100", "1999", "2100", "2200", "4000", "4010"], years=[2026])
    house.store.close()
    port = adapter(face)
    for _ in range(600):
        drain(house.store, {"US Inc": port}, clock=clock, companies=["US Inc"], limits=Limits())
        if outbox.counts(house.store)["verified"] == JOURNALS // 2:
            break
        clock.sleep(5.0)
    asked = [at for at, code in face.refusals if code == "throttled"]
    assert len(asked) >= 3, "the ERP never asked for less"
    assert min(b - a for a, b in itertools.pairwise(asked)) >= RETRY_AFTER
    assert outbox.counts(house.store)["verified"] == JOURNALS // 2
    assert set(face.erp.copies().values()) == {1}
