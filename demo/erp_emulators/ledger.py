"""The emulated ERP's books in one SQLite file: they survive the poster's death and the emulator's own.

Amounts are whole minor units; a protocol face turns them into what its ERP says. Nothing here misbehaves: that is
`core`'s part.
"""

from __future__ import annotations

import calendar
import datetime as dt
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

# Minor-unit digits of the currencies that the emulated ERPs know.
EXPONENTS = {"USD": 2, "GBP": 2, "EUR": 2, "CAD": 2, "JPY": 0, "KWD": 3}

_SCHEMA = """
create table if not exists company (name text primary key, currency text not null);
create table if not exists account (company text not null, code text not null, name text not null,
    primary key (company, code));
create table if not exists master (kind text not null, company text not null, code text not null, name text not null,
    account text not null, primary key (kind, company, code));
create table if not exists period (company text not null, name text not null, start_date text not null,
    end_date text not null, state text not null, primary key (company, name));
create table if not exists document (id integer primary key autoincrement, key text not null, company text not null,
    period text not null, state text not null, body text not null, visible_at real not null);
create index if not exists document_key on document (company, key);
create table if not exists memory (key text primary key, ids text not null, at real not null);
create table if not exists in_flight (id integer primary key autoincrement, due real not null, memory text,
    body text not null);
create table if not exists job (id integer primary key autoincrement, due real not null, memory text,
    body text not null, ids text, error text);
"""


@dataclass(frozen=True, slots=True)
class EntryLine:
    """One line. `debit`, `credit`: minor units of the company's currency; `amount`: of `currency`, debit positive.

    `customer`: whose open item it is; `settles`: number of the invoice that it settles; `item`: what was sold."""

    account: str
    debit: int
    credit: int
    currency: str
    amount: int
    text: str = ""
    dimensions: Mapping[str, str] = field(default_factory=dict)
    customer: str | None = None
    settles: str | None = None
    item: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One document as a poster wants it. `key`: the external id (or whatever the ERP finds it by). `state`: `posted`,
    or `created` for a draft. `extra` is the face's own, kept as it is."""

    key: str
    company: str
    date: str
    currency: str
    lines: tuple[EntryLine, ...]
    text: str = ""
    reverses: str | None = None
    kind: str = "journal"
    state: str = "posted"
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Entry:
        """The way back from JSON."""
        return cls(**{**value, "lines": tuple(EntryLine(**line) for line in value["lines"])})


@dataclass(frozen=True, slots=True)
class Held:
    """A document of the ledger. `number` is None for a draft."""

    id: str
    number: str | None
    period: str
    entry: Entry

    @property
    def state(self) -> str:
        return self.entry.state


@dataclass(frozen=True, slots=True)
class Period:
    name: str
    start_date: str
    end_date: str
    state: str


