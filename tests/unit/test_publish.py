"""Readers see the old publish or the new one, never half, and never a figure that differs from the warehouse."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import signal
import stat
import time
from multiprocessing import Pipe

import duckdb
import pytest
from store_kit import FakeClock, House

from revenue_assets.publish.duckdb_file import PublishRefused, publish
from revenue_assets.store import landing, publish_log
from revenue_assets.store.clock import SystemClock
from revenue_assets.store.engine import open_store


@pytest.fixture
def house(tmp_path) -> House:
    house = House.build(tmp_path)
    figures(house, 1)
    return house


def figures(house: House, generation: int, rows: int = 3) -> None:
    """Two tables that agree with each other: `generation` is in both."""
    with duckdb.connect(str(house.warehouse)) as connection:
        connection.execute(
            f"""
            create schema if not exists finance;
            create or replace table finance.recon_statement as
            select 'R' || i as recon_code, ({generation} * 1.005)::decimal(38, 3) as source_amount,
                null::varchar as publish_id from range({rows}) r(i);
            create or replace table finance.recon_item as select i as item_id, {generation} as generation,
                null::varchar as note from range({rows}) r(i);
            comment on table finance.recon_statement is 'One row per reconciliation''s statement.';
            comment on column finance.recon_statement.source_amount is 'Major units';
            create or replace table finance.publish_log as select 'stale' as publish_id;
            """
        )


def run(house: House, **more):
    return publish(
        house.store, house.warehouse, target(house), code_version="1.0", clock=more.pop("clock", FakeClock()), **more
    )


def target(house: House):
    return house.root / "published" / "finance.duckdb"


def read(house: House, query: str):
    with opened(house) as connection:
        return connection.execute(query).fetchall()


def opened(house: House) -> duckdb.DuckDBPyConnection:
    """The published file under another name: opened directly, file and schema are both `finance`, which is
    ambiguous."""
    connection = duckdb.connect()
    connection.execute(f"attach '{target(house)}' as published (read_only); use published")
    return connection


def test_the_copy_is_exact_commented_read_only_and_logged(house):
    report = run(house, run_id="run-1", as_of=dt.date(2026, 3, 31), required=("recon_statement",))
    assert read(
        house, "select recon_code, source_amount::varchar, publish_id from finance.recon_statement order by 1"
    ) == [(f"R{n}", "1.005", report.publish_id) for n in range(3)]
    assert read(
        house,
        "select comment from duckdb_tables() where database_name = 'published' and table_name = 'recon_statement'",
    ) == [("One row per reconciliation's statement.",)]
    assert read(
        house,
        "select comment from duckdb_columns() where database_name = 'published' and column_name = 'source_amount'",
    ) == [("Major units",)]
    assert stat.S_IMODE(target(house).stat().st_mode) == 0o444
    assert read(house, "select publish_id, status, run_id from finance.publish_log") == [
        (report.publish_id, "live", "run-1")
    ]
    assert [r["status"] for r in publish_log.all_publishes(house.store)] == ["live"]
    assert report.row_counts == {"recon_item": 3, "recon_statement": 3}
    assert sorted(p.name for p in target(house).parent.iterdir()) == ["finance.duckdb", "published.duckdb"]


def test_the_published_file_opens_directly_and_names_what_it_was_made_from(house):
    """`finance.x` is one thing in the file as it is: the database is not called like its schema."""
    target(house).parent.mkdir(parents=True)
    target(house).write_text("a plain file of an older version")
    with duckdb.connect(str(house.warehouse)) as connection:
        connection.execute("create schema canonical")
        connection.execute(
            "create table canonical.can_fx_rates as select date '2026-03-31' as rate_date, 5 as rate_e12"
        )
    batch = landing.LandedBatch("b1", "crm", "account", 3, 0, {"rows": 3}, FakeClock().now())
    landing.record(house.store, [batch, batch._replace(batch_id="b0", source="tax", row_count=0)])
    run(house, dbt_invocation_id="dbt-1", rules_version="r1")
    with duckdb.connect(str(target(house)), read_only=True) as connection:
        assert connection.execute("select count(*) from finance.recon_item").fetchall() == [(3,)]
        [row] = connection.execute("select * from finance.publish_log").fetchall()
        log = dict(zip([c[0] for c in connection.description], row, strict=True))
    assert (log["dbt_invocation_id"], log["rules_version"], log["run_id"]) == ("dbt-1", "r1", "")
    assert log["fx_rate_set"].startswith("2026-03-31 1 rates ")
    assert json.loads(log["source_cut_offs"]) == {"crm": FakeClock().now().isoformat()}


def test_the_same_figures_have_the_same_hash_and_changed_ones_another(house):
    clock = FakeClock()
    first, again = run(house, clock=clock), None
    clock.sleep(2)
    again = run(house, clock=clock)
    assert again.content_hash == first.content_hash
    assert again.publish_id != first.publish_id
    figures(house, 2)
    clock.sleep(2)
    assert run(house, clock=clock).content_hash != first.content_hash
    assert [r["status"] for r in publish_log.all_publishes(house.store)] == ["superseded", "superseded", "live"]


@pytest.mark.parametrize(("fault", "message"), [
    ("alter table finance.recon_item add column ratio double", "binary floats"),
    ("drop table finance.recon_statement", "lacks recon_statement"),
])  # fmt: skip
def test_a_bad_schema_leaves_the_published_file_alone(house, fault, message):
    run(house)
    before = target(house).read_bytes()
    with duckdb.connect(str(house.warehouse)) as connection:
        connection.execute(fault)
    with pytest.raises(PublishRefused, match=message):
        run(house, required=("recon_statement",))
    assert target(house).read_bytes() == before


def test_a_reader_that_has_the_old_file_open_keeps_it(house):
    run(house)
    with opened(house) as connection:
        figures(house, 2)
        run(house, clock=FakeClock(dt.datetime(2026, 5, 1)))  # noqa: DTZ001
        assert connection.execute("select distinct generation from finance.recon_item").fetchall() == [(1,)]
    assert read(house, "select distinct generation from finance.recon_item") == [(2,)]


def test_kills_during_a_publish_never_show_half_of_one(house):
    run(house)
    url = f"sqlite:///{house.root / 'store' / 'operational.sqlite'}"
    house.store.close()
    for attempt in range(8):
        generation = attempt + 2
        figures(house, generation, rows=20_000)
        pid = os.fork()
        if pid == 0:
            try:
                house.store = open_store(url)
                publish(house.store, house.warehouse, target(house), code_version="1.0")
            finally:
                os._exit(0)
        time.sleep(0.02 + 0.06 * attempt)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        seen = read(
            house,
            "select distinct generation, (select max(source_amount) / 1.005 from "
            "finance.recon_statement)::integer from finance.recon_item",
        )
        assert len(seen) == 1
        assert seen[0][0] == seen[0][1]
        assert seen[0][0] <= generation
    house.store = open_store(url)
    publish(house.store, house.warehouse, target(house), code_version="1.0")
    assert read(house, "select distinct generation from finance.recon_item") == [(9,)]
    assert [r["status"] for r in publish_log.all_publishes(house.store)][-1] == "live"
    assert [p.name for p in target(house).parent.iterdir() if not p.is_symlink()] == ["published.duckdb"]


# What a reader asks: the trial balance, and whether its tables are of one publish.
ASKED = """
    select (select sum(amount) from finance.trial_balance)::integer,
        (select list(distinct generation order by generation) from finance.trial_balance),
        (select list(distinct generation order by generation) from finance.recon_item)
