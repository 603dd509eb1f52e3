"""P14: an unbalanced journal cannot be stored, not even with plain SQL past all of our code.

Seeded journals of 2 to 12 lines in one to three currencies. Every second one is spoilt in one way; each goes into the
store with plain SQL, as somebody with a database client would write it.
"""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Callable
from typing import Any

from ground import Ground, Outcome
from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.exc import DBAPIError

from revenue_assets.store.tables import booking_periods, member_cuts, posting_batch_lines, posting_batches

CURRENCIES = ("USD", "EUR", "JPY", "KWD")
LARGEST = 10**15
NOW = dt.datetime(2026, 4, 1, 9)  # noqa: DTZ001
Document = dict[str, Any]


def document(dice: random.Random, number: int) -> Document:
    """A balanced journal: `row` of posting_batches, its `lines`. Amounts up to 10^15 minor units."""
    lines: list[dict[str, Any]] = []
    for currency in dice.sample(CURRENCIES, dice.randint(1, 3)):
        amounts = [dice.randint(1, LARGEST) * dice.choice((1, -1)) for _ in range(dice.randint(1, 3))]
        rates = [dice.randint(1, LARGEST) for _ in amounts]
        for amount, own in zip([*amounts, -sum(amounts)], [*rates, 0], strict=True):
            fc = amount if currency == "USD" else own * (1 if amount > 0 else -1)
            lines.append({"currency": currency, "amount_tc": amount, "fc": fc})
        if currency != "USD":
            lines[-1]["fc"] = -sum(line["fc"] for line in lines[-len(amounts) - 1 : -1])
    made = [
        {
            "line_no": n, "account_role": "revenue", "account_code": f"{dice.randint(1000, 1003)}",
            "currency": line["currency"], "amount_tc": line["amount_tc"], "debit_fc": max(line["fc"], 0),
            "credit_fc": max(-line["fc"], 0), "functional_currency": "USD", "prior_period": False, "member_count": n,
        }
        for n, line in enumerate(lines, 1)
    ]  # fmt: skip
    total = sum(line["debit_fc"] for line in made)
    key = f"{number:032x}"
    row = {
        "batch_key": key, "seq": number, "content_hash": "0" * 64, "cut_id": "cut", "tenant": "t", "entity_id": "US",
        "erp_company": "US Inc", "book": "main", "period": "2026-03", "event_class": "e", "rule_hash": "r",
        "functional_currency": "USD", "currency_set": "USD", "accounting_date": dt.date(2026, 3, 31),
        "line_count": len(made), "member_count": sum(line["member_count"] for line in made), "debit_fc": total,
        "credit_fc": total, "document_json": "", "mode": "live", "created_at": NOW, "prepared_by": "eve",
        "status": "planned", "fence": 0, "attempts": 0,
    }  # fmt: skip
    return {"row": row, "lines": [line | {"batch_key": key} for line in made], "late": []}


def _a_line(made: Document, dice: random.Random, **by: int) -> None:
    line = dice.choice(made["lines"])
    for name, amount in by.items():
        line[name] += amount


def _cent(made: Document, dice: random.Random) -> None:
    line = dice.choice(made["lines"])
    line["debit_fc" if line["debit_fc"] else "credit_fc"] += 1


def _late_pair(made: Document, dice: random.Random) -> None:
    """Two more lines that balance each other, written after the batch."""
    line = made["lines"][0]
    pair = ({"debit_fc": 5, "credit_fc": 0, "amount_tc": 5}, {"debit_fc": 0, "credit_fc": 5, "amount_tc": -5})
    made["late"] = [line | sides | {"line_no": len(made["lines"]) + n} for n, sides in enumerate(pair, 1)]


def _other_document(made: Document, dice: random.Random) -> None:
    """The lines balance, and the document that would be sent says something else."""
    told = json.loads(made["row"]["document_json"])
    line = dice.choice(told["lines"])
    line["debit_fc" if line["debit_fc"] else "credit_fc"] += 1
    made["row"]["document_json"] = json.dumps(told)


def _one_line_fewer(made: Document, dice: random.Random) -> None:
    made["lines"].pop(dice.randrange(len(made["lines"])))


def _renumbered(made: Document, dice: random.Random) -> None:
    made["lines"][-1]["line_no"] += 1


def _one_sided(made: Document, dice: random.Random) -> None:
    made["row"]["credit_fc"] += 1


def _no_lines(made: Document, dice: random.Random) -> None:
    made["lines"].clear()
    made["row"] |= {"line_count": 0, "member_count": 0, "debit_fc": 0, "credit_fc": 0}


