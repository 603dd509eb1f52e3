"""Posters die by SIGKILL at seeded points against ERPs that misbehave: nothing twice, nothing lost, nothing stuck.

One seed runs by default (tests/kill_matrix plays the like over real protocols); `REVENUE_KILL_SEEDS=200 pytest
tests/faults` runs more. A failure names its behaviour and seed, which together repeat it.
"""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest
from fake_erp import BEHAVIOURS, FakeErp
from killing import QUICK, kill_somewhere, serve, start_poster, trial, url_of
from store_kit import AS_OF, House, invoice, recognition

from revenue_assets.posting.batches import cut
from revenue_assets.posting.booking import book
from revenue_assets.posting.outbox import Limits
from revenue_assets.store import audit, outbox
from revenue_assets.store.clock import SystemClock
from revenue_assets.store.engine import open_store
from revenue_assets.store.ledger import Journal

SEEDS = int(os.environ.get("REVENUE_KILL_SEEDS", "1"))


@pytest.fixture
def house(tmp_path) -> House:
    house = House.build(tmp_path)
    house.should(
        *[invoice(f"i{n}", f"2026-0{1 + n % 3}-05", 100 + n) for n in range(6)], recognition("r", "2026-01-31", 9)
    )
    return house


def booked_and_cut(house: House) -> None:
    book(house.store, house.journal, house.warehouse, house.state, AS_OF)
    cut(house.store, house.journal, house.state, AS_OF, tenant="t")
    house.store.close()


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_killed_posters_post_everything_once(house, behaviour, seed):
    booked_and_cut(house)
    erp = FakeErp(SystemClock().now, faults=BEHAVIOURS[behaviour], seed=seed)
    trial(url_of(house.root), erp, seed * 7919 + 13)
    store = open_store(url_of(house.root))
    keys = {b["batch_key"] for b in outbox.all_batches(store)}
    copies = erp.copies()
    assert {k: n for k, n in outbox.counts(store).items() if n} == {"verified": 4}
    assert set(copies) == keys, "a document is missing in the ERP"
    assert set(copies.values()) == {1}, "a document is in the ERP twice"
    assert audit.verify(store)[1] is None


@pytest.mark.parametrize("behaviour", ["ideal", "unique_id"])
def test_a_poster_stopped_past_its_lease_does_no_harm(house, behaviour):
    booked_and_cut(house)
    url, limits = url_of(house.root), replace(QUICK, lease_seconds=0.5)
    erp = FakeErp(SystemClock().now, faults=BEHAVIOURS[behaviour])
    first, pipe = start_poster(url, erp.capabilities, limits)
    pids = [first]

    def overtake(name: str) -> None:
        """The first poster is stopped inside its first request while a second one does all the work."""
        if name == "received":
            erp.phase = lambda n: None
            os.kill(first, signal.SIGSTOP)
            assert serve(*start_poster(url, erp.capabilities, limits), erp)
            os.kill(first, signal.SIGCONT)

    erp.phase = overtake
    assert serve(pids[0], pipe, erp)
    assert {k: n for k, n in outbox.counts(open_store(url)).items() if n} == {"verified": 4}
    assert sorted(erp.copies().values()) == [1, 1, 1, 1]


@pytest.mark.parametrize("seed", range(max(6, SEEDS * 2)))
def test_killed_booking_and_cutting_keep_the_journal_whole(house, seed):
    """Killed at any moment, the next run books and cuts what a run without kills would have, under the same keys."""
    reference = House.build(house.root / "reference")
    reference.should(
        *[invoice(f"i{n}", f"2026-0{1 + n % 3}-05", 100 + n) for n in range(6)], recognition("r", "2026-01-31", 9)
    )
    booked_and_cut(reference)
    house.store.close()

    def task() -> None:
        store = open_store(url_of(house.root))
        book(store, Journal(house.root / "journal"), house.warehouse, house.state, AS_OF)
        cut(store, Journal(house.root / "journal"), house.state, AS_OF, tenant="t")

    for attempt in range(4):
        kill_somewhere(task, 0.03 + 0.05 * ((seed * 31 + attempt * 17) % 11) / 2)
    house.store = open_store(url_of(house.root))
    booked_and_cut(house)
    ids = "booked_line_id, sign, amount_fc, posting_period"
    assert house.booked(ids) == reference.booked(ids)
    assert house.members("booked_line_id, batch_line_no") == reference.members("booked_line_id, batch_line_no")
    assert len({row[0] for row in house.members("booked_line_id")}) == len(house.booked())


def test_lease_limits_are_sane():
    """The default lease must outlast a slow call, or every slow call would be taken over."""
    assert Limits().lease_seconds >= 120
