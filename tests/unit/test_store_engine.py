"""The store's schema, transactions, leases, audit chain and small repositories."""

from __future__ import annotations

import datetime as dt
import json
import os
import threading
import time

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from store_kit import FakeClock

from revenue_assets.store import audit, cursors, exceptions, landing, leases, periods, policies
from revenue_assets.store.engine import Store, StoreError, open_store
from revenue_assets.store.export import SCHEMAS, export_state
from revenue_assets.store.migrate import _MIGRATIONS, HEAD
from revenue_assets.store.tables import metadata

NOW = dt.datetime(2026, 4, 1, 9)  # noqa: DTZ001


@pytest.fixture
def store(tmp_path) -> Store:
    return open_store(f"sqlite:///{tmp_path / 'deep' / 'operational.sqlite'}")


def test_migrations_give_the_tables_that_queries_use(store):
    with store.read() as connection:
        differences = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)
    assert differences == []
    assert ScriptDirectory(str(_MIGRATIONS)).get_heads() == [HEAD]


def test_opening_twice_at_once_migrates_once(tmp_path):
    url, errors = f"sqlite:///{tmp_path / 'x.sqlite'}", []

    def open_it():
        try:
            open_store(url).close()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert errors == []


def test_sqlite_is_durable_and_checks_keys(store):
    with store.read() as connection:
        pragmas = {p: connection.scalar(text(f"pragma {p}")) for p in ("journal_mode", "synchronous", "foreign_keys")}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_writers_wait_for_each_other_instead_of_failing(store):
    done = []

    def write(number):
        for step in range(10):
            with store.write() as connection:
                connection.execute(text("select count(*) from leases"))
                time.sleep(0.001)
                connection.execute(text("insert into leases (name, fence) values (:n, 1)"), {"n": f"{number}/{step}"})
        done.append(number)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert sorted(done) == [0, 1, 2, 3]


@pytest.mark.parametrize("url", ["sqlite://", "mysql://x/y"])
def test_a_store_that_cannot_keep_promises_is_refused(url):
    with pytest.raises(Exception, match=r"in-memory|use sqlite|mysql"):
        open_store(url)


def test_money_at_the_edge_of_64_bits_survives(store):
    amount = 9_007_199_254_740_993_101
    item = exceptions.Item("amount", "ref", "RevOps", amount=amount)
    with store.write() as connection:
        exceptions.sync(connection, "test", [item], NOW)
    assert exceptions.all_exceptions(store)[0]["amount"] == amount


def test_a_lease_has_one_holder_and_a_growing_fence(store):
    clock = FakeClock()
    first = leases.acquire(store, "x", ttl_seconds=30, clock=clock)
    with pytest.raises(leases.LeaseHeld, match="held by process"):
        leases.acquire(store, "x", clock=clock)
    clock.sleep(31)
    second = leases.acquire(store, "x", clock=clock)
    assert second.fence == first.fence + 1
    with pytest.raises(leases.LeaseLost), store.write() as connection:
        leases.assert_held(connection, first)
    leases.release(store, first)
    with store.write() as connection:
        leases.assert_held(connection, second)


def test_the_lease_of_a_dead_process_is_free_at_once(store):
    pid = os.fork()
    if pid == 0:
        leases.acquire(Store(open_store(str(store.engine.url)).engine), "x")
        os._exit(0)
    os.waitpid(pid, 0)
    assert leases.acquire(store, "x").fence == 2
    assert not leases.holder_is_dead(leases.this_holder())
    assert not leases.holder_is_dead("another-host|pid:[1]|1|1|x")


def chain(store: Store, links: int = 4) -> None:
    for number in range(links):
        with store.write() as connection:
            audit.record(
                connection, NOW, [audit.Entry("me", "did", f"thing:{number}", {"n": number}, {"n": number + 1})] * 2
            )


@pytest.mark.parametrize(("tampering", "sentence"), [
    ("update audit_entries set subject = 'other' where link_no = 2 and entry_no = 1", "entries of link 2"),
    ("delete from audit_entries where link_no = 3 and entry_no = 2", "entries of link 3"),
    ("update audit_links set at = '2020-01-01 00:00:00.000000' where link_no = 2", "link 2 was changed"),
    ("delete from audit_entries where link_no = 2; delete from audit_links where link_no = 2", "link 2 is missing"),
    ("delete from audit_entries where link_no = 4; delete from audit_links where link_no = 4", "anchored head"),
])  # fmt: skip
def test_tampering_with_the_log_shows(store, tampering, sentence):
    chain(store)
    head = audit.head(store)
    assert audit.verify(store, expected_head=head) == (4, None)
    with pytest.raises(IntegrityError, match="append-only"), store.write() as connection:
        connection.execute(text(tampering.split(";")[0]))
    with store.write() as connection:
        for name in connection.scalars(
            text("select name from sqlite_master where type = 'trigger' and name like 'audit%'")
        ).all():
            connection.execute(text(f"drop trigger {name}"))
        connection.execute(text("pragma defer_foreign_keys = on"))
        for statement in tampering.split(";"):
            connection.execute(text(statement))
    assert sentence in (audit.verify(store, expected_head=head)[1] or "")


