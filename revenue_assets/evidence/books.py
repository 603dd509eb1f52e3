"""What the operational store and the journal of record hold about one period: the files of a package, by name.

Everything of the store is read in one snapshot, so that the files agree with each other while a run goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import duckdb
from sqlalchemy import Column, Connection, Select, Table, or_, select

from revenue_assets.evidence import tables
from revenue_assets.policy.rules import RuleChange, text_changes
from revenue_assets.store import manifest
from revenue_assets.store.engine import Store
from revenue_assets.store.ledger import BOOKED_COLUMNS, MEMBER_COLUMNS, Journal, read_files
from revenue_assets.store.outbox import LIVE
from revenue_assets.store.tables import (
    approval_limits,
    approvals,
    approvers,
    audit_entries,
    audit_links,
    booking_periods,
    exceptions,
    journal_bookings,
    landing_batches,
    period_history,
    periods,
    policy_versions,
    posting_attempts,
    posting_batches,
    posting_read_backs,
)

Rows = list[dict[str, Any]]
_CHUNK = 500


@dataclass
class Files:
    """A package on its way: content by name, and how many rows each table has."""

    content: dict[str, bytes] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)

    def table(self, name: str, columns: Iterable[str], rows: Rows) -> None:
        self.content[name] = tables.write(list(columns), rows)
        self.rows[name] = len(rows)


@dataclass(frozen=True)
class Collected:
    """What the other rooms of the package need to know of the books."""

    lines: Rows
    batches: Rows
    periods: Rows


@contextmanager
def one_snapshot(store: Store) -> Iterator[Connection]:
    """A connection on which every read sees the store of one moment."""
    with store.read() as connection:
        yield connection if store.is_sqlite else connection.execution_options(isolation_level="REPEATABLE READ")


def collect(connection: Connection, journal: Journal, files: Files, period: str, entities: Sequence[str]) -> Collected:
    """Adds journal, posting, controls, rules, landing register and audit log of `period` to `files`.

    Raises StoreError if a journal file is not the one that was committed.
    """
    lines = _journal(connection, journal, files, period, entities)
    batches = _posting(connection, journal, files, period, entities)
    found = _controls(connection, files, period, entities, [b["batch_key"] for b in batches])
    rules = _rules(connection, files, lines, batches)
    landed = _all(connection, select(landing_batches).order_by(landing_batches.c.landed_at, landing_batches.c.batch_id))
    files.table("sources/landing_batches.csv", _names(landing_batches), landed)
    subjects = [f"batch:{b['batch_key']}" for b in batches] + [f"policy:{name}" for name in rules] + ["approvals"]
    subjects += [f"booking:{name}" for name in sorted({x["booking_id"] for x in lines})]
    subjects += [f"exception:{row['exception_id']}" for row in found["exceptions"]]
    subjects += [f"period:{row['entity_id']}/{row['book']}/{row['period']}" for row in found["periods"]]
    _log(connection, files, subjects)
    return Collected(lines, batches, found["periods"])


def _journal(connection: Connection, journal: Journal, files: Files, period: str, entities: Sequence[str]) -> Rows:
    mine = (booking_periods.c.period == period) & booking_periods.c.entity_id.in_(entities)
    parts = _all(connection, select(booking_periods).where(mine).order_by(*booking_periods.primary_key))
    ids = sorted({row["booking_id"] for row in parts})
    stamps = {b.booking_id: b.stamp for b in manifest.bookings(connection) if b.booking_id in set(ids)}
    journal.check_files(journal.lines, stamps, deep=True)
    query = f"""
        select {", ".join(BOOKED_COLUMNS)} from {read_files(journal.lines, ids)}
        where posting_period = ? and entity_id in (select unnest(?)) order by booking_id, entry_key, entry_hash, sign,
            generation, line_no
    """
    lines = _duck(query, [period, list(entities)])
    files.table("journal/lines.csv", BOOKED_COLUMNS, lines)
    files.table("journal/booking_periods.csv", _names(booking_periods), parts)
    bookings = _in(connection, select(journal_bookings), journal_bookings.c.booking_id, ids)
    kept = [name for name in _names(journal_bookings) if name != "uncut_rows"]
    files.table("journal/bookings.csv", kept, sorted(bookings, key=lambda row: row["seq"]))
    return lines


def _posting(connection: Connection, journal: Journal, files: Files, period: str, entities: Sequence[str]) -> Rows:
    b = posting_batches.c
    mine = (b.period == period) & b.entity_id.in_(entities) & (b.mode == LIVE)
    batches = _all(connection, select(posting_batches).where(mine).order_by(b.seq))
    keys = [row["batch_key"] for row in batches]
    files.table("posting/batches.csv", [n for n in _names(posting_batches) if n != "document_json"], batches)
    for row in batches:
        files.content[f"posting/documents/{row['batch_key']}.json"] = row["document_json"].encode()
    attempts = _in(connection, select(posting_attempts), posting_attempts.c.batch_key, keys)
    # Who held the lease is a process on a host: of no use to an auditor.
    kept = [name for name in _names(posting_attempts) if name != "holder"]
    files.table("posting/attempts.csv", kept, sorted(attempts, key=lambda row: row["attempt_id"]))
    read = _in(connection, select(posting_read_backs), posting_read_backs.c.batch_key, keys)
    files.table("posting/read_backs.csv", _names(posting_read_backs), sorted(read, key=lambda r: r["read_back_id"]))
    cuts = {row["cut_id"] for row in batches}
    stamps = {name: stamp for name, stamp in manifest.cuts(connection).items() if name in cuts}
    journal.check_files(journal.members, stamps, deep=True)
    query = f"""
        select {", ".join(MEMBER_COLUMNS)} from {read_files(journal.members, stamps)}
        where batch_key in (select unnest(?)) order by batch_key, batch_line_no, booked_line_id
    """
    files.table("posting/members.csv", MEMBER_COLUMNS, _duck(query, [keys]))
    return batches


def _controls(
    connection: Connection, files: Files, period: str, entities: Sequence[str], keys: Sequence[str]
) -> dict[str, Rows]:
    p, h, e = periods.c, period_history.c, exceptions.c
    states = _all(
        connection, select(periods).where(p.period == period, p.entity_id.in_(entities)).order_by(p.entity_id)
    )
    files.table("controls/periods.csv", _names(periods), states)
    history = select(period_history).where(h.period == period, h.entity_id.in_(entities)).order_by(h.change_id)
    files.table("controls/period_history.csv", _names(period_history), _all(connection, history))
    mine = or_(e.entity_id.in_(entities), e.entity_id.is_(None))
    found = {
        row["exception_id"]: row
        for row in _all(connection, select(exceptions).where(e.period == period, mine))
        + _in(connection, select(exceptions), e.idempotency_key, keys)
    }
    rows = [found[name] for name in sorted(found)]
    files.table("controls/exceptions.csv", _names(exceptions), rows)
    subjects = [f"batch:{key}" for key in keys] + [f"exception:{name}" for name in found]
    decisions = _in(connection, select(approvals), approvals.c.subject, subjects)
    files.table("controls/approvals.csv", _names(approvals), sorted(decisions, key=lambda row: row["approval_id"]))
    for table in (approval_limits, approvers):
        query = select(table).where(table.c.entity_id.in_(entities)).order_by(*table.primary_key)
        files.table(f"controls/{table.name}.csv", _names(table), _all(connection, query))
    return {"periods": states, "exceptions": rows}


def _rules(connection: Connection, files: Files, lines: Rows, batches: Rows) -> list[str]:
    """The rule sets that lines and batches name, the one before them, and what changed from one to the next."""
    wanted = {x["policy_hash"] for x in lines} | {b["rule_hash"] for b in batches}
    stored = _all(connection, select(policy_versions).order_by(policy_versions.c.stored_at))
    used = [at for at, row in enumerate(stored) if row["content_hash"] in wanted]
    versions = stored[max(used[0] - 1, 0) : used[-1] + 1] if used else []
    for row in versions:
        files.content[f"rules/{row['content_hash']}.json"] = row["content"].encode()
        row["is_used"] = row["content_hash"] in wanted
    names = [name for name in _names(policy_versions) if name != "content"]
    files.table("rules/versions.csv", [*names, "is_used"], versions)
    changes = [
        {"old_hash": old["content_hash"], "new_hash": new["content_hash"], **change._asdict()}
        for old, new in pairwise(versions)
        for change in text_changes(old["content"], new["content"])
    ]
    files.table("rules/changes.csv", ["old_hash", "new_hash", *RuleChange._fields], changes)
    return [row["content_hash"] for row in versions]


def _log(connection: Connection, files: Files, subjects: Sequence[str]) -> None:
    """All links, and the entries of those that are about `subjects`: a link is checked by all of its entries."""
    files.table(
        "audit/links.csv", _names(audit_links), _all(connection, select(audit_links).order_by(audit_links.c.link_no))
    )
    e = audit_entries.c
    links = {row["link_no"] for row in _in(connection, select(e.link_no), e.subject, subjects)}
    entries = _in(connection, select(audit_entries), e.link_no, sorted(links))
    entries.sort(key=lambda row: (row["link_no"], row["entry_no"]))
    files.table("audit/entries.csv", _names(audit_entries), entries)


def _names(table: Table) -> list[str]:
    return [column.name for column in table.c]


def _all(connection: Connection, query: Select[Any]) -> Rows:
    return [dict(row) for row in connection.execute(query).mappings()]


def _in(connection: Connection, query: Select[Any], column: Column[Any], values: Sequence[Any]) -> Rows:
    """The rows whose `column` is one of `values`, in parts that every database takes."""
    parts = (values[at : at + _CHUNK] for at in range(0, len(values), _CHUNK))
    return [row for part in parts for row in _all(connection, query.where(column.in_(part)))]


def _duck(query: str, parameters: list[Any]) -> Rows:
    with duckdb.connect() as connection:
        cursor = connection.execute(query, parameters)
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
