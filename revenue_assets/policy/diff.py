"""What a new version of the rules would change in the journals, before anybody adopts it.

Both versions are computed over the same landed history in a scratch folder. What is booked already would become a
reversal and a replacement where booking puts them: in the entry's own period while it is open, else in the first open
one after it. Nothing is booked and nothing of the live home is changed.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from revenue_assets.domain import periods as months
from revenue_assets.domain.config import Company, load_company
from revenue_assets.policy import diff_sql as sql
from revenue_assets.policy.rules import RuleChange, rule_changes
from revenue_assets.policy.scratch import Scratch, has_store
from revenue_assets.settings import Settings

# What of an entity the rooms before the subledger read.
_ENTITY_FACTS = {"id", "functional_currency", "time_zone", "calendar", "fiscal_year"}


@dataclass(frozen=True)
class Difference:
    """Amounts are minor units, debit positive.

    accounts: entity, period (of posting), account_role, currency; old, new, difference as _tc and _fc.
    entries: entity, period, kind (changed, added, removed), booked, entries.
    refused: entity, class; old and new number of events that the subledger holds back.
    """

    old: str
    new: str
    old_hash: str
    new_hash: str
    as_of: dt.date
    rules: list[RuleChange] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    accounts: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_equal(self) -> bool:
        """The rules are the same, so the journals are: nothing was built."""
        return self.old_hash == self.new_hash

    def as_json(self) -> dict[str, Any]:
        return {
            "old": {"config": self.old, "policy_hash": self.old_hash},
            "new": {"config": self.new, "policy_hash": self.new_hash},
            "equal": self.is_equal,
            "as_of": self.as_of.isoformat(),
            "rules": [change._asdict() for change in self.rules],
            "entries": self.entries,
            "accounts": self.accounts,
            "refused": self.refused,
        }


def compare(settings: Settings, old: Path, new: Path, *, periods: tuple[str, ...] = ()) -> Difference:
    """The difference between two config folders over the landed history of `settings`' home.

    `periods` keeps only those posting periods. Raises ConfigError for a config that cannot be used, a home without
    history, or a build that fails.
    """
    for period in periods:
        months.parse(period)
    before, after = load_company(old), load_company(new)
    if before.content_hash == after.content_hash:
        return Difference(str(old), str(new), before.content_hash, after.content_hash, settings.as_of)
    settings.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="policy-diff-", dir=settings.home) as name:
        files = build_both(settings, before, after, Path(name))
        entries, accounts, refused = figures(settings, files, before, after, periods)
    hashes = before.content_hash, after.content_hash
    rules = rule_changes(before, after)
    return Difference(str(old), str(new), *hashes, settings.as_of, rules, entries, accounts, refused)


def build_both(settings: Settings, before: Company, after: Company, folder: Path) -> tuple[Path, Path]:
    """Two warehouses in `folder`: what should exist under each version over the landed history as it is now."""
    scratch = Scratch(settings, folder)
    old = scratch.build(before, folder / "old.duckdb", whole=True)
    return old, scratch.build(after, folder / "new.duckdb", whole=_facts(before) != _facts(after))


def _facts(company: Company) -> list[dict[str, Any]]:
    return [e.model_dump(include=_ENTITY_FACTS) for e in company.entities]


def figures(
    settings: Settings, files: tuple[Path, Path], before: Company, after: Company, periods: tuple[str, ...] = ()
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """(entries, accounts, refused) of a Difference, from two builds and what is booked now."""
    booked, closed = _books(settings)
    with duckdb.connect() as connection:
        for alias, file in zip(("old", "new"), files, strict=True):
            connection.execute(f"attach '{_quoted(file)}' as {alias} (read_only)")
        for statement in sql.entries(booked, settings.as_of, _left_to_erp(before), _left_to_erp(after)):
            connection.execute(statement)
        connection.execute("create temp table period_map (entity_id varchar, period varchar, posting_period varchar)")
        for entity, period in connection.execute(sql.PERIODS).fetchall():
            target = months.posting_period(period, closed.get(entity, set())).period
            connection.execute("insert into period_map values (?, ?, ?)", [entity, period, target])
        connection.execute(sql.CORRECTIONS)
        kept = f"where period in ({', '.join(repr(p) for p in periods)})" if periods else ""
        queries = (f"from ({sql.ENTRIES}) {kept} order by all", f"from ({sql.ACCOUNTS}) {kept} order by all")
        counted, amounts = (_dicts(connection, query) for query in queries)
        return counted, amounts, _dicts(connection, sql.REFUSED)


def _books(settings: Settings) -> tuple[str, dict[str, set[str]]]:
    """SQL that reads what is booked, and the closed periods per entity; nothing of either without a store."""
    from revenue_assets.store import manifest
    from revenue_assets.store import periods as period_table
    from revenue_assets.store.engine import open_store
    from revenue_assets.store.ledger import BOOKED_COLUMNS, EMPTY, Journal, read_files

    lines = Journal(settings.journal).lines
    if not has_store(settings) or not (lines / EMPTY).exists():
        columns = ", ".join(f"null::{kind} as {name}" for name, kind in BOOKED_COLUMNS.items())
        return f"(select {columns} limit 0)", {}
    with contextlib.closing(open_store(settings.store_url)) as store, store.read() as connection:
        known = [b.booking_id for b in manifest.bookings(connection)]
        return read_files(lines, known), period_table.closed(connection)


def _left_to_erp(company: Company) -> list[str]:
    return [e.id for e in company.entities if e.schedules_owner == "erp"]


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _dicts(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    cursor = connection.execute(query)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