SPOILT: dict[str, Callable[[Document, random.Random], None]] = {
    "a cent on one line": _cent,
    "a transaction amount": lambda made, dice: _a_line(made, dice, amount_tc=1),
    "a member too many": lambda made, dice: _a_line(made, dice, member_count=1),
    "a line is missing": _one_line_fewer,
    "two late lines": _late_pair,
    "another document": _other_document,
    "a gap in the numbers": _renumbered,
    "a total on one side": _one_sided,
    "no lines": _no_lines,
}


def store_it(connection: Connection, made: Document) -> None:
    """Plain inserts in the only order that the database takes."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("pragma defer_foreign_keys = on")
    if made["lines"]:
        connection.execute(insert(posting_batch_lines), made["lines"])
    connection.execute(insert(posting_batches), [made["row"]])
    if made["late"]:
        connection.execute(insert(posting_batch_lines), made["late"])


def raw_sql(ground: Ground, count: int) -> Outcome:
    """`count` journals into one store."""
    result, house = Outcome(), ground.house()
    with house.store.write() as connection:
        cut = {"cut_id": "cut", "seq": 1, "sha256": "0" * 64, "bytes": 0, "row_count": 0, "batch_count": 0}
        connection.execute(insert(member_cuts).values(**cut, cut_at=NOW))
    sound = []
    for number in range(1, count + 1):
        if ground.is_over:
            break
        made = document(ground.dice, number)
        made["row"]["document_json"] = json.dumps({"lines": made["lines"]})
        result.reached += 1
        if number % 2:
            sound.append(made)
            if len(sound) == 200:
                _take(house.store, sound, result)
            continue
        name = ground.dice.choice(sorted(SPOILT))
        SPOILT[name](made, ground.dice)
        try:
            with house.store.write() as connection:
                store_it(connection, made)
            result.check(False, f"stored: {name}, journal {number} of seed {ground.seed}")
        except DBAPIError:
            result.count(f"refused: {name}")
    _take(house.store, sound, result)
    _stored(house.store, result)
    house.store.close()
    return result


def _take(store: Any, sound: list[Document], result: Outcome) -> None:
    """Journals that balance, in one transaction: a refusal would be a false alarm."""
    try:
        with store.write() as connection:
            for made in sound:
                store_it(connection, made)
        result.count("balanced and stored", len(sound))
    except DBAPIError as error:
        result.check(False, f"a balanced journal was refused: {error.orig}")
    sound.clear()


# What an auditor would ask the database: journals whose lines do not add up, in any currency or to the header.
UNBALANCED = text("""
select count(*) from (
    select b.batch_key from posting_batches b left join posting_batch_lines l on l.batch_key = b.batch_key
    group by b.batch_key, b.debit_fc, b.credit_fc, b.line_count
    having coalesce(sum(l.debit_fc), 0) <> b.debit_fc or coalesce(sum(l.credit_fc), 0) <> b.credit_fc
        or b.debit_fc <> b.credit_fc or count(l.line_no) <> b.line_count
    union all
    select batch_key from posting_batch_lines group by batch_key, currency having sum(amount_tc) <> 0
) as unbalanced""")


def _stored(store: Any, result: Outcome) -> None:
    with store.read() as connection:
        unbalanced = connection.scalar(UNBALANCED)
        stored = connection.scalar(select(func.count()).select_from(posting_batches))
    result.check(unbalanced == 0, f"{unbalanced} unbalanced journals are stored")
    result.check(stored == result.facts.get("balanced and stored"), "what is stored is not what balanced")
    result.facts["unbalanced stored"] = unbalanced
    for statement in (
        "update posting_batch_lines set debit_fc = debit_fc + 1", "delete from posting_batch_lines",
        "update posting_batches set debit_fc = debit_fc + 1, credit_fc = credit_fc + 1",
        "update posting_batches set functional_currency = 'JPY'",
    ):  # fmt: skip
        try:
            with store.write() as connection:
                connection.execute(text(statement))
            result.check(False, f"the database took: {statement}")
        except DBAPIError:
            result.count("refused: later change")
    try:
        with store.write() as connection:
            values = {"booking_id": "b", "entity_id": "US", "book": "main", "period": "2026-03", "row_count": 2}
            connection.execute(insert(booking_periods).values(**values, debit_fc=2, credit_fc=1))
        result.check(False, "a booking that does not balance was taken")
    except DBAPIError:
        result.count("refused: unbalanced booking")
