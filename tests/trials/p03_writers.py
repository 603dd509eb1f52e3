"""P3: no reader steps over a row. Eight writers take their numbers first and commit in another order.

The posting worker finds its batches by state, through the same question as Dagster's sensor (`ready`). Beside it runs
a reader with a cursor (`seq > last seen`), as a control: what it misses shows that commits did finish out of order.
"""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ground import Ground, Outcome
from p14_balance import NOW, document, store_it
from sqlalchemy import func, insert, select
from sqlalchemy.exc import OperationalError
from store_kit import FakeClock

from revenue_assets.posting.erp.port import Capabilities, Found, Journal, PostedDocument
from revenue_assets.posting.erp.port import Outcome as Answer
from revenue_assets.posting.outbox import Limits, drain, ready
from revenue_assets.store import outbox
from revenue_assets.store.engine import Store
from revenue_assets.store.landing import BatchRegister, LandedBatch, all_batches
from revenue_assets.store.tables import member_cuts, posting_attempts, posting_batches

WRITERS = 8
PER_TRANSACTION = 25
ROUNDS_AFTER = 3
OBJECTS = 5


class Books:
    """The quickest ERP there is: a dictionary that counts."""

    capabilities = Capabilities("books", "sync", 40, False, "document", 500, "company", False, 0.0)

    def __init__(self) -> None:
        self.documents: dict[str, Journal] = {}
        self.copies: dict[str, int] = {}

    def submit(self, documents: Sequence[Journal]) -> tuple[Answer, ...]:
        for journal in documents:
            self.copies[journal.key] = self.copies.get(journal.key, 0) + 1
            self.documents[journal.key] = journal
        return tuple(Answer(j.key, "posted", j.key, j.key) for j in documents)

    def find(self, company: str, keys: Sequence[str]) -> dict[str, tuple[Found, ...]]:
        return {key: (Found(key, key, key, "posted"),) for key in keys if key in self.documents}

    def poll(self, company: str, job_ids: Mapping[str, str]) -> tuple[Answer, ...]:
        raise NotImplementedError("it has no queue")

    def lines(self, company: str, document_ids: Sequence[str]) -> dict[str, PostedDocument]:
        held = [self.documents[i] for i in document_ids]
        return {
            j.key: PostedDocument(
                j.key, j.key, j.key, "posted", j.company, j.accounting_date, j.period, j.functional_currency, j.lines
            )
            for j in held
        }


class Race:
    """The writers, the cursor and what they saw."""

    def __init__(self, ground: Ground, store: Store, count: int) -> None:
        self.ground, self.store, self.count = ground, store, count
        self.numbers, self.lock = itertools.count(1), threading.Lock()
        self.written: list[int] = []
        self.seen: set[int] = set()
        self.errors: list[str] = []
        self.gave_up = 0
        self.is_finished = False

    def taken(self) -> list[int]:
        """The next transaction's numbers: taken before it begins, as a sequence gives them."""
        with self.lock:
            numbers = [next(self.numbers) for _ in range(PER_TRANSACTION)]
        return [number for number in numbers if number <= self.count]

    def write(self, writer: int) -> None:
        store, dice = self.ground.again(self.store), random.Random(f"{self.ground.seed}/{writer}")
        register = BatchRegister(store)
        try:
            while (numbers := self.taken()) and not self.ground.is_over:
                made = []
                for number in numbers:
                    one = document(dice, number)
                    one["row"]["document_json"] = told(one)
                    one["row"]["content_hash"] = outbox.content_hash(one["row"]["document_json"])
                    made.append(one)
                # On PostgreSQL the transactions overlap; SQLite has one writer, so the wait comes before its turn.
                pause = dice.choice((0.0, 0.0, 0.001, 0.02))
                if store.is_sqlite:
                    time.sleep(pause)
                while not self._committed(store, made, 0.0 if store.is_sqlite else pause):
                    with self.lock:
                        self.gave_up += 1
                with self.lock:
                    self.written += numbers
                self._land(register, numbers[0], dice)
        except Exception as error:
            self.errors.append(f"writer {writer}: {type(error).__name__}: {error}")
        finally:
            store.close()

    def _committed(self, store: Store, made: list[dict[str, Any]], pause: float) -> bool:
        """One transaction; False if SQLite gave its turn to others for longer than the busy timeout: a caller that is
        told so comes again."""
        try:
            with store.write() as connection:
                for one in made:
                    store_it(connection, one)
                time.sleep(pause)
        except OperationalError as error:
            if "database is locked" not in str(error):
                raise
            return False
        return True

    def _land(self, register: BatchRegister, number: int, dice: random.Random) -> None:
        """A landing file announced, and mostly committed; now and then its run dies in between."""
        name = f"landing-{number}"
        batch = LandedBatch(name, "crm", f"object{number % OBJECTS}", 1, 0, {}, NOW, path=f"landing/{name}.parquet")
        register.announce(batch)
        if dice.random() < 0.9:
            register.commit(name)

    def look_by_cursor(self) -> None:
        """The design that we did not choose."""
        store, last = self.ground.again(self.store), 0
        query = select(posting_batches.c.seq).order_by(posting_batches.c.seq)
        while not self.is_finished:
            with store.read() as connection:
                found = list(connection.scalars(query.where(posting_batches.c.seq > last).limit(1000)))
            self.seen |= set(found)
            last = found[-1] if found else last
            time.sleep(0.002)
        store.close()


