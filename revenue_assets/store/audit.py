"""Append-only, hash-chained log of state changes: one link per transaction, its entries under the link's hash.

Chained per transaction and not per entry, because chain writes are serialised: chaining every row cost PostgreSQL five
times its throughput. Call `record` last in a transaction, so that the chain's head is locked only for a moment.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select, text

from revenue_assets.store.engine import Store
from revenue_assets.store.tables import audit_entries, audit_links

GENESIS = "0" * 64
# PostgreSQL has no lock on "the end of a table"; all writers of the chain meet at this number.
_CHAIN_LOCK = 7_205_114_022


class Entry(NamedTuple):
    """One change. `before` and `after` are JSON-able states (None: did not exist); only their hashes are kept."""

    actor: str
    action: str
    subject: str
    before: Any = None
    after: Any = None
    detail: str | None = None


def canonical(value: Any) -> str:
    """JSON with sorted keys and no blanks; dates as ISO text. The form everything here is hashed in."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)


def sha256(value: Any) -> str:
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def _plain(value: Any) -> str:
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no canonical form")


def record(connection: Connection, at: dt.datetime, entries: Iterable[Entry]) -> None:
    """Adds one link with `entries` (nothing for no entries), in the caller's transaction."""
    rows = [
        {
            "entry_no": number,
            "actor": entry.actor,
            "action": entry.action,
            "subject": entry.subject,
            "before_hash": None if entry.before is None else sha256(entry.before),
            "after_hash": None if entry.after is None else sha256(entry.after),
            "detail": entry.detail,
        }
        for number, entry in enumerate(entries, 1)
    ]
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _CHAIN_LOCK})
    head = connection.execute(select(audit_links).order_by(audit_links.c.link_no.desc()).limit(1)).one_or_none()
    link_no, prev_hash = (head.link_no + 1, head.hash) if head else (1, GENESIS)
    entries_hash = sha256(rows)
    link = {
        "link_no": link_no,
        "at": at,
        "entry_count": len(rows),
        "entries_hash": entries_hash,
        "prev_hash": prev_hash,
    }
    connection.execute(insert(audit_links).values(**link, hash=sha256(link)))
    connection.execute(insert(audit_entries), [{"link_no": link_no, **row} for row in rows])


def verify(store: Store, *, expected_head: str | None = None) -> tuple[int, str | None]:
    """Walks the chain: (number of links, None), or (links before it, sentence naming the first bad one).

    `expected_head` is a head hash kept outside the store; without it a cut-off tail cannot be seen.
    """
    columns = ("entry_no", "actor", "action", "subject", "before_hash", "after_hash", "detail")
    with store.read() as connection:
        entries: dict[int, list[dict[str, Any]]] = {}
        for row in connection.execute(
            select(audit_entries).order_by(audit_entries.c.link_no, audit_entries.c.entry_no)
        ):
            entries.setdefault(row.link_no, []).append({c: getattr(row, c) for c in columns})
        links = connection.execute(select(audit_links).order_by(audit_links.c.link_no)).all()
    prev, number = GENESIS, 0
    for link in links:
        rows = entries.pop(link.link_no, [])
        body = {c: getattr(link, c) for c in ("link_no", "at", "entry_count", "entries_hash", "prev_hash")}
        if link.link_no != number + 1:
            return number, f"link {number + 1} is missing: link {link.link_no} follows link {number}."
        if link.prev_hash != prev or sha256(body) != link.hash:
            return number, f"link {link.link_no} was changed, or the one before it was."
        if link.entry_count != len(rows) or sha256(rows) != link.entries_hash:
            return number, f"the entries of link {link.link_no} were changed."
        prev, number = link.hash, number + 1
    if entries:
        return number, f"entries name link {min(entries)}, which does not exist."
    if expected_head is not None and prev != expected_head:
        return number, f"the chain ends at link {number} with another hash than the anchored head."
    return number, None


def head(store: Store) -> str:
    """Hash of the newest link, to be kept outside the store."""
    with store.read() as connection:
        found = connection.scalar(select(audit_links.c.hash).order_by(audit_links.c.link_no.desc()).limit(1))
    return found or GENESIS
