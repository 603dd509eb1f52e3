"""The outbox worker over the NetSuite protocol: from planned to verified, once, whatever breaks on the way."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from netsuite_account import Account, running
from sqlalchemy import text
from store_kit import AS_OF, FakeClock, House, invoice, recognition

from demo.erp_emulators.behaviour import ALTERATIONS
from revenue_assets.posting.batches import cut
from revenue_assets.posting.booking import book
from revenue_assets.posting.outbox import DrainReport, Limits, drain, replay
from revenue_assets.store import outbox
from revenue_assets.store.engine import open_store
from revenue_assets.store.ledger import Journal

PATIENT = Limits(max_wait_seconds=600.0)


class Clock(FakeClock):
    """The platform's and the ERP's time in one."""

    def seconds(self) -> float:
        return self.at.timestamp()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def account(tmp_path: Path, clock: Clock) -> Iterator[Account]:
    with running(tmp_path / "netsuite", clock=clock.seconds) as account:
        yield account


@pytest.fixture(scope="module")
def cut_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three batches of the US company and one of the German one, cut and not yet sent."""
    house = House.build(tmp_path_factory.mktemp("books") / "house")
    house.should(
        invoice("i1", "2026-01-05", 120_000), recognition("r1", "2026-01-31", 10_000),
        invoice("i2", "2026-02-05", 60_000), invoice("d1", "2026-02-07", 99_999, entity="DE"),
    )  # fmt: skip
    book(house.store, house.journal, house.warehouse, house.state, AS_OF)
    cut(house.store, house.journal, house.state, AS_OF, tenant="t")
    house.store.close()
    return house.root


@pytest.fixture
def house(cut_once: Path, tmp_path: Path) -> Iterator[House]:
    """A copy of the cut batches for one test."""
    root = Path(shutil.copytree(cut_once, tmp_path / "house"))
    store = open_store(f"sqlite:///{root / 'store' / 'operational.sqlite'}")
    yield House(root, store, Journal(root / "journal"), root / "state", root / "warehouse" / "revenue.duckdb")
    store.close()


def post(house: House, account: Account, clock: Clock, *, limits: Limits = PATIENT, **options: Any) -> DrainReport:
    erp = account.adapter(settle_seconds=1, **options)
    try:
        return drain(house.store, {"US Inc": erp, "DE Inc": erp}, clock=clock, limits=limits)
    finally:
        erp.close()


def states(house: House) -> list[str]:
    return sorted(batch["status"] for batch in outbox.all_batches(house.store))


def exceptions_of(house: House) -> list[tuple[str, str]]:
    """(category, owner) of what is open."""
    with house.store.read() as connection:
        query = text("select category, owner_team from exceptions where status = 'Open' order by 1, 2")
        return [tuple(row) for row in connection.execute(query)]


def once(house: House, account: Account) -> None:
    """Every batch is in the ERP exactly once, and nothing else is."""
    keys = {batch["batch_key"] for batch in outbox.all_batches(house.store)}
    assert dict(account.face.erp.copies()) == dict.fromkeys(keys, 1)


def test_batches_arrive_verified_and_once(house, account, clock):
    assert post(house, account, clock).total("verified") == 4
    assert states(house) == ["verified"] * 4
    once(house, account)
    again = post(house, account, clock)
    assert (again.total("sent"), again.is_finished) == (0, True)
    once(house, account)
    assert not account.face.erp.calls["upsert"]


@pytest.mark.parametrize(
    "behaviour", ["key_expired", "index_lag", "no_key_late", "unique_id", "drop_after_commit", "storms", "everything"]
)
def test_an_erp_that_misbehaves_gets_each_journal_once(house, account, clock, behaviour):
    account.reset(behaviour, seed=11)
    post(house, account, clock)
    assert states(house) == ["verified"] * 4
    once(house, account)


@pytest.mark.parametrize("behaviour", ["index_lag", "drop_after_commit", "everything"])
def test_jobs_get_each_journal_there_once(house, account, clock, behaviour):
    account.reset(behaviour, seed=5)
    post(house, account, clock, mode="async")
    assert states(house) == ["verified"] * 4
    once(house, account)


def test_approvals_are_waited_for(house, account, clock):
    account.face.approvals = True
    start = clock.now()
    post(house, account, clock, limits=Limits())
    assert states(house) == ["created"] * 4
    waits = []
    while clock.now() < start + dt.timedelta(hours=2):
        report = post(house, account, clock, limits=Limits())
        waits.append((min(c.next_due for c in report.companies) - clock.now()).total_seconds())
        clock.sleep(waits[-1])
    assert (waits[0] <= 2, waits[-1] == pytest.approx(900, abs=1)) == (True, True), "ever less often"
    assert len(waits) < 100, "not once a second"
    assert not exceptions_of(house), "an approval may take a day"
    clock.sleep(86_400)
    post(house, account, clock, limits=Limits())
    assert exceptions_of(house) == [("unposted", "Controller")] * 4
    assert states(house) == ["created"] * 4
    for held in account.face.erp.documents():
        account.face.approve(held.id)
    clock.sleep(900)
    assert post(house, account, clock, limits=Limits()).total("verified") == 4
    assert not exceptions_of(house)
    once(house, account)


@pytest.mark.parametrize("alteration", sorted(ALTERATIONS))
def test_an_altered_journal_never_counts_as_verified(house, account, clock, alteration):
    account.reset({"alter": alteration}, seed=3)
    post(house, account, clock)
    assert states(house) == ["dead"] * 4
    assert {b["last_error_class"] for b in outbox.all_batches(house.store)} == {"readback_mismatch"}
    once(house, account)


def test_a_closed_period_is_dead_and_replayed_once_it_is_open(house, account, clock):
    account.face.close_period("2026-01")
    post(house, account, clock)
    dead = [b for b in outbox.all_batches(house.store) if b["status"] == "dead"]
    assert {b["last_error_class"] for b in dead} == {"period_closed"}
    assert states(house) == ["dead", "dead", "verified", "verified"]
    account.face.close_period("2026-01", "open")
    for batch in dead:
        replay(house.store, batch["batch_key"], actor="anna", clock=clock)
    post(house, account, clock)
    assert states(house) == ["verified"] * 4
    once(house, account)


def test_the_account_wide_limit_pauses_the_company_as_long_as_it_says(house, account, clock):
    account.reset({"throttle": 0.5, "retry_after": 3.0}, seed=2)
    post(house, account, clock)
    assert account.face.erp.calls["refused: throttled"] > 0
    assert clock.slept >= 3
    assert states(house) == ["verified"] * 4
    once(house, account)
