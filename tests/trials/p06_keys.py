"""P6: one key, one content, for ever. The same key with other content is taken nowhere.

Seeded changes of one committed document, offered on every way in: the cut's own function, plain SQL (insert, replace,
update), a stored document that was altered past the triggers, and the ERP itself.
"""

from __future__ import annotations

import datetime as dt
import json
import random
from dataclasses import replace
from typing import Any

from ground import Ground, Outcome
from p12_outage import Watched, adapter, planned
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from store_kit import FakeClock, House

from revenue_assets.posting import steps
from revenue_assets.posting.outbox import drain
from revenue_assets.store import outbox
from revenue_assets.store.tables import posting_batch_lines

SEVEN_YEARS = dt.timedelta(days=7 * 366)


def changed(dice: random.Random, told: str) -> str:
    """Another document, in content or only in bytes: a key stands for what was hashed."""
    document = json.loads(told)
    line = dice.choice(document["lines"])
    how = dice.randrange(8)
    if how == 0:
        by = dice.randint(1, 10**12)
        for one in document["lines"]:
            one["debit_fc" if one["debit_fc"] else "credit_fc"] += by
    elif how == 1:
        line["account_code"] = f"{dice.randint(1000, 9999)}x"
    elif how == 2:
        document["date"] = f"2026-03-{dice.randint(1, 30):02d}"
    elif how == 3:
        document["functional_currency"] = dice.choice(("EUR", "GBP", "JPY"))
    elif how == 4:
        document["lines"].reverse()
    elif how == 5:
        document[f"extra{dice.randrange(10**6)}"] = None
    elif how == 6:
        line["member_count"] += dice.randint(1, 9)
    else:
        return told + " " * dice.randint(1, 50)
    return json.dumps(document)


class Ways:
    """Each way in: True if it took the changed document. The house's one batch is posted and verified."""

    def __init__(self, ground: Ground, house: House, clock: FakeClock) -> None:
        self.house, self.dice, self.clock = house, ground.dice, clock
        self.face = Watched(ground.root / "erp", clock)
        self.port = adapter(self.face)
        drain(house.store, {"US Inc": self.port}, clock=clock)
        (row,) = outbox.all_batches(house.store)
        assert row["status"] == "verified"
        self.key, self.told = row["batch_key"], row["document_json"]
        self.row = {name: value for name, value in row.items() if name not in ("seq", "fence", "attempts")}
        with house.store.read() as connection:
            self.lines = [dict(line) for line in connection.execute(select(posting_batch_lines)).mappings()]
            self.batch = outbox.get(connection, self.key)

    def by_the_function(self, other: str) -> bool:
        batch = self.row | {"document_json": other, "content_hash": outbox.content_hash(other), "status": "planned"}
        later = self.clock.now() + self.dice.choice((dt.timedelta(0), SEVEN_YEARS))
        try:
            with self.house.store.write() as connection:
                outbox.insert_batches(connection, [batch], self.lines, later)
        except outbox.KeyConflict:
            return False
        return True

    def by_sql(self, other: str) -> bool:
        """Insert under the same key; on conflict, update; delete first."""
        told = {"key": self.key, "other": other, "hash": outbox.content_hash(other)}
        copied = ", ".join(name for name in self.row if name not in ("batch_key", "document_json", "content_hash"))
        inserted = (
            f"insert into posting_batches (batch_key, document_json, content_hash, seq, fence, attempts, {copied}) "
            f"select batch_key, :other, :hash, 999, 0, 0, {copied} from posting_batches where batch_key = :key"
        )
        statement = self.dice.choice(
            (
                inserted,
                f"{inserted} on conflict (batch_key) do update set document_json = :other, content_hash = :hash",
                "update posting_batches set document_json = :other, content_hash = :hash where batch_key = :key",
                "update posting_batches set document_json = :other where batch_key = :key",
                "delete from posting_batches where batch_key = :key and :other = :other and :hash = :hash",
            )
        )
        try:
            with self.house.store.write() as connection:
                connection.execute(text(statement), told)
        except DBAPIError:
            return False
        return True

    def past_the_triggers(self, other: str) -> bool:
        try:
            steps.journal_of(self.batch._replace(document_json=other), 40)
        except ValueError:
            return False
        return True

    def at_the_erp(self, other: str) -> bool:
        """The key again with other amounts, straight through the adapter: it must say conflict, or that the old one is
        there, and the books must not change."""
        journal = steps.journal_of(self.batch, 40)
        by = self.dice.randint(1, 10**9)
        lines = tuple(
            replace(x, debit=x.debit + by, amount_tc=x.amount_tc + by) if x.debit
            else replace(x, credit=x.credit + by, amount_tc=x.amount_tc - by)
            for x in journal.lines
        )  # fmt: skip
        before = self.face.erp.documents()
        (answer,) = self.port.submit([replace(journal, lines=lines)])
        return self.face.erp.documents() != before or (answer.failure is None and not answer.already_there)


def mutated_resends(ground: Ground, count: int) -> Outcome:
    """`count` changed documents under one key."""
    result, clock = Outcome(), FakeClock()
    house = planned(ground, 1, ("US",))
    ways = Ways(ground, house, clock)
    kinds: dict[str, Any] = {
        "function": ways.by_the_function, "sql": ways.by_sql, "stored": ways.past_the_triggers, "erp": ways.at_the_erp,
    }  # fmt: skip
    while result.reached < count and not ground.is_over:
        other = changed(ground.dice, ways.told)
        if other == ways.told:
            continue
        name = ground.dice.choice(sorted(kinds))
        result.reached += 1
        result.count(f"refused: {name}")
        result.check(not kinds[name](other), f"accepted by {name}: {other[:200]}")
    (row,) = outbox.all_batches(house.store)
    result.check(row["document_json"] == ways.told and row["status"] == "verified", "the committed document changed")
    result.check(ways.face.erp.copies() == {ways.key: 1}, "the ERP has more than the one document")
    ways.face.erp.ledger.close()
    house.store.close()
    return result
