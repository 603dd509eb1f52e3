"""Small ledgers for the tests of store, posting, close and publish: a scratch home with a warehouse made of rows."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from sqlalchemy import insert

from revenue_assets.domain.config_posting import CustomerValues, DimensionRow, ItemRow, PostingRow
from revenue_assets.state import write_parquet
from revenue_assets.store.engine import Store, open_store
from revenue_assets.store.ledger import JOURNAL_LINE_COLUMNS, Journal
from revenue_assets.store.tables import policy_versions

AS_OF = dt.date(2026, 3, 31)
CURRENCY = {"US": "USD", "UK": "GBP", "DE": "EUR"}
# The rules behind every line that does not name others; their text is in the store of each House.
RULES = '{"rules":"of the tests"}'
RULES_HASH = hashlib.sha256(RULES.encode()).hexdigest()
ACCOUNTS = {
    "accounts_receivable": "1100",
    "deferred_revenue": "2100",
    "revenue": "4000",
    "cash": "1000",
    "tax_liability": "2200",
    "suspense": "1999",
}


class FakeClock:
    """Moves only when it is told to, or when somebody sleeps."""

    def __init__(self, at: dt.datetime = dt.datetime(2026, 4, 1, 9, 0, 0)) -> None:  # noqa: DTZ001
        self.at = at
        self.slept = 0.0

    def now(self) -> dt.datetime:
        self.at += dt.timedelta(microseconds=1)
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.at += dt.timedelta(seconds=seconds)


def entry(
    key: str,
    date: str,
    *legs: tuple[str, int],
    entity: str = "US",
    event: str = "invoice.posted",
    family: str | None = "platform",
    currency: str | None = None,
    policy: str = RULES_HASH,
    document: str | None = None,
) -> list[dict[str, Any]]:
    """An entry's journal lines: legs are (account role, amount in minor units, debit positive)."""
    day = dt.date.fromisoformat(date)
    content = repr((key, date, legs, entity, event, family, currency))
    return [
        {
            "line_key": hashlib.md5(f"{key}/{n}".encode()).hexdigest(),
            "entry_key": key,
            "entry_hash": hashlib.md5(content.encode()).hexdigest(),
            "line_no": n,
            "book": "main",
            "entity_id": entity,
            "accounting_date": day,
            "period": date[:7],
            "service_period": date[:7],
            "event_key": f"ev-{key}",
            "event_type": event,
            "document_type": "invoice",
            "document_id": document or f"doc-{key}",
            "document_line_id": None,
            "account_role": role,
            "currency": currency or CURRENCY[entity],
            "amount_tc": amount,
            "functional_currency": CURRENCY[entity],
            "amount_fc": amount,
            "product_family": family if role == "revenue" else None,
            "customer_id": "cus_1",
            "jurisdiction": None,
            "tax_code": None,
            "correlation_id": f"opp-{key}",
            "policy_hash": policy,
        }
        for n, (role, amount) in enumerate(legs, 1)
    ]


@cache
def migrated_sqlite() -> bytes:
    """A database file at the current schema, with RULES; migrating anew for each test would take most of its time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.sqlite"
        with contextlib.closing(open_store(f"sqlite:///{path}")) as store, store.write() as connection:
            row = {"content_hash": RULES_HASH, "company": "t", "content": RULES, "author": "tests"}
            connection.execute(insert(policy_versions).values(**row, stored_at=dt.datetime(2026, 1, 1)))  # noqa: DTZ001
        return path.read_bytes()


@dataclass
class House:
    """A scratch home: operational store, journal, state folder and warehouse."""

    root: Path
    store: Store
    journal: Journal
    state: Path
    warehouse: Path

    @classmethod
    def build(cls, root: Path, *, policy: dict[str, dict[str, Any]] | None = None) -> House:
        root.mkdir(parents=True, exist_ok=True)
        database = root / "store" / "operational.sqlite"
        database.parent.mkdir()
        database.write_bytes(migrated_sqlite())
        house = cls(
            root, open_store(f"sqlite:///{database}"), Journal(root / "journal"), root / "state",
            root / "warehouse" / "revenue.duckdb",
        )  # fmt: skip
        house.warehouse.parent.mkdir(exist_ok=True)
        house.write_masters(policy=policy)
        return house

    def write_masters(
        self, *, accounts: dict[str, str] | None = None, policy: dict[str, dict[str, Any]] | None = None
    ) -> None:
        text = pa.string()

        def write(name: str, columns: str, rows: list[dict[str, Any]]) -> None:
            write_parquet(self.state / f"{name}.parquet", pa.schema([(c, text) for c in columns.split()]), rows)

        write(
            "entities",
            "entity_id name functional_currency time_zone calendar erp_company",
            [{"entity_id": e, "functional_currency": c, "erp_company": f"{e} Inc"} for e, c in CURRENCY.items()],
        )
        chart = ACCOUNTS if accounts is None else accounts
        rows = [{"entity_id": e, "account_role": r, "account_code": c} for e in CURRENCY for r, c in chart.items()]
        rows += [{"entity_id": "US", "account_role": "revenue", "product_family": "platform", "account_code": "4010"}]
        write("accounts", "entity_id account_role product_family account_code account_name", rows)
        rules = [
            {"entity_id": e, "key": k, "value": v, "policy_hash": "p"}
            for e, keys in (policy or {}).items()
            for k, v in keys.items()
        ]
        write("policy", "entity_id product_family currency key value policy_hash", rules)

    def write_posting(self, **sections: list[dict[str, Any]]) -> None:
        """posting.yaml as the cut reads it, through the config's own models; no section: none of it."""
        models = {"posting": PostingRow, "items": ItemRow, "customers": CustomerValues, "dimensions": DimensionRow}
        rows = [
            {"section": name, "row": json.dumps(models[name].model_validate(row).model_dump(by_alias=True))}
            for name, found in sections.items()
            for row in found
        ]
        write_parquet(
            self.state / "posting_policy.parquet", pa.schema([("section", pa.string()), ("row", pa.string())]), rows
        )

    def should(self, *entries: list[dict[str, Any]]) -> None:
        """Replaces `subledger.journal_lines`."""
        lines = [line for lines in entries for line in lines]
        # One table at a time: row by row, DuckDB takes milliseconds for each.
        given = pa.table({name: [line[name] for line in lines] for name in JOURNAL_LINE_COLUMNS})
        columns = ", ".join(f"{name}::{kind} as {name}" for name, kind in JOURNAL_LINE_COLUMNS.items())
        with duckdb.connect(str(self.warehouse)) as connection:
            connection.register("given", given)
            connection.execute("create schema if not exists subledger")
            connection.execute(f"create or replace table subledger.journal_lines as select {columns} from given")

    def booked(self, columns: str = "*") -> list[tuple[Any, ...]]:
        return self.sql(f"select {columns} from read_parquet('{self.journal.lines}/*.parquet') order by all")

    def members(self, columns: str = "*") -> list[tuple[Any, ...]]:
        return self.sql(f"select {columns} from read_parquet('{self.journal.members}/*.parquet') order by all")

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        with duckdb.connect() as connection:
            return connection.execute(query).fetchall()


def invoice(key: str, date: str, net: int, **more: Any) -> list[dict[str, Any]]:
    return entry(key, date, ("accounts_receivable", net), ("deferred_revenue", -net), **more)


def recognition(key: str, date: str, amount: int, **more: Any) -> list[dict[str, Any]]:
    return entry(key, date, ("deferred_revenue", amount), ("revenue", -amount), event="revenue.recognised", **more)