"""


def balances(house: House, generation: int, rows: int = 4_000) -> None:
    """A trial balance of nil whose amounts are those of its generation, and a table beside it."""
    figures(house, generation, rows)
    with duckdb.connect(str(house.warehouse)) as connection:
        connection.execute(
            f"""create or replace table finance.trial_balance as select i // 2 as account, {generation} as generation,
                ((i + {generation}) * case when i % 2 = 0 then 1 else -1 end
                    + case when i % 2 = 0 then 1 else 0 end) as amount from range({rows}) r(i)"""
        )


def poll(house: House, pipe) -> None:
    """Reads the published file every 20 ms, anew each time, until told to stop; sends back what it saw."""
    polls, torn, unbalanced, broken, generations = 0, 0, 0, [], set()
    done, asks = False, os.getppid()
    while not done and os.getppid() == asks:
        done = pipe.poll(0.02)  # told to stop: one last look at what is there by then
        polls += 1
        try:
            balance, one, other = read(house, ASKED)[0]
        except duckdb.Error as error:
            broken.append(str(error))
            continue
        torn += one != other or len(one) != 1
        unbalanced += balance != 0
        generations |= {*one, *other}
    pipe.send((polls, torn, unbalanced, broken, sorted(generations)))


@pytest.mark.timeout(7200)  # two hundred publishes on a busy machine
def test_a_reader_every_20_ms_sees_whole_publishes_whatever_is_killed(house):
    """200 kills with REVENUE_TRIALS=full (`make recovery-trials`)."""
    kills, seed = (200, 11) if os.environ.get("REVENUE_TRIALS") == "full" else (8, 11)
    dice, url = random.Random(seed), f"sqlite:///{house.root / 'store' / 'operational.sqlite'}"
    house.store.close()

    def publisher() -> None:
        store = open_store(url)
        publish(store, house.warehouse, target(house), code_version="1.0")

    balances(house, 1)
    began = time.monotonic()
    os.waitpid(forked(publisher), 0)
    seconds = (time.monotonic() - began) * 1.3
    mine, its = Pipe()
    reader = forked(lambda: poll(house, its))
    try:
        struck = 0
        for generation in range(2, kills + 2):
            balances(house, generation)
            pid = forked(publisher)
            time.sleep(dice.uniform(0, seconds))
            os.kill(pid, signal.SIGKILL)
            killed = os.WIFSIGNALED(os.waitpid(pid, 0)[1])
            struck += killed
            # As the machine is busy now: about every other one gets as far as the swap.
            seconds *= 1.15 if killed else 0.9
        house.store = open_store(url)
        run(house, clock=SystemClock())
        mine.send("stop")
        polls, torn, unbalanced, broken, generations = mine.recv()
    finally:
        os.kill(reader, signal.SIGKILL)  # also when a test that takes too long is ended
    os.waitpid(reader, 0)
    print(f"{kills} publishes, {struck} killed, {polls} polls, generations seen: {len(generations)}")
    assert (torn, unbalanced, broken) == (0, 0, [])
    assert generations[-1] == kills + 1
    assert struck > kills / 3
    assert polls > kills


def forked(task) -> int:
    """A child that does `task` and nothing else."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            task()
            code = 0
        finally:
            os._exit(code)
    return pid
