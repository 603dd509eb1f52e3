"""P20: a closed period cannot change. A close and the writes into its period start at the same moment.

Each race has an entity of its own. A close, an intent to send and a booking begin together; whoever commits after the
close must have been refused. The order of commits is that of the audit log's links. Then plain SQL tries what is left.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ground import Ground, Outcome
from p14_balance import NOW, document, store_it
from sqlalchemy import Connection, create_engine, insert, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from store_kit import FakeClock

from revenue_assets.domain import posting_state as state
from revenue_assets.store import audit, manifest, outbox, periods
from revenue_assets.store.engine import Store
from revenue_assets.store.ledger import FileStamp
from revenue_assets.store.outbox import Step
from revenue_assets.store.tables import member_cuts

PERIOD = "2026-03"
CLOSED = "hard closed"


@dataclass
class Race:
    """One entity's period, its planned batch, and what became of the three who wrote at once."""

    number: int
    key: str

    @property
    def entity(self) -> str:
        return f"E{self.number}"

    def close(self, connection: Connection) -> None:
        now = FakeClock().now()
        entry = periods.hard_close(
            connection, self.entity, PERIOD, "anna", snapshot_hash="h", snapshot_json="{}", now=now
        )
        audit.record(connection, now, [entry])

    def send(self, connection: Connection) -> None:
        batch = outbox.get(connection, self.key)
        outbox.apply(connection, [Step(batch, state.SENT, "submit", "intent", {"attempts": 1})], 1, "me", NOW)

    def book(self, connection: Connection) -> None:
        total = manifest.PeriodTotal(self.entity, "main", PERIOD, 2, 5, 5)
        manifest.commit_booking(
            connection, f"booking-{self.number}", FileStamp("0" * 64, 1), row_count=2, control_totals=[],
            periods=[total], booked_at=NOW, actor="system",
        )  # fmt: skip


def lock_against_post(ground: Ground, count: int) -> Outcome:
    """`count` races."""
    result, house = Outcome(), ground.house()
    races = [Race(number, f"{number:032x}") for number in range(1, count + 1)]
    _prepared(house.store, races, ground.dice)
    stores = {what: ground.again(house.store) for what in ("close", "send", "book")}
    for race in races:
        if ground.is_over:
            break
        said = _raced(race, stores, ground.dice)
        result.reached += 1
        _judge(house.store, race, said, result)
    by_sql(ground, house.store, races[0], result)
    result.check(audit.walk(house.store).problem is None, "the audit chain is broken")
    for store in (*stores.values(), house.store):
        store.close()
    return result


def _prepared(store: Store, races: list[Race], dice: random.Random) -> None:
    periods.ensure(store, [race.entity for race in races], PERIOD, PERIOD)
    with store.write() as connection:
        cut = {"cut_id": "cut", "seq": 1, "sha256": "0" * 64, "bytes": 0, "row_count": 0, "batch_count": 0}
        connection.execute(insert(member_cuts).values(**cut, cut_at=NOW))
        for race in races:
            made = document(dice, race.number)
            made["row"] |= {"entity_id": race.entity, "document_json": json.dumps({"lines": made["lines"]})}
            store_it(connection, made)


