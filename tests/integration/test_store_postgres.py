"""The refusals on a real PostgreSQL: the same functions and the same SQL as on SQLite, and logins of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import old_stores
import pytest
import schedule_kit
import test_approvals as same
from fake_erp import Faults
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from store_kit import FakeClock, House, invoice

from demo.erp import environment, postgres
from revenue_assets.evidence.books import Files, collect, one_snapshot
from revenue_assets.posting.schedules.outbox import drain as drain_schedules
from revenue_assets.posting.steps import Limits
from revenue_assets.store import approvals, audit, exceptions, outbox, periods, schedule_outbox
from revenue_assets.store.engine import Store, StoreError, create_store_engine, open_store

FULL = os.environ.get("REVENUE_TRIALS") == "full"
# Logins as a deployment would make them; the platform's own is the owner of the tables.
LOGINS = """
create role ben login; create role anna login; create role reader login;
grant select on all tables in schema public to ben, anna, reader;
grant insert on approvals, audit_links, audit_entries, posting_attempts to ben, anna;
grant update on posting_batches to ben, anna;
grant usage on all sequences in schema public to ben, anna;
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL of its own, from the binaries that the demo's ERP runs on."""
    folder = tmp_path_factory.mktemp("postgres")
    python = environment.ensure(Path(os.environ["REVENUE_ERP_VENV"]), print)
    binaries = postgres.binaries(python.parents[1])
    postgres.initialise(binaries, folder / "data", folder / "log")
    running = postgres.start(binaries, folder / "data", folder / "log", postgres.UNSAFE_AND_FAST)
    # psycopg2 wants the socket's folder as a parameter.
    yield f"postgresql+psycopg2://{postgres.SUPERUSER}@/postgres?host={running.socket}"
    running.stop()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, url: str) -> Iterator[House]:
    """anna's cut with one batch that waits and one that does not."""
    house = House.build(tmp_path_factory.mktemp("house") / "home")
    house.store = open_store(url, actor="anna")
    approvals.adopt(house.store, same.AUTHORITY, actor="admin")
    house.should(invoice("i1", "2026-01-05", 100_000), invoice("i2", "2026-02-05", 200_000))
    same.book_and_cut(house)
    with house.store.write() as connection:
        connection.execute(text(LOGINS))
    yield house
    house.store.close()


def another_database(url: str, name: str) -> str:
    """The address of a new, empty database on the same server."""
    engine = create_store_engine(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"create database {name}"))
    engine.dispose()
    return url.replace("/postgres?", f"/{name}?")


def as_login(url: str, login: str) -> Store:
    return Store(create_store_engine(url.replace(f"{postgres.SUPERUSER}@", f"{login}@")), actor=login)


def test_a_store_that_is_opened_twice_is_migrated_once(house, url):
    open_store(url).close()
    assert same.states(house) == {"2026-01": "planned", "2026-02": "awaiting_approval"}


@pytest.mark.parametrize("number", range(len(same.AROUND)))
def test_the_database_refuses_who_goes_around_the_functions(house, number):
    same.refused_by_the_database(house.store, same.large(house), number)


def test_a_login_signs_only_under_its_own_name_and_readers_only_read(house, url):
    signed = same.SIGNED | {"key": same.large(house)}
    for login, words in (("anna", "only under their own name"), ("reader", "permission denied")):
        with pytest.raises(DBAPIError, match=words), as_login(url, login).write() as connection:
            connection.execute(text(same.SIGN), signed)
    for login in ("ben", "anna", "reader"):
        for statement in (
            "update approvers set up_to = 1",
            "delete from audit_entries",
            "update approvals set at = at",
        ):
            with pytest.raises(DBAPIError, match="permission denied"), as_login(url, login).write() as connection:
                connection.execute(text(statement))


