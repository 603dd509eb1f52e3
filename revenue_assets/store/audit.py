"""Append-only, hash-chained log of state changes: one link per transaction, its entries under the link's hash.

Chained per transaction and not per entry, because chain writes are serialised: chaining every row cost PostgreSQL five
times its throughput. Call `record` last in a transaction, so that the chain's head is locked only for a moment.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, select, text

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


def _plain(value: Any) -> str:
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no canonical form")


# One encoder for all: making one per call takes longer than encoding a log entry.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)


def canonical(value: Any) -> str:
    """JSON with sorted keys and no blanks; dates as ISO text. The form everything here is hashed in."""
    return _ENCODER.encode(value)


def sha256(value: Any) -> str:
    return hashlib.sha256(canonical(value).encode()).hexdigest()


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


class Head(NamedTuple):
    """The end of the chain at some moment; (0, GENESIS) before the first link."""

    link_no: int
    hash: str


@dataclass(frozen=True)
class Verdict:
    """What walking the chain found. `links`, `entries`: how many are sound, from the start. `bad_link`: the first one
    that is not what was recorded, with `problem`, a sentence about it; None if all are."""

    links: int
    entries: int
    head: str
    bad_link: int | None = None
    problem: str | None = None


def verify(store: Store, *, expected_head: str | None = None) -> tuple[int, str | None]:
    """`walk` in short: (number of links, None), or (links before it, sentence naming the first bad one).

    `expected_head` is a head hash kept outside the store; without it a cut-off tail cannot be seen.
    """
    verdict = walk(store)
    if verdict.problem is None and expected_head not in (None, verdict.head):
        return verdict.links, f"the chain ends at link {verdict.links} with another hash than the anchored head."
    return verdict.links, verdict.problem


def walk(store: Store, *, anchors: Iterable[Head] = ()) -> Verdict:
    """Recomputes every hash from the first link on and compares with the `anchors`, heads kept outside the store.

    Reads both tables once, as a stream: memory does not grow with the log. What commits meanwhile is not looked at.
    """
    expected: dict[int, set[str]] = {}
    for anchor in anchors:
        expected.setdefault(anchor.link_no, set()).add(anchor.hash)
    with store.read() as connection:
        last = connection.scalar(select(func.max(audit_links.c.link_no))) or 0
        prev, number, sound = GENESIS, 0, 0
        for link, rows in _linked(connection, last):
            problem = _problem(link, rows, number, prev)
            wanted = expected.pop(link[0], None)
            if problem is None and wanted is not None and wanted != {link[5]}:
                problem = f"link {link[0]} is not the one that was anchored: the log was rewritten from here or before."
            if problem is not None:
                return Verdict(number, sound, prev, number + 1, problem)
            prev, number, sound = link[5], number + 1, sound + len(rows)
        beyond = select(func.min(audit_entries.c.link_no)).where(
            audit_entries.c.link_no > select(func.max(audit_links.c.link_no)).scalar_subquery()
        )
        orphan = connection.scalar(beyond)
    missing = min((n for n in expected if n > 0), default=None)
    if missing is not None:
        problem = f"link {max(expected)} was anchored, but the log ends at link {number}: its tail was cut off."
        return Verdict(number, sound, prev, number + 1, problem)
    if orphan is not None:
        return Verdict(number, sound, prev, number + 1, f"entries name link {orphan}, which does not exist.")
    return Verdict(number, sound, prev)


_LINK = ("link_no", "at", "entry_count", "entries_hash", "prev_hash", "hash")
_ENTRY = ("entry_no", "actor", "action", "subject", "before_hash", "after_hash", "detail")


def _linked(connection: Connection, last: int) -> Iterator[tuple[Any, list[Any]]]:
    """Each link with its entries (link_no first), in order. Entries of a link that is gone come with the next one."""
    streamed = connection.execution_options(yield_per=5000)
    l, e = audit_links.c, audit_entries.c  # noqa: E741
    links = streamed.execute(select(*(l[n] for n in _LINK)).where(l.link_no <= last).order_by(l.link_no))
    entries = iter(
        streamed.execute(
            select(e.link_no, *(e[n] for n in _ENTRY)).where(e.link_no <= last).order_by(e.link_no, e.entry_no)
        )
    )
    ahead = next(entries, None)
    for link in links:
        rows: list[Any] = []
        while ahead is not None and ahead[0] <= link[0]:
            rows.append(ahead)
            ahead = next(entries, None)
        yield link, rows


def _problem(link: Any, rows: list[Any], number: int, prev: str) -> str | None:
    """What is wrong with `link` and its entries, as the one after link `number` with hash `prev`."""
    if link[0] != number + 1:
        return f"link {number + 1} is missing: link {link[0]} follows link {number}."
    if link[4] != prev or sha256(dict(zip(_LINK[:5], link[:5], strict=True))) != link[5]:
        return f"link {link[0]} was changed, or the one before it was."
    found = [dict(zip(_ENTRY, row[1:], strict=True)) for row in rows]
    if link[2] == len(rows) and sha256(found) == link[3]:
        return None
    gone = sorted(set(range(1, link[2] + 1)) - {row[1] for row in rows})
    what = f"entry {gone[0]} is gone" if gone else "one is not what was recorded"
    about = "; ".join(f"{row[1]}: {row[4]}" for row in rows[:5])
    return (
        f"the entries of link {link[0]} of {link[1]:%Y-%m-%d %H:%M} were changed: {what} ({about or 'none is left'})."
    )


def head(store: Store) -> str:
    """Hash of the newest link, to be kept outside the store."""
    return newest(store).hash


def newest(store: Store) -> Head:
    """The newest link: its number and hash."""
    with store.read() as connection:
        query = select(audit_links.c.link_no, audit_links.c.hash).order_by(audit_links.c.link_no.desc()).limit(1)
        found = connection.execute(query).one_or_none()
    return Head(found.link_no, found.hash) if found else Head(0, GENESIS)


def of_subject(store: Store, subject: str) -> list[dict[str, Any]]:
    """What the log says about one subject, oldest first: link_no, at, actor, action, detail."""
    e = audit_entries.c
    query = (
        select(e.link_no, audit_links.c.at, e.actor, e.action, e.detail)
        .join(audit_links, audit_links.c.link_no == e.link_no)
        .where(e.subject == subject)
        .order_by(e.link_no, e.entry_no)
    )
    with store.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]