def _raced(race: Race, stores: dict[str, Store], dice: random.Random) -> dict[str, str]:
    """What each of the three was told: empty if it committed."""
    start, said = threading.Barrier(len(stores)), dict[str, str]()
    pauses = {what: dice.choice((0.0, 0.0, 0.001, 0.003)) for what in stores}

    def act(what: str) -> None:
        write: Callable[[Connection], None] = getattr(race, what)
        start.wait()
        time.sleep(pauses[what])
        try:
            with stores[what].write() as connection:
                write(connection)
            said[what] = ""
        except DBAPIError as error:
            said[what] = str(error.orig)

    threads = [threading.Thread(target=act, args=(what,)) for what in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return said


def _judge(store: Store, race: Race, said: dict[str, str], result: Outcome) -> None:
    def link(subject: str) -> int | None:
        found = audit.of_subject(store, subject)
        return found[-1]["link_no"] if found else None

    result.check(said["close"] == "", f"race {race.number}: the close was refused: {said['close']}")
    closed = link(f"period:{race.entity}/main/{PERIOD}") or 0
    for what, subject in (("send", f"batch:{race.key}"), ("book", f"booking:booking-{race.number}")):
        written = link(subject)
        if said[what]:
            result.count(f"{what}: refused after the close")
            result.check(CLOSED in said[what], f"race {race.number}: {what} failed otherwise: {said[what]}")
            result.check(written is None, f"race {race.number}: {what} was refused and wrote")
        else:
            result.count(f"{what}: before the close")
            result.check(written is not None and written < closed, f"race {race.number}: a late {what}")


# What somebody tries with the application's rights on a closed period.
BY_SQL = (
    "update posting_batches set status = 'sent' where batch_key = :key and status = 'planned'",
    "insert into booking_periods (booking_id, entity_id, book, period, row_count, debit_fc, credit_fc) "
    "select 'late', :entity, 'main', :period, 2, 1, 1",
    "update booking_periods set debit_fc = debit_fc + 1, credit_fc = credit_fc + 1",
    "delete from booking_periods",
    "update periods set status = 'open' where entity_id = :entity",
    "update periods set status = 'soft_closed' where entity_id = :entity",
    "update periods set entity_id = 'other' where entity_id = :entity",
    "update periods set period = '2027-01' where entity_id = :entity",
    "delete from periods where entity_id = :entity",
    "delete from period_history",
    "update period_history set new_status = 'open'",
    "insert into period_history (entity_id, book, period, old_status, new_status, at, actor, approver, reason) "
    "values (:entity, 'main', :period, 'hard_closed', 'open', '2026-04-02 00:00:00', 'eve', 'eve', 'because')",
    "insert into period_history (entity_id, book, period, old_status, new_status, at, actor, approver, reason) "
    "values (:entity, 'main', :period, 'hard_closed', 'open', '2026-04-02 00:00:00', 'eve', 'ben', '')",
    "insert into periods (entity_id, book, period, status, changed_at, changed_by) "
    "values ('new', 'main', :period, 'hard_closed', '2026-04-02 00:00:00', 'eve')",
)
# With more than rows: only PostgreSQL has roles that cannot. Who may write a SQLite file can change all of it.
BY_ROLE = (
    "alter table periods disable trigger all",
    "alter table posting_batches disable trigger all",
    "drop trigger booking_periods_period_open on booking_periods",
    "set session_replication_role = replica",
    "truncate period_history",
    "create or replace function revenue_period_open() returns trigger language plpgsql as 'begin return new; end'",
)
APPLICATION = """
do $$ begin if not exists (select 1 from pg_roles where rolname = 'application')
    then create role application login; end if; end $$;
grant select, insert, update, delete on all tables in schema public to application;
grant usage on all sequences in schema public to application;
"""


def by_sql(ground: Ground, store: Store, race: Race, result: Outcome) -> None:
    """On the first race's period, which is closed: nothing may change it. Another batch in it is still planned."""
    with store.write() as connection:
        # A batch that was cut before the close and not sent.
        key = connection.scalar(text("select batch_key from posting_batches where status = 'planned' limit 1"))
        entity = connection.scalar(text("select entity_id from posting_batches where batch_key = :k"), {"k": key})
        booking = {"booking_id": "late", "sha256": "0" * 64, "bytes": 1, "row_count": 2, "uncut_rows": 2}
        connection.execute(
            text(
                "insert into journal_bookings (booking_id, seq, sha256, bytes, row_count, uncut_rows, control_totals, "
                "booked_at) values (:booking_id, 1000000, :sha256, :bytes, :row_count, :uncut_rows, '[]', "
                "'2026-04-02 00:00:00')"
            ),
            booking,
        )
    statements, writer = list(BY_SQL), store
    if not store.is_sqlite:
        with store.write() as connection:
            connection.execute(text(APPLICATION))
        url = store.engine.url.set(username="application")
        writer, statements = Store(create_engine(url)), [*BY_SQL, *BY_ROLE]
    target = {"key": key, "entity": entity or race.entity, "period": PERIOD}
    for statement in statements:
        if ":key" in statement and key is None:
            continue  # every batch won its race
        try:
            with writer.write() as connection:
                wanted = {name: value for name, value in target.items() if f":{name}" in statement}
                connection.execute(text(statement), wanted)
            result.check(False, f"the database took: {statement}")
        except (DBAPIError, IntegrityError):
            result.count("plain SQL refused")
    if writer is not store:
        writer.close()