def test_cursors_and_landing_batches(store):
    kept = cursors.StoredCursors(store)
    assert kept.get("crm", "account") is None
    kept.set("crm", "account", {"since": "2026-01-01", "page": [1, 2]})
    kept.set("crm", "account", {"since": "2026-01-02"})
    assert kept.get("crm", "account") == {"since": "2026-01-02"}
    assert [c["object"] for c in kept.all()] == ["account"]
    batch = landing.LandedBatch("b1", "crm", "account", 3, 0, {"rows": 3}, NOW)
    assert landing.record(store, [batch]) == 1
    assert landing.record(store, [batch, batch._replace(batch_id="b2")]) == 1
    assert [b["batch_id"] for b in landing.all_batches(store)] == ["b1", "b2"]


def test_rules_are_kept_by_their_hash(store):
    digest = policies.put(store, '{"a":1}', company="c", author="me")
    assert policies.put(store, '{"a":1}', company="c", author="you") == digest
    assert json.loads(policies.get(store, digest)) == {"a": 1}
    assert [v["author"] for v in policies.all_versions(store)] == ["me"]
    with pytest.raises(StoreError, match="no rules"):
        policies.get(store, "0" * 64)


def test_snapshots_have_all_columns_even_when_empty(store, tmp_path):
    import pyarrow.parquet as pq

    counts = export_state(store, tmp_path / "state")
    assert counts == dict.fromkeys(SCHEMAS, 0)
    for name, schema in SCHEMAS.items():
        assert pq.read_schema(tmp_path / "state" / f"{name}.parquet").equals(schema)
    periods.ensure(store, ["US"], "2026-01", "2026-03")
    assert export_state(store, tmp_path / "state")["periods"] == 3
    rows = pq.read_table(tmp_path / "state" / "periods.parquet").to_pylist()
    assert (rows[1]["start_date"], rows[1]["end_date_exclusive"]) == (dt.date(2026, 2, 1), dt.date(2026, 3, 1))
    assert {p.name for p in (tmp_path / "state").iterdir()} == {f"{n}.parquet" for n in SCHEMAS}


def test_a_soft_closed_period_redates_and_reopens_with_a_reason(store):
    periods.ensure(store, ["US"], "2026-01", "2026-02")
    periods.soft_close(store, "US", "2026-01", "controller", "waiting for tax")
    with store.read() as connection:
        assert periods.closed(connection) == {"US": {"2026-01"}}
    periods.reopen(store, "US", "2026-01", actor="controller", approver="", reason="tax is in")
    assert [h["new_status"] for h in periods.history(store, "US", "2026-01")] == ["soft_closed", "open"]


def test_replaying_the_same_look_a_hundred_times_changes_nothing(store):
    items = [exceptions.Item("amount", f"r{n}", "RevOps", amount=n) for n in range(20)]
    for step in range(100 if os.environ.get("REVENUE_LONG") else 5):
        with store.write() as connection:
            report = exceptions.sync(connection, "test", items, NOW + dt.timedelta(seconds=step))
    assert (report.opened, report.reopened, report.cleared, report.open) == (0, 0, 0, 20)
    first = exceptions.all_exceptions(store)[0]
    assert (first["first_seen_at"], first["status"], first["owner_team"]) == (NOW, "Open", "RevOps")


def test_a_persons_decision_stands_until_the_facts_change(store):
    item = exceptions.Item("amount", "r", "RevOps", amount=5)

    def look(amount: int) -> exceptions.SyncReport:
        with store.write() as connection:
            return exceptions.sync(connection, "test", [item._replace(amount=amount)], NOW)

    look(5)
    with pytest.raises(StoreError, match="say why"):
        exceptions.set_status(store, item.exception_id, "Accepted", actor="controller")
    exceptions.set_status(store, item.exception_id, "Accepted", actor="controller", note="agreed with the customer")
    assert look(5).open == 0
    assert look(6).reopened == 1
    exceptions.set_status(store, item.exception_id, "Resolved", actor="ops", note="should be fixed")
    assert look(6).reopened == 1
