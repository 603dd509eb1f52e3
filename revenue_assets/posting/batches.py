"""Cutting batches: booked lines without a batch become ERP documents in the outbox, as posting.yaml says.

By default one document per (entity, posting period, event class, rule hash); every booked line is in exactly one line
of one live document, or waits, whole entries, with a reason. Document, members and outbox row are committed together:
the member file first, then one store transaction that makes it count. Shadow entries go through the same steps into
batches of their own, which are compared with the ERP and never sent; they count as not posted.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from sqlalchemy import select

from revenue_assets.posting import batches_sql as sql
from revenue_assets.posting import details, dimensions, rejected, settling, unposted
from revenue_assets.posting.cut_documents import documents
from revenue_assets.posting.settling import PostingRules
from revenue_assets.state import calendars
from revenue_assets.store import exceptions, leases, manifest, outbox
from revenue_assets.store.clock import SYSTEM_CLOCK, Clock
from revenue_assets.store.engine import Store, StoreError
from revenue_assets.store.ledger import Journal, read_files, write_file
from revenue_assets.store.tables import posting_batches

ORIGIN = "batching"
# More lines than this in one ERP document are split between whole entries; a demo month has some 60.
MAX_LINES = 500


@dataclass(frozen=True)
class CutReport:
    """What one cut did. `held_lines` wait for the mappings named in `missing`; `waiting` counts lines by the reason why
    policy does not post them now; `shadow_batches` are compared, never sent; `notes` are sentences."""

    cut_id: str | None
    batches: int = 0
    lines: int = 0
    members: int = 0
    held_lines: int = 0
    missing: list[str] = field(default_factory=list)
    batch_keys: list[str] = field(default_factory=list)
    orphans_removed: list[str] = field(default_factory=list)
    waiting: dict[str, int] = field(default_factory=dict)
    shadow_batches: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Pass:
    """One pass of the cut, live or shadow."""

    cut_id: str | None
    batches: int
    lines: int
    members: int
    held_lines: int
    missing: list[exceptions.Item]
    batch_keys: list[str]
    notes: list[str]


@dataclass
class _Cut:
    """What the passes of one cut share."""

    store: Store
    journal: Journal
    connection: duckdb.DuckDBPyConnection
    lease: leases.Lease
    state: Path
    as_of: dt.date
    tenant: str
    max_lines: int
    rules: PostingRules
    warehouse: Path | None
    clock: Clock


def cut(
    store: Store,
    journal: Journal,
    state: Path,
    as_of: dt.date,
    *,
    tenant: str,
    warehouse: Path | None = None,
    tick: bool = False,
    max_lines: int = MAX_LINES,
    clock: Clock = SYSTEM_CLOCK,
    lease_wait_seconds: float = 30.0,
) -> CutReport:
    """Puts every booked line that is to be posted now into a batch; nothing to cut writes no file and no row.

    `state` holds entities, accounts, policy and posting policy as Parquet; `tenant` (the company's id) is part of each
    key. A summary is dated at its period's end, or at `as_of` while the period lasts; a document of its own at its day.
    `warehouse` has customers and invoice numbers, for documents and dimensions. `tick`: also what is delivered near
    real time.
    """
    journal.prepare()
    with leases.held(store, leases.JOURNAL, wait_seconds=lease_wait_seconds, clock=clock) as lease:
        with store.read() as reader:
            open_bookings = manifest.bookings(reader, uncut_only=True)
            cuts, shadow_cuts = manifest.cuts(reader), manifest.cuts(reader, shadow=True)
            known = settling.Known.read(reader)
        orphans = journal.remove_orphans(journal.members, cuts)
        orphans += journal.remove_orphans(journal.shadow, shadow_cuts)
        with duckdb.connect() as connection:
            if not open_bookings:
                return CutReport(None, orphans_removed=orphans)
            journal.check_files(journal.lines, {b.booking_id: b.stamp for b in open_bookings})
            booked = read_files(journal.lines, (b.booking_id for b in open_bookings))
            # Member files matter only for bookings that an earlier cut took in part.
            in_part = any(b.uncut_rows < b.row_count for b in open_bookings)
            relevant = cuts if in_part else {}
            journal.check_files(journal.members, relevant)
            connection.execute(sql.candidates(booked, read_files(journal.members, relevant)))
            rejected.hold(store, journal, connection, "waiting", clock)
            rules = PostingRules.read(state)
            settling.settle(connection, rules, as_of, calendars(state), known, tick=tick)
            this = _Cut(
                store, journal, connection, lease, state, as_of, tenant, max_lines, rules, warehouse, clock
            )  # fmt: skip
            connection.execute(sql.LIVE)
            live = _pass(this, outbox.LIVE, read_files(journal.members, cuts))
            connection.execute(sql.TAKEN_LINES)
            journal.check_files(journal.shadow, shadow_cuts)
            connection.execute(sql.shadow(read_files(journal.shadow, shadow_cuts)))
            shadow = _pass(this, outbox.SHADOW, None)
            unposted.write(connection, state)
            with store.write() as writer:
                seen = {item.exception_id: item for item in shadow.missing + live.missing}
                items = [*seen.values(), *unposted.to_act_on(connection)]
                exceptions.sync(writer, ORIGIN, items, clock.now())
            return CutReport(
                live.cut_id, live.batches, live.lines, live.members, live.held_lines,
                [item.reference for item in seen.values()], live.batch_keys, orphans,
                dict(connection.execute(sql.WAITING).fetchall()), shadow.batches, live.notes,
            )  # fmt: skip


def _pass(this: _Cut, mode: str, live_members: str | None) -> _Pass:
    """Maps, summarises and commits what stands in `uncut`. `live_members`: SQL to read the members of live batches, in
    which reversals find their originals."""
    connection, rules = this.connection, this.rules
    connection.execute(sql.NO_ORIGINALS)
    if live_members is not None and connection.execute(sql.HAS_REVERSALS).fetchall()[0][0]:
        connection.execute(sql.originals(live_members))
        _original_accounts(this.store, connection)
    for statement in sql.mapped(str(this.state)):
        connection.execute(statement)
    has_details = connection.execute(details.HAS_DETAILS).fetchall()[0][0] > 0
    if has_details or rules.dimensions:
        details.masters(connection, this.warehouse)
    if rules.dimensions:
        dimensions.enrich(connection, rules)
    connection.execute(details.NO_DETAILS)
    if has_details:
        details.choose(connection, rules.items, _invoiced(this.store, mode))
    for statement in sql.ENTRIES:
        connection.execute(statement)
    _summarise(connection, this.max_lines)
    found = documents(connection, this.tenant, this.as_of, calendars(this.state), mode)
    return _commit(this, found, mode)


def _original_accounts(store: Store, connection: duckdb.DuckDBPyConnection) -> None:
    """Fills `original` with the accounts that stand in the outbox."""
    keys = [row[0] for row in connection.execute("select distinct batch_key from original").fetchall()]
    with store.read() as reader:
        rows = [
            (line["account_code"], line["batch_key"], line["line_no"])
            for lines in outbox.lines_of(reader, keys).values()
            for line in lines
        ]
    if rows:
        connection.executemany(
            "update original set account_code = ? where batch_key = ? and batch_line_no = ?", rows
        )  # fmt: skip


def _invoiced(store: Store, mode: str) -> list[tuple[str, str]]:
    """(entity, reference) of every invoice that was cut as a document of its own, in order."""
    b = posting_batches.c
    query = (
        select(b.entity_id, b.document_json)
        .where(b.mode == mode, b.event_class == "invoice.posted", b.document_json.like('%"kind":"invoice"%'))
        .order_by(b.seq)
    )
    with store.read() as reader:
        return [(str(entity), json.loads(str(text))["reference"]) for entity, text in reader.execute(query)]


def _summarise(connection: duckdb.DuckDBPyConnection, max_lines: int) -> None:
    """Fills `assigned` and `summarised`; documents with too many lines are split between whole entries.

    Deterministic: entries in key order fill a part until its set of lines would outgrow the bound. A single entry
    with more lines than that stays whole, because a part of it would not balance.
    """
    connection.execute(sql.NONE_SMALL)
    connection.execute(sql.LINES)
    if connection.execute(sql.HAS_MINIMUM).fetchall()[0][0]:
        connection.execute(sql.SMALL)
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


def _commit(this: _Cut, found: list[dict[str, Any]], mode: str) -> _Pass:
    connection = this.connection
    all_lines, taken_lines, held_lines, money_left, members = connection.execute(sql.CONSERVATION).fetchall()[0]
    if all_lines != taken_lines + held_lines or money_left != 0 or members != taken_lines:
        raise StoreError(
            f"the cut would lose lines: {all_lines} booked, {taken_lines} taken ({members} as members), "
            f"{held_lines} held."
        )
    missing = _missing(connection, mode)
    notes = _notes(connection.execute(sql.KEPT_ACCOUNTS).fetchall())
    if not found:
        return _Pass(None, 0, 0, 0, held_lines, missing, [], notes)

    keys = [d["row"]["batch_key"] for d in found]
    cut_id = "c" + hashlib.sha256(",".join(sorted(keys)).encode()).hexdigest()[:31]
    connection.execute("create or replace temp table document_keys (document_no integer, batch_key varchar)")
    connection.executemany(
        "insert into document_keys values (?, ?)", [(d["document_no"], d["row"]["batch_key"]) for d in found]
    )
    folder = this.journal.members if mode == outbox.LIVE else this.journal.shadow
    stamp = write_file(connection, sql.MEMBERS.format(cut_id=cut_id), folder / f"{cut_id}.parquet")
    lines = [line for d in found for line in d["lines"]]
    # A shadow batch takes nothing from the journal: its lines are still to be posted, by whomever.
    taken = dict(connection.execute(sql.TAKEN).fetchall()) if mode == outbox.LIVE else {}
    now = this.clock.now()
    with this.store.write() as writer:
        leases.assert_held(writer, this.lease)
        manifest.commit_cut(
            writer, cut_id, stamp, row_count=taken_lines, batch_count=len(found), taken=taken, cut_at=now
        )
        outbox.insert_batches(writer, [d["row"] | {"cut_id": cut_id} for d in found], lines, now)
    return _Pass(cut_id, len(found), len(lines), taken_lines, held_lines, missing, sorted(keys), notes)


def _notes(kept: Iterable[tuple[Any, ...]]) -> list[str]:
    return [
        f"{entity}: {lines} lines that reverse {role} go to account {code}, where the originals stand; new lines go "
        f"to {mapped}."
        for entity, role, code, mapped, lines in kept
    ]


def _missing(connection: duckdb.DuckDBPyConnection, mode: str) -> list[exceptions.Item]:
    items = {}
    for entity, role, family, is_company, currency, period, lines, entries, amount, dimension in connection.execute(
        "select * from unmapped"
    ).fetchall():
        what = (
            f"entity {entity}"
            if is_company
            else f"account role {role}" + (f", family {family}," if family else "") + f" of {entity}"
        )
        reference = f"{entity}:erp_company" if is_company else f"{entity}:{role}:{family or '*'}"
        fix = "Add the mapping in the company config; the lines are posted by the next run."
        sentence = f"No ERP mapping for {what}"
        if dimension is not None:
            reference += f":{dimension}"
            fix = "Add the value in posting.yaml (items, customers or a default); the lines are posted by the next run."
            sentence = f"No {dimension} for {what}: no master has a value"
        items[reference] = exceptions.Item(
            category="mapping_missing",
            reference=reference,
            owner_team=exceptions.owner_of("mapping_missing", None, {}),
            entity_id=entity,
            period=period,
            currency=currency,
            amount=amount,
            blocks_close=mode == outbox.LIVE,
            severity="error" if mode == outbox.LIVE else "warning",
            error_code="mapping_missing",
            error_message=f"{sentence}: {lines} lines of {entries} entries wait.",
            next_action=fix,
        )
    return list(items.values())
