"""Cutting batches: booked lines without a batch become summarised ERP documents in the outbox.

One document per (entity, posting period, event class, rule hash); every booked line is in exactly one line of one
document (or waits, whole entries, for a missing account mapping). Document, members and outbox row are committed
together: the member file first, then one store transaction that makes it count.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from revenue_assets.domain import posting_state
from revenue_assets.domain.calendars import MONTHS, Calendar
from revenue_assets.posting import batches_sql as sql
from revenue_assets.posting import rejected
from revenue_assets.state import calendars
from revenue_assets.store import exceptions, leases, manifest, outbox
from revenue_assets.store.audit import canonical
from revenue_assets.store.clock import SYSTEM_CLOCK, Clock
from revenue_assets.store.engine import Store, StoreError
from revenue_assets.store.ledger import Journal, read_files, write_file

ORIGIN = "batching"
# More lines than this in one ERP document are split between whole entries; a demo month has some 60.
MAX_LINES = 500
_DIMENSIONS = {
    "accounting_date": "line_date", "tax_code": "line_tax_code", "jurisdiction": "line_jurisdiction",
    "customer_id": "line_customer", "entry": "line_entry",
}  # fmt: skip


@dataclass(frozen=True)
class CutReport:
    """What one cut did; `held_lines` wait for the mappings named in `missing`."""

    cut_id: str | None
    batches: int = 0
    lines: int = 0
    members: int = 0
    held_lines: int = 0
    missing: list[str] = field(default_factory=list)
    batch_keys: list[str] = field(default_factory=list)
    orphans_removed: list[str] = field(default_factory=list)


def cut(
    store: Store,
    journal: Journal,
    state: Path,
    as_of: dt.date,
    *,
    tenant: str,
    max_lines: int = MAX_LINES,
    clock: Clock = SYSTEM_CLOCK,
    lease_wait_seconds: float = 30.0,
) -> CutReport:
    """Puts every booked line that has no batch into one; nothing to cut writes no file and no row.

    `state` holds entities, accounts and policy as Parquet; `tenant` (the company's id) is part of each key. A document
    is dated at its period's end, or at `as_of` while the period lasts.
    """
    journal.prepare()
    with leases.held(store, leases.JOURNAL, wait_seconds=lease_wait_seconds, clock=clock) as lease:
        with store.read() as reader:
            open_bookings, cuts = manifest.bookings(reader, uncut_only=True), manifest.cuts(reader)
        orphans = journal.remove_orphans(journal.members, cuts)
        if not open_bookings:
            return CutReport(None, orphans_removed=orphans)
        journal.check_files(journal.lines, {b.booking_id: b.stamp for b in open_bookings})
        # Member files matter only for bookings that an earlier cut took in part.
        relevant = cuts if any(b.uncut_rows < b.row_count for b in open_bookings) else {}
        journal.check_files(journal.members, relevant)
        booked = read_files(journal.lines, (b.booking_id for b in open_bookings))
        with duckdb.connect() as connection:
            for statement in sql.candidates(booked, read_files(journal.members, relevant)):
                connection.execute(statement)
            rejected.hold(store, journal, connection, "uncut", clock)
            for statement in sql.mapped(str(state)):
                connection.execute(statement)
            _summarise(connection, max_lines)
            documents = _documents(connection, tenant, as_of, calendars(state))
            return _commit(store, journal, connection, documents, lease, orphans, clock)


def _summarise(connection: duckdb.DuckDBPyConnection, max_lines: int) -> None:
    """Fills `assigned` and `summarised`; documents with too many lines are split between whole entries.

    Deterministic: entries in key order fill a part until its set of lines would outgrow the bound. A single entry
    with more lines than that stays whole, because a part of it would not balance.
    """
    connection.execute(sql.LINES)
    connection.execute(sql.SUMMARISED)
    oversize = connection.execute(sql.OVERSIZE.format(limit=int(max_lines))).fetchall()
    if not oversize:
        return
    parts: list[tuple[str, int]] = []
    for document_no, *_ in oversize:
        part, lines = 1, set[int]()
        for entry_id, touched in connection.execute(sql.ENTRY_LINES, [document_no]).fetchall():
            if lines and len(lines | set(touched)) > max_lines:
                part, lines = part + 1, set()
            lines |= set(touched)
            parts.append((entry_id, part))
    connection.execute("create or replace temp table parts (entry_id varchar, part integer)")
    for start in range(0, len(parts), 1000):
        chunk = parts[start : start + 1000]
        connection.execute(
            f"insert into parts values {', '.join(['(?, ?)'] * len(chunk))}", [v for row in chunk for v in row]
        )
    connection.execute("update entry set part = parts.part from parts where parts.entry_id = entry.entry_id")
    connection.execute(sql.LINES)
    connection.execute(sql.SUMMARISED)


def _documents(
    connection: duckdb.DuckDBPyConnection, tenant: str, as_of: dt.date, own: Mapping[str, Calendar]
) -> list[dict[str, Any]]:
    """One dict per document: the outbox row (`row`), its lines, and its number in the connection's tables."""
    cursor = connection.execute(sql.DOCUMENT_LINES)
    names = [column[0] for column in cursor.description or []]
    grouped: dict[int, list[dict[str, Any]]] = {}
    for values in cursor.fetchall():
        row = dict(zip(names, values, strict=True))
        grouped.setdefault(row["document_no"], []).append(row)
    return [{"document_no": number, **_document(rows, tenant, as_of, own)} for number, rows in grouped.items()]


def _document(rows: list[dict[str, Any]], tenant: str, as_of: dt.date, own: Mapping[str, Calendar]) -> dict[str, Any]:
    head = rows[0]
    date = own.get(head["entity_id"], MONTHS).document_date(head["posting_period"], as_of)
    lines = [_line(row) for row in rows]
    debit, credit = sum(line["debit_fc"] for line in lines), sum(line["credit_fc"] for line in lines)
    if debit != credit:
        raise StoreError(
            f"document of {head['entity_id']} {head['posting_period']} {head['event_class']} does not balance: "
            f"{debit} against {credit} minor units {head['functional_currency']}."
        )
    document_json = canonical(
        {
            "tenant": tenant,
            "entity_id": head["entity_id"],
            "erp_company": head["erp_company"],
            "book": head["book"],
            "period": head["posting_period"],
            "date": date,
            "event_class": head["event_class"],
            "rule_hash": head["rule_hash"],
            "functional_currency": head["functional_currency"],
            "lines": lines,
        }
    )
    parts = (tenant, head["entity_id"], head["posting_period"], head["rule_hash"] or "", document_json)
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
    row = {
        "batch_key": key,
        "content_hash": outbox.content_hash(document_json),
        "tenant": tenant,
        "entity_id": head["entity_id"],
        "erp_company": head["erp_company"],
        "book": head["book"],
        "period": head["posting_period"],
        "event_class": head["event_class"],
        "rule_hash": head["rule_hash"] or "",
        "functional_currency": head["functional_currency"],
        "currency_set": ",".join(sorted({line["currency"] for line in lines})),
        "accounting_date": date,
        "line_count": len(lines),
        "member_count": sum(line["member_count"] for line in lines),
        "debit_fc": debit,
        "credit_fc": credit,
        "document_json": document_json,
        "mode": outbox.LIVE,
        "status": posting_state.PLANNED,
    }
    return {"row": row, "lines": [_batch_line(key, line, head["functional_currency"]) for line in lines]}


def _line(row: dict[str, Any]) -> dict[str, Any]:
    names = (
        "line_no",
        "account_role",
        "account_code",
        "currency",
        "amount_tc",
        "debit_fc",
        "credit_fc",
        "product_family",
        "prior_period",
        "member_count",
        "members_hash",
    )
    dimensions = {name: row[column] for name, column in _DIMENSIONS.items() if row[column] is not None}
    return {name: row[name] for name in names} | {"dimensions": dimensions}


def _batch_line(key: str, line: dict[str, Any], functional_currency: str) -> dict[str, Any]:
    kept = {name: value for name, value in line.items() if name != "members_hash"}
    dimensions = canonical(line["dimensions"]) if line["dimensions"] else None
    return kept | {"batch_key": key, "functional_currency": functional_currency, "dimensions": dimensions}


def _commit(
    store: Store, journal: Journal, connection: duckdb.DuckDBPyConnection, documents: list[dict[str, Any]],
    lease: leases.Lease, orphans: list[str], clock: Clock,
) -> CutReport:  # fmt: skip
    all_lines, taken_lines, held_lines, money_left, members = connection.execute(sql.CONSERVATION).fetchall()[0]
    if all_lines != taken_lines + held_lines or money_left != 0 or members != taken_lines:
        raise StoreError(
            f"the cut would lose lines: {all_lines} booked, {taken_lines} taken ({members} as members), "
            f"{held_lines} held."
        )
    missing = _missing(connection)
    now = clock.now()
    if not documents:
        with store.write() as writer:
            exceptions.sync(writer, ORIGIN, missing, now)
        return CutReport(None, held_lines=held_lines, missing=[m.reference for m in missing], orphans_removed=orphans)

    keys = [d["row"]["batch_key"] for d in documents]
    cut_id = "c" + hashlib.sha256(",".join(sorted(keys)).encode()).hexdigest()[:31]
    connection.execute("create or replace temp table document_keys (document_no integer, batch_key varchar)")
    connection.executemany(
        "insert into document_keys values (?, ?)", [(d["document_no"], d["row"]["batch_key"]) for d in documents]
    )
    stamp = write_file(connection, sql.MEMBERS.format(cut_id=cut_id), journal.members / f"{cut_id}.parquet")
    lines = [line for d in documents for line in d["lines"]]
    with store.write() as writer:
        leases.assert_held(writer, lease)
        manifest.commit_cut(
            writer, cut_id, stamp, row_count=taken_lines, batch_count=len(documents),
            taken=dict(connection.execute(sql.TAKEN).fetchall()), cut_at=now,
        )  # fmt: skip
        outbox.insert_batches(writer, [d["row"] | {"cut_id": cut_id} for d in documents], lines, now)
        exceptions.sync(writer, ORIGIN, missing, now)
    return CutReport(
        cut_id,
        len(documents),
        len(lines),
        taken_lines,
        held_lines,
        [m.reference for m in missing],
        sorted(keys),
        orphans,
    )


def _missing(connection: duckdb.DuckDBPyConnection) -> list[exceptions.Item]:
    items = {}
    for entity, role, family, is_company, currency, period, lines, entries, amount in connection.execute(
        "select * from unmapped"
    ).fetchall():
        what = (
            f"entity {entity}"
            if is_company
            else f"account role {role}" + (f", family {family}," if family else "") + f" of {entity}"
        )
        reference = f"{entity}:erp_company" if is_company else f"{entity}:{role}:{family or '*'}"
        items[reference] = exceptions.Item(
            category="mapping_missing",
            reference=reference,
            owner_team=exceptions.owner_of("mapping_missing", None, {}),
            entity_id=entity,
            period=period,
            currency=currency,
            amount=amount,
            blocks_close=True,
            severity="error",
            error_code="mapping_missing",
            error_message=f"No ERP mapping for {what}: {lines} lines of {entries} entries wait.",
            next_action="Add the mapping in the company config; the lines are posted by the next run.",
        )
    return list(items.values())
