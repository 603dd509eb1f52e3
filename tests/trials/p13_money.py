"""P13: no money passes through a float. Amounts up to 10^15 minor units with 0, 2 and 3 decimals through every place
where money rests or travels, each compared with what was put in.

Hops: booked lines (Parquet), batch lines (operational store), the document in the outbox, the state snapshot (Parquet),
the wire formats of the ERP adapters there and back, the finance schema's DECIMAL, and CSV and JSON written from it.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

import duckdb
from direct import Direct
from ground import Ground, Outcome
from p12_outage import CHART, COMPANIES
from sqlalchemy import select
from store_kit import AS_OF, House, entry
from subledger_macros import _Adapter

from demo.erp_emulators.drop import DropFace
from demo.erp_emulators.ledger import EXPONENTS
from demo.erp_emulators.rest import TOKEN, RestFace
from revenue_assets.domain.config_erp_generic import DropOptions, GenericOptions
from revenue_assets.domain.money import to_major, to_minor
from revenue_assets.posting import steps
from revenue_assets.posting.batches import cut
from revenue_assets.posting.booking import book
from revenue_assets.posting.erp.generic_csv import GenericCsvErp
from revenue_assets.posting.erp.generic_rest import GenericRestErp
from revenue_assets.posting.erp.port import ErpPort, Journal
from revenue_assets.sources.netsuite_client import exact_json
from revenue_assets.sources.tryton_rpc import decode, encode
from revenue_assets.store import outbox
from revenue_assets.store.export import export_state
from revenue_assets.store.tables import posting_batch_lines

LARGEST = 10**15
# A house's total must fit 64 bits: its entries times the largest amount.
ENTRIES = 2_000
CURRENCIES = ("JPY", "USD", "KWD")
# Where floats round: above 2^53, halves of a cent, runs of nines.
EDGES = (1, 5, 9, 99, 100, 101, 999, 2**53 - 1, 2**53 + 1, 10**15, 10**15 - 1, 999_999_999_999_999, 123_456_789_012_345)


class Money(NamedTuple):
    """One line's amounts, minor units: of its own currency, and debit and credit of its company's."""

    currency: str
    amount_tc: int
    debit_fc: int
    credit_fc: int


def drawn(dice: random.Random) -> int:
    return dice.choice(EDGES) if dice.random() < 0.1 else dice.randint(1, 10 ** dice.randint(1, 15))


def entries(dice: random.Random, number: int) -> list[list[dict[str, Any]]]:
    """Entries of two lines, each with an amount in its own currency and another in its company's."""
    made = []
    for n in range(number):
        currency = dice.choice(CURRENCIES)
        tc = drawn(dice)
        fc = tc if currency == "USD" else drawn(dice)
        legs = entry(f"e{n}", "2026-03-05", ("accounts_receivable", tc), ("revenue", -tc), currency=currency)
        for leg in legs:
            leg["amount_fc"] = fc if leg["amount_tc"] > 0 else -fc
        made.append(legs)
    return made