def told(made: dict[str, object]) -> str:
    """The document as the cut tells it."""
    lines = [line | {"product_family": None, "dimensions": {}} for line in made["lines"]]  # type: ignore[attr-defined]
    head = {"date": "2026-03-31", "period": "2026-03", "functional_currency": "USD", "event_class": "e"}
    return json.dumps(head | {"entity_id": "US", "lines": lines})


def out_of_order(ground: Ground, count: int) -> Outcome:
    """`count` batches by eight writers, and every one must be found, posted and verified once."""
    result, house, clock, erp = Outcome(), ground.house(), FakeClock(), Books()
    with house.store.write() as connection:
        cut = {"cut_id": "cut", "seq": 1, "sha256": "0" * 64, "bytes": 0, "row_count": 0, "batch_count": 0}
        connection.execute(insert(member_cuts).values(**cut, cut_at=NOW))
    race = Race(ground, house.store, count)
    writers = [threading.Thread(target=race.write, args=(n,)) for n in range(WRITERS)]
    cursor = threading.Thread(target=race.look_by_cursor)
    for thread in (*writers, cursor):
        thread.start()
    idle = 0
    while idle < ROUNDS_AFTER:
        is_writing = any(writer.is_alive() for writer in writers)
        work = ready(house.store, clock=clock)
        for one in work:
            drain(house.store, {one.erp_company: erp}, clock=clock, limits=Limits(documents_per_call=200))  # type: ignore[dict-item]
        idle = 0 if work or is_writing else idle + 1
    race.is_finished = True
    cursor.join()
    with house.store.read() as connection:
        sends = posting_attempts.c.outcome == "intent"
        claimed = connection.scalar(select(func.count()).select_from(posting_attempts).where(sends))
    result.reached = len(race.written)
    verified = outbox.counts(house.store)["verified"]
    result.broken += race.errors
    result.check(verified == result.reached, f"missed: {result.reached - verified} of {result.reached}")
    result.check(set(erp.copies.values()) <= {1}, "a batch was sent twice")
    result.check(claimed == result.reached, f"{claimed} claims for {result.reached} batches")
    result.facts |= {"missed": result.reached - verified, "missed by a cursor": len(set(race.written) - race.seen)}
    result.facts["waited a minute for SQLite and came again"] = race.gave_up
    _landed(house.store, result)
    house.store.close()
    return result


def _landed(store: Store, result: Outcome) -> None:
    """The next landing run finds by state what a killed one left announced."""
    left = sum(row["committed_at"] is None for row in all_batches(store))
    for number in range(OBJECTS):
        BatchRegister(store).settle("crm", f"object{number}", lambda path: True)
    lost = sum(row["committed_at"] is None for row in all_batches(store))
    result.check(lost == 0, f"{lost} announced landing files were stepped over")
    result.facts["landing files left by dead runs, found"] = left