def test_a_close_and_a_send_at_the_same_moment_never_both_happen(house):
    """The intent takes the period's row: a close that has begun makes it wait, and then refuses it."""
    key = next(b["batch_key"] for b in outbox.all_batches(house.store) if b["status"] == "planned")
    refused: list[str] = []

    def send() -> None:
        try:
            with house.store.write() as connection:
                connection.execute(text("update posting_batches set status = 'sent' where batch_key = :k"), {"k": key})
        except DBAPIError as error:
            refused.append(str(error))

    thread = threading.Thread(target=send)
    with house.store.write() as connection:
        now = FakeClock().now()
        periods.hard_close(connection, "US", "2026-01", "x", snapshot_hash="h", snapshot_json="{}", now=now)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive(), "the intent did not wait for the close"
    thread.join(10)
    assert "hard closed" in refused[0]
    assert same.states(house)["2026-01"] == "planned"


def test_a_second_person_approves_under_their_own_login_and_once(house, url):
    key, ben = same.large(house), as_login(url, "ben")
    with pytest.raises(StoreError, match="a second person must"):
        same.decide(house, "anna")
    approvals.decide(ben, key, "approved", checker="ben", reason="seen", os_login="x")
    assert same.states(house)["2026-02"] == "planned"
    (kept,) = approvals.decisions(house.store)
    assert (kept["checker"], kept["db_login"]) == ("ben", "ben")
    with pytest.raises(StoreError, match="nothing that waits"):
        approvals.decide(ben, key, "rejected", checker="ben", reason="no", os_login="x")
    assert audit.walk(house.store).problem is None
    assert exceptions.all_exceptions(house.store) == []


def test_the_evidence_of_a_period_is_read_from_one_snapshot(house, url):
    """The same rows as on SQLite; what commits meanwhile is not in it."""
    files = Files()
    with one_snapshot(house.store) as connection:
        connection.execute(text("select 1"))
        periods.ensure(open_store(url), ["US"], "2026-01", "2026-12")
        found = collect(connection, house.journal, files, "2026-12", ["US"])
        assert found.periods == []
        found = collect(connection, house.journal, files, "2026-01", ["US"])
    assert (len(found.lines), len(found.batches)) == (2, 1)
    assert files.rows["audit/links.csv"] >= 3
    assert files.rows["posting/members.csv"] == 2


@pytest.mark.parametrize("revision", old_stores.OLDER if FULL else [old_stores.OLDER[0], old_stores.OLDER[-1]])
def test_an_older_store_is_upgraded_with_its_flight(url, revision):
    """As on SQLite (test_upgrades.py): posts to the end, nothing twice, nothing lost."""
    faults = list(old_stores.ERPS)[old_stores.OLDER.index(revision) % len(old_stores.ERPS)]
    old_stores.prove(old_stores.build(another_database(url, f"older_{revision}"), revision, faults))


def test_versions_of_revenue_schedules_go_the_same_way(tmp_path: Path, url: str) -> None:
    """Planned, changed while in flight, verified; and the database refuses what the state machine does not have."""
    house = schedule_kit.built(tmp_path)
    house.store = open_store(another_database(url, "schedules"))
    clock = FakeClock()
    erp = schedule_kit.ScheduleErp(clock.now, faults=Faults(drop_after_commit=1.0))
    for amounts in ({"2026-01": 100, "2026-02": 90}, {"2026-01": 100, "2026-02": 9}):
        schedule_kit.scheduled(house, schedule_kit.line("i1", amounts), schedule_kit.line("i2", amounts))
        assert schedule_kit.planned(house, erp, clock).planned == 2
        drain_schedules(house.store, {"US Inc": erp}, clock=clock, limits=Limits(documents_per_call=1))
    patient = Limits(max_wait_seconds=60)
    report = drain_schedules(house.store, {"US Inc": erp}, clock=clock, limits=patient)
    assert report.is_finished
    assert {schedule.version for schedule in erp.now_held().values()} == {2}
    assert {k: n for k, n in schedule_outbox.counts(house.store).items() if n}.keys() <= {"verified", "superseded"}
    for statement in ("update schedule_updates set version = 9", "delete from schedule_updates",
                      "update schedule_updates set status = 'dead'", "delete from schedule_attempts"):  # fmt: skip
        with pytest.raises(DBAPIError), house.store.write() as connection:
            connection.execute(text(statement))
    house.store.close()