def every_hop(ground: Ground, count: int) -> Outcome:
    """House after house until `count` amounts went through."""
    result, number = Outcome(), 0
    while result.reached < count and not ground.is_over:
        # Four amounts an entry: two lines in two currencies.
        one_house(ground, min(ENTRIES, max(10, (count - result.reached) // 4)), number, result)
        number += 1
    return result


def one_house(ground: Ground, size: int, number: int, result: Outcome) -> None:
    house = ground.house()
    house.write_masters(policy={"US": {"detail_threshold": "0"}})
    made = entries(ground.dice, size)
    wanted = Counter(_money(leg["currency"], leg["amount_tc"], leg["amount_fc"]) for legs in made for leg in legs)
    house.should(*made)
    book(house.store, house.journal, house.warehouse, house.state, AS_OF)
    cut(house.store, house.journal, house.state, AS_OF, tenant=f"t{number}")

    def hop(name: str, found: Iterable[Money]) -> None:
        changed = wanted - Counter(found)
        result.count(f"changed: {name}", changed.total())
        result.check(not changed, f"{name} changed {changed.total()} amounts, as {list(changed)[:3]}")

    with house.store.read() as connection:
        columns = (posting_batch_lines.c[name] for name in Money._fields)
        hop("operational store", (Money(*row) for row in connection.execute(select(*columns))))
        batches = [outbox.get(connection, row["batch_key"]) for row in outbox.all_batches(house.store)]
    journals = [steps.journal_of(batch, 40) for batch in batches]
    hop("journal", (_money(*row) for row in house.booked("currency, amount_tc, amount_fc")))
    hop("outbox document", _of_journals(journals))
    export_state(house.store, house.state)
    snapshot = f"select {', '.join(Money._fields)} from '{house.state}/posting_batch_lines.parquet'"
    hop("state snapshot", (Money(*row) for row in house.sql(snapshot)))
    for name, port, settle in ledgers(ground, number):
        hop(f"{name} and back", _posted(port, journals, settle))
    for name, there_and_back in WIRES.items():
        hop(name, (_over(money, there_and_back) for money in wanted.elements()))
    for name, rows in published(house).items():
        hop(name, (_money(*row) for row in rows))
    result.reached += 2 * wanted.total()
    house.store.close()


def _money(currency: str, tc: int, fc: int) -> Money:
    return Money(currency, tc, max(fc, 0), max(-fc, 0))


def _of_journals(journals: Iterable[Any]) -> Iterable[Money]:
    return (Money(x.currency, x.amount_tc, x.debit, x.credit) for j in journals for x in j.lines)


def ledgers(ground: Ground, number: int) -> Iterable[tuple[str, ErpPort, Any]]:
    """Emulated ledgers behind the adapters that ship, and what makes each take what it was sent."""
    rest = RestFace(ground.root / f"rest-{number}")
    rest.setup(companies=COMPANIES, accounts=CHART, years=[2026])
    options = GenericOptions(settle_seconds=0, batch_size_max=50)
    direct = Direct(rest)
    yield "REST", GenericRestErp("http://127.0.0.1:1", {"token": TOKEN}, options, EXPONENTS, transport=direct), None
    rest.erp.ledger.close()
    drop = DropFace(ground.root / f"drop-{number}")
    drop.setup(companies=COMPANIES, accounts=CHART, years=[2026])
    drop.step()
    yield "CSV", GenericCsvErp(drop.folder, DropOptions(), EXPONENTS), drop.settle
    drop.erp.ledger.close()


def _posted(port: ErpPort, journals: list[Journal], settle: Any) -> Iterable[Money]:
    answers = port.submit(journals)
    if settle is not None:
        settle()
        answers = port.poll("US Inc", {a.key: a.job_id or "" for a in answers})
    assert {a.state for a in answers} == {"posted"}, [a.failure for a in answers if a.failure][:3]
    held = port.lines("US Inc", [a.document_id or "" for a in answers])
    return _of_journals(held.values())


def _tryton(minor: int, exponent: int) -> int:
    """As the RPC of Tryton carries a Decimal."""
    text = json.dumps({"amount": to_major(minor, exponent)}, default=encode)
    return to_minor(json.loads(text, object_hook=decode, parse_float=Decimal)["amount"], exponent)


def _netsuite(minor: int, exponent: int) -> int:
    """As NetSuite's REST carries a JSON number."""
    text = exact_json({"debit": to_major(minor, exponent)})
    return to_minor(format(Decimal(str(json.loads(text, parse_float=Decimal)["debit"])), "f"), exponent)


WIRES = {"Tryton's wire": _tryton, "NetSuite's wire": _netsuite}


def _over(money: Money, there_and_back: Any) -> Money:
    own, company = EXPONENTS[money.currency], EXPONENTS["USD"]
    return Money(
        money.currency, there_and_back(money.amount_tc, own), there_and_back(money.debit_fc, company),
        there_and_back(money.credit_fc, company),
    )  # fmt: skip


def published(house: House) -> dict[str, list[tuple[Any, ...]]]:
    """The booked lines as the finance schema shows money, and as CSV and JSON made of that; back in minor units."""
    macros = money_macros()
    digits = "case currency " + " ".join(f"when '{c}' then {EXPONENTS[c]}" for c in CURRENCIES) + " end"
    shown = f"""select currency, {macros.recon_to_major("amount_tc", digits)} as tc,
        {macros.recon_to_major("amount_fc", "2")} as fc from read_parquet('{house.journal.lines}/*.parquet')"""
    back = f"select currency, {macros.recon_to_minor('tc', digits)}, {macros.recon_to_minor('fc', '2')} from "
    out = {}
    with duckdb.connect(str(house.root / "finance.duckdb")) as connection:
        connection.execute(f"create or replace table line as {shown}")
        out["finance DECIMAL"] = connection.execute(f"{back} line").fetchall()
        for kind, reader in (("csv", "read_csv('{}', all_varchar = true)"), ("json", "read_json_objects('{}')")):
            file = house.root / f"lines.{kind}"
            # A JSON number would be a float to whoever reads it: money leaves as text.
            columns = "*" if kind == "csv" else "currency, tc::varchar as tc, fc::varchar as fc"
            connection.execute(f"copy (select {columns} from line) to '{file}'")
            source = reader.format(file)
            if kind == "json":
                source = (
                    f"(select json ->> 'currency' as currency, json ->> 'tc' as tc, json ->> 'fc' as fc from {source})"
                )
            out[kind.upper()] = connection.execute(f"{back} {source}").fetchall()
    return out


def money_macros() -> Any:
    """The published schema's macros, rendered as dbt does on DuckDB."""
    import jinja2
    from subledger_macros import MACROS

    adapter = _Adapter()
    environment = jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=False)
    environment.globals.update(adapter=adapter, **{"return": lambda value: value})
    text = (MACROS / "staging_money.sql").read_text() + (MACROS / "recon_text.sql").read_text()
    adapter.module = environment.from_string(text).module
    return adapter.module