class Ledger:
    """Books of any number of companies. Safe for the threads of one server; one process at a time."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("pragma journal_mode = wal")
        # A killed process loses nothing that it wrote; only a power cut would, and no trial cuts the power.
        self._connection.execute("pragma synchronous = off")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block or nothing of it; one at a time."""
        with self._lock:
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("begin immediate")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("rollback")
                raise
            self._connection.execute("commit")

    # -- masters -----------------------------------------------------------------------------------------------

    def setup(self, companies: Mapping[str, str], accounts: Iterable[str], years: Iterable[int]) -> None:
        """Companies (name -> currency), the same chart for each, and open calendar months."""
        codes, spans = list(accounts), [(y, m) for y in years for m in range(1, 13)]
        with self.transaction() as sql:
            for company, currency in companies.items():
                sql.execute("insert or replace into company values (?, ?)", (company, currency))
                sql.executemany(
                    "insert or replace into account values (?, ?, ?)", [(company, c, f"Account {c}") for c in codes]
                )
                sql.executemany(
                    "insert or ignore into period values (?, ?, ?, ?, 'open')",
                    [
                        (company, f"{y}-{m:02d}", f"{y}-{m:02d}-01", f"{y}-{m:02d}-{calendar.monthrange(y, m)[1]}")
                        for y, m in spans
                    ],
                )

    def companies(self) -> dict[str, str]:
        return dict(self._rows("select name, currency from company order by name"))

    def accounts(self, company: str) -> dict[str, str]:
        return dict(self._rows("select code, name from account where company = ? order by code", company))

    def masters(self, kind: str, company: str, codes: Sequence[str]) -> list[tuple[str, str, str]]:
        """(code, name, account) of the customers or items (`kind`) that have one of the codes."""
        marks = ", ".join("?" * len(codes))
        query = f"select code, name, account from master where kind = ? and company = ? and code in ({marks})"
        return self._rows(query, kind, company, *codes)

    def add_master(self, kind: str, company: str, code: str, name: str, account: str) -> None:
        """A customer or item. Raises sqlite3.IntegrityError if the code is there."""
        with self.transaction() as sql:
            sql.execute("insert into master values (?, ?, ?, ?, ?)", (kind, company, code, name, account))

    def periods(self, company: str) -> list[Period]:
        query = "select name, start_date, end_date, state from period where company = ? order by start_date"
        return [Period(*row) for row in self._rows(query, company)]

    def set_period(self, company: str, name: str, state: str) -> None:
        """`open` or `closed`."""
        with self.transaction() as sql:
            sql.execute("update period set state = ? where company = ? and name = ?", (state, company, name))

    def period_at(self, company: str, date: str) -> Period | None:
        return next((p for p in self.periods(company) if p.start_date <= date <= p.end_date), None)

    # -- documents ---------------------------------------------------------------------------------------------

    def add(self, entry: Entry, visible_at: float) -> Held:
        """Writes the document, without a question: the checks are `core`'s."""
        period = self.period_at(entry.company, entry.date)
        name = period.name if period else ""
        with self.transaction() as sql:
            cursor = sql.execute(
                "insert into document (key, company, period, state, body, visible_at) values (?, ?, ?, ?, ?, ?)",
                (entry.key, entry.company, name, entry.state, _dump(entry), visible_at),
            )
            return _held(int(cursor.lastrowid or 0), name, entry.state, _dump(entry))

    def set_state(self, document_id: str, state: str) -> None:
        with self.transaction() as sql:
            sql.execute("update document set state = ? where id = ?", (state, int(document_id)))

    def replace(self, document_id: str, entry: Entry) -> None:
        """Other content under the same id, as only a database user could make it."""
        with self.transaction() as sql:
            sql.execute("update document set body = ? where id = ?", (_dump(entry), int(document_id)))

    def delete(self, document_id: str) -> None:
        """As only a database user could."""
        with self.transaction() as sql:
            sql.execute("delete from document where id = ?", (int(document_id),))

    def documents(self, where: str = "true", *values: Any) -> list[Held]:
        """In order of commit; `where` over key, company, period, state, visible_at, id."""
        query = f"select id, period, state, body from document where {where} order by id"
        return [_held(*row) for row in self._rows(query, *values)]

    def count(self, where: str, *values: Any) -> int:
        """How many `documents` there are."""
        return int(self._rows(f"select count(*) from document where {where}", *values)[0][0])

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()


def month_end(date: dt.date) -> dt.date:
    """The last day of the date's month."""
    return date.replace(day=calendar.monthrange(date.year, date.month)[1])


def dump_entries(entries: Sequence[Entry]) -> str:
    """Entries as JSON, for queues that must survive."""
    return json.dumps([asdict(entry) for entry in entries])


def load_entries(text: str) -> list[Entry]:
    """The way back of `dump_entries`."""
    return [Entry.of(value) for value in json.loads(text)]


def _dump(entry: Entry) -> str:
    return json.dumps(asdict(entry))


def _held(document_id: int, period: str, state: str, body: str) -> Held:
    entry = replace(Entry.of(json.loads(body)), state=state)
    return Held(str(document_id), f"J{document_id:06d}" if state == "posted" else None, period, entry)
