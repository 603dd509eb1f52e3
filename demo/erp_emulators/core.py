"""The vendor-neutral ERP behind every protocol face: durable books, seeded misbehaviour, traps that kill the caller.

Interface for a face (one module, see `rest`):

    class MyFace(Face):                                   # demo.erp_emulators.face
        def answer(self, request) -> Response             # one request; raise or let through the two below
        def refused(self, error: Refused) -> Response     # the ERP's own words for a refusal; `error.code` is closed
    self.erp.take(entries, remember=key)   -> list[Held]  # create (all or nothing), with every fault on the way
    self.erp.perform(commit, later)        -> its result  # a write of something else, with the same faults
    self.erp.enqueue(entries, remember=key) -> job id     # asynchronous ERPs; self.erp.job(id) -> Job
    self.erp.post(ids)                     -> list[Held]  # drafts (Entry.state "created") into the ledger
    self.erp.find(company, keys)           -> list[Held]  # what a search shows now (index lag)
    self.erp.read(company, ids)            -> list[Held]  # documents by id, altered if the behaviour says so
    self.erp.visible(company, period)      -> list[Held]  # posted documents of a period, for balances and extracts
    self.erp.listed(company, period, after, limit) -> page, total      # documents of a period, page by page
    self.erp.everything(altered=...)       -> list[Held]  # all of them, for a query language
    self.erp.ledger.accounts/periods/companies(...)       # masters
`Refused.code`: see CODES. `HangUp` closes the connection without an answer. Throttling, storms, outage and the
concurrency limit are met before `answer` is called. Tests look with `documents()`, `copies()`, and set `behaviour`,
`down`, `trap`. Time is `clock` (seconds), so that a simulated clock drives lag, late commits and jobs too.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from demo.erp_emulators import receivables
from demo.erp_emulators.behaviour import ALTERATIONS, Behaviour
from demo.erp_emulators.ledger import Entry, Held, Ledger, dump_entries, load_entries
from demo.simulators.server import HangUp

T = TypeVar("T")
# Refusals by code, with the HTTP status that a plain REST API would give them.
CODES: dict[str, int] = {
    "throttled": 429,
    "unavailable": 503,
    "server_error": 500,
    "gateway_timeout": 504,
    "unauthorised": 401,
    "duplicate": 409,
    "key_reused": 422,
    "period_closed": 422,
    "no_period": 422,
    "unbalanced": 422,
    "unknown_account": 422,
    "unknown_customer": 422,
    "unknown_item": 422,
    "unknown_invoice": 422,
    "not_open": 422,
    "stale_version": 409,
    "recognised": 422,
    "unknown_company": 404,
    "unknown_document": 404,
    "invalid": 422,
}
STORM_CODES = ("unavailable", "server_error", "gateway_timeout")
PHASES = ("asked", "received", "committed", "replied")


class Refused(Exception):
    """A request the ERP did not serve (or says so). `code` is one of CODES."""

    def __init__(self, code: str, message: str, *, retry_after: float | None = None, document: str = "") -> None:
        super().__init__(message)
        self.code, self.status = code, CODES[code]
        self.retry_after, self.document = retry_after, document


@dataclass
class Trap:
    """At the `nth` time that a request comes to `phase`, the process `pid` gets `signal`."""

    phase: str
    nth: int
    pid: int
    signal: int = signal.SIGKILL

    def __post_init__(self) -> None:
        if self.phase not in PHASES:
            raise ValueError(f"phase must be one of {PHASES}, not {self.phase!r}")


@dataclass(frozen=True)
class Job:
    """Queued work. `done`: with documents, or with the reason why there are none."""

    id: str
    state: Literal["queued", "done", "failed"]
    documents: tuple[Held, ...] = ()
    error: str = ""


class Emulator:
    """One ERP. Its faults come from `behaviour` and `seed`; the same requests meet the same ones.
    `rules` raises Refused for what this ERP refuses besides."""

    def __init__(
        self, path: Path, behaviour: Behaviour | None = None, seed: int = 0, clock: Callable[[], float] = time.time,
        rules: Callable[[Entry], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self.ledger = Ledger(path)
        self.behaviour = behaviour or Behaviour()
        self.clock, self._rules = clock, rules
        self.seed = seed
        self.dice = random.Random(seed)
        self.down = False
        self.trap: Trap | None = None
        self.calls: Counter[str] = Counter()
        self._busy = 0
        self._lock = threading.RLock()
        self._thread = threading.local()

    # -- what tests look at and turn ---------------------------------------------------------------------------

    def documents(self) -> list[Held]:
        """Everything that is or ever will be in the books, as it was committed."""
        self.settle()
        return self.ledger.documents()

    def copies(self) -> Counter[str]:
        """Key -> documents that carry it, late commits included."""
        return Counter(held.entry.key for held in self.documents())

    def one(self, document_id: str) -> Held:
        """A document as it was committed."""
        return self._by_id([document_id])[0]

    def settle(self) -> None:
        """What is still in flight commits now, and queued jobs end."""
        self.tick(everything=True)

    def restart(self) -> None:
        """Some time later: a key memory that expires is empty."""
        if self.behaviour.forgets_at_restart:
            with self.ledger.transaction() as sql:
                sql.execute("delete from memory")

    # -- every request -----------------------------------------------------------------------------------------

    @contextmanager
    def request(self) -> Iterator[None]:
        """Around one request: outage, limits and storms before any work, and the end of the caller after its answer."""
        self.calls["requests"] += 1
        self._thread.wrote = False
        with self._lock:
            self._busy += 1
        try:
            self.tick()
            self._spring("asked")
            self._weather()
            yield
        finally:
            with self._lock:
                self._busy -= 1

    def replied(self) -> None:
        """The answer of this thread's request has left."""
        if getattr(self._thread, "wrote", False):
            self._spring("replied")

    def _weather(self) -> None:
        how, wait = self.behaviour, self.behaviour.retry_after
        if self.down:
            self.calls["refused: down"] += 1
            raise Refused("unavailable", "The service is down for maintenance.")
        if how.concurrency_max and self._busy > how.concurrency_max:
            self.calls["refused: throttled"] += 1
            raise Refused("throttled", "Too many requests at a time.", retry_after=wait)
        if self._happens(how.throttle):
            self.calls["refused: throttled"] += 1
            raise Refused("throttled", "Too many requests.", retry_after=wait)
        if self._happens(how.storm_before):
            self._storm()

    def _storm(self) -> None:
        self.calls["refused: storm"] += 1
        with self._lock:
            code = self.dice.choice(STORM_CODES)
        raise Refused(code, "Something went wrong.")

    # -- writes ------------------------------------------------------------------------------------------------

    def take(self, entries: Sequence[Entry], *, remember: str | None = None, durable: bool = False) -> list[Held]:
        """Creates the documents, all or nothing. Raises Refused or HangUp; they may be there all the same.

        `durable`: the request lies safe with the ERP (a file), so that its caller's death changes nothing of it.
        """
        self.calls["take"] += 1
        self._thread.wrote = True
        if self._spring("received") and not durable:
            self._orphaned(entries, remember)
        if self.behaviour.gateway and self._happens(self.behaviour.gateway):
            self._check(entries)
            self._check_unique(entries)
            self._later(entries, remember)
            raise Refused("gateway_timeout", "The upstream server did not answer in time.")
        held = self._commit(entries, remember)
        self._after_commit()
        return held

    def post(self, document_ids: Sequence[str]) -> list[Held]:
        """Drafts into the ledger."""
        self.calls["post"] += 1
        self._thread.wrote = True
        if self._spring("received"):
            raise HangUp
        with self.ledger.transaction():
            for held in self._by_id(document_ids):
                self._check([held.entry])
                self.ledger.set_state(held.id, "posted")
        self._after_commit()
        return self._by_id(document_ids)

    def enqueue(self, entries: Sequence[Entry], *, remember: str | None = None) -> str:
        """Takes the documents into the queue; a refusal shows in the job."""
        self.calls["take"] += 1
        self._thread.wrote = True
        dead = self._spring("received")
        if dead and self._happens(0.5):
            raise HangUp
        due = self.clock() + (self.behaviour.late_commit if dead else 0.0) + self.behaviour.job_seconds
        with self.ledger.transaction() as sql:
            known = None
            if remember is not None and self.behaviour.remembers_keys:
                known = sql.execute("select id from job where memory = ? and error is null", (remember,)).fetchone()
            if known is None:
                cursor = sql.execute(
                    "insert into job (due, memory, body) values (?, ?, ?)", (due, remember, dump_entries(entries))
                )
            job = str(known[0] if known else cursor.lastrowid)
        if dead:
            raise HangUp
        self._after_commit()
        return job

    def job_of(self, remember: str) -> str | None:
        """The job that was queued under this idempotency key, as long as it is remembered."""
        if not self.behaviour.remembers_keys:
            return None
        with self.ledger.transaction() as sql:
            row = sql.execute("select id from job where memory = ?", (remember,)).fetchone()
        return str(row[0]) if row else None

    def job(self, job_id: str) -> Job | None:
        """How far the queued work is; None if there is no such job."""
        self.tick()
        with self.ledger.transaction() as sql:
            row = sql.execute("select ids, error from job where id = ?", (int(job_id),)).fetchone()
        if row is None:
            return None
        if row[0] is None:
            return Job(job_id, "failed", error=row[1]) if row[1] else Job(job_id, "queued")
        return Job(job_id, "done", tuple(self._by_id(json.loads(row[0]))))

    def perform(self, commit: Callable[[], T], later: Callable[[float], None]) -> T:
        """A write of something that is no document, with every fault on the way. `commit` does it; `later` keeps it
        until an instant, as what is in flight when its caller dies or a gateway gives up."""
        self.calls["take"] += 1
        self._thread.wrote = True
        how, in_flight = self.behaviour, self.clock() + self.dice.uniform(0, self.behaviour.late_commit)
        if self._spring("received"):
            if how.late_commit and self._happens(0.8):
                later(in_flight)
            elif self._happens(0.5):
                commit()
            raise HangUp
        if how.gateway and self._happens(how.gateway):
            later(in_flight)
            raise Refused("gateway_timeout", "The upstream server did not answer in time.")
        made = commit()
        self._after_commit()
        return made

    def _after_commit(self) -> None:
        if self._spring("committed"):
            raise HangUp
        if self._happens(self.behaviour.drop_after_commit):
            self.calls["dropped"] += 1
            raise HangUp
        if self._happens(self.behaviour.storm_after):
            self._storm()

    def _orphaned(self, entries: Sequence[Entry], remember: str | None) -> None:
        """The request was received and the caller is gone: it may commit now, later than anybody thinks, or never."""
        if self.behaviour.late_commit and self._happens(0.8):
            self._later(entries, remember)
        elif self._happens(0.5):
            self._commit(entries, remember)
        raise HangUp

    def _later(self, entries: Sequence[Entry], remember: str | None) -> None:
        with self._lock:
            due = self.clock() + self.dice.uniform(0, self.behaviour.late_commit)
        with self.ledger.transaction() as sql:
            sql.execute(
                "insert into in_flight (due, memory, body) values (?, ?, ?)", (due, remember, dump_entries(entries))
            )

    def _commit(self, entries: Sequence[Entry], remember: str | None, at: float | None = None) -> list[Held]:
        now = self.clock() if at is None else at
        with self.ledger.transaction() as sql:
            if remember is not None and self.behaviour.remembers_keys:
                known = sql.execute("select ids from memory where key = ?", (remember,)).fetchone()
                if known:
                    self.calls["remembered"] += 1
                    return self._remembered(json.loads(known[0]), entries)
            self._check(entries)
            self._check_unique(entries)
            with self._lock:
                lags = [self.dice.uniform(0, self.behaviour.index_lag) for _ in entries]
            held = [self.ledger.add(entry, now + lag) for entry, lag in zip(entries, lags, strict=True)]
            if remember is not None:
                ids = json.dumps([one.id for one in held])
                sql.execute("insert or replace into memory values (?, ?, ?)", (remember, ids, now))
        return held

    def _remembered(self, ids: list[str], entries: Sequence[Entry]) -> list[Held]:
        """The first answer again; the same key with other content is refused, as payment systems do."""
        held = self._by_id(ids)
        if [h.entry.lines for h in held] != [e.lines for e in entries]:
            raise Refused("key_reused", "This idempotency key was used for another document.")
        return held

    def _check(self, entries: Sequence[Entry]) -> None:
        companies = self.ledger.companies()
        for entry in entries:
            if entry.company not in companies:
                raise Refused("unknown_company", f"Company {entry.company} does not exist.", document=entry.key)
            accounts = self.ledger.accounts(entry.company)
            unknown = sorted({x.account for x in entry.lines} - set(accounts))
            if unknown:
                raise Refused("unknown_account", f"Account {unknown[0]} does not exist.", document=entry.key)
            if not entry.lines or sum(x.debit - x.credit for x in entry.lines):
                raise Refused("unbalanced", "Debits and credits do not balance.", document=entry.key)
            period = self.ledger.period_at(entry.company, entry.date)
            if period is None:
                raise Refused("no_period", f"There is no period for {entry.date}.", document=entry.key)
            if period.state != "open":
                raise Refused("period_closed", f"Period {period.name} is closed.", document=entry.key)
            self._rules(entry)
            receivables.check(self.ledger, entry, Refused)

    def _check_unique(self, entries: Sequence[Entry]) -> None:
        for entry in entries if self.behaviour.unique_id else ():
            if self.ledger.documents("company = ? and key = ?", entry.company, entry.key):
                raise Refused("duplicate", f"A document {entry.key} already exists.", document=entry.key)

    # -- reads -------------------------------------------------------------------------------------------------

    def find(self, company: str, keys: Sequence[str]) -> list[Held]:
        """Documents that carry one of the keys, as far as the index has them."""
        self.calls["find"] += 1
        marks = ", ".join("?" * len(keys))
        return self.ledger.documents(
            f"company = ? and key in ({marks}) and visible_at <= ?", company, *keys, self.clock()
        )

    def read(self, company: str, document_ids: Sequence[str]) -> list[Held]:
        """Documents by their id, as this ERP shows them."""
        self.calls["read"] += 1
        return [
            self._shown(held)
            for held in self._by_id([i for i in document_ids if i.isdigit()])
            if held.entry.company == company
        ]

    def visible(self, company: str, period: str) -> list[Held]:
        """Posted documents of a period, as far as the index has them."""
        query = "company = ? and period = ? and state = 'posted' and visible_at <= ?"
        return [self._shown(held) for held in self.ledger.documents(query, company, period, self.clock())]

    def listed(self, company: str, period: str, after: int, limit: int) -> tuple[list[Held], int]:
        """Documents of a period behind the id `after`, drafts too, and how many the period has in all."""
        query = "company = ? and period = ? and visible_at <= ?"
        values = (company, period, self.clock())
        page = self.ledger.documents(f"{query} and id > {after}", *values)[:limit]
        return [self._shown(held) for held in page], self.ledger.count(query, *values)

    def everything(self, *, altered: bool) -> list[Held]:
        """All documents that the index has, drafts too, for an ERP that is read with a query language."""
        held = self.ledger.documents("visible_at <= ?", self.clock())
        return [self._shown(one) for one in held] if altered else held

    def _shown(self, held: Held) -> Held:
        name = self.behaviour.alter
        return ALTERATIONS[name](held, random.Random(f"{self.seed}:{name}:{held.id}")) if name else held

    def _by_id(self, ids: Sequence[str]) -> list[Held]:
        marks = ", ".join("?" * len(ids))
        return self.ledger.documents(f"id in ({marks})", *(int(i) for i in ids))

    # -- time --------------------------------------------------------------------------------------------------

    def tick(self, *, everything: bool = False) -> None:
        """Late commits and jobs whose time has come. What the books refuse by now never happened."""
        now = self.clock()
        until = float("inf") if everything else now
        with self.ledger.transaction() as sql:
            query = "select id, due, memory, body from in_flight where due <= ? order by due"
            for number, due, memory, body in sql.execute(query, (until,)).fetchall():
                sql.execute("delete from in_flight where id = ?", (number,))
                try:
                    self._commit(load_entries(body), memory, min(due, now))
                except Refused:
                    self.calls["late and refused"] += 1
            query = "select id, due, body from job where due <= ? and ids is null and error is null order by due"
            for number, due, body in sql.execute(query, (until,)).fetchall():
                try:
                    ids = json.dumps([held.id for held in self._commit(load_entries(body), None, min(due, now))])
                    sql.execute("update job set ids = ? where id = ?", (ids, number))
                except Refused as error:
                    sql.execute("update job set error = ? where id = ?", (f"{error.code}: {error}", number))

    def _happens(self, share: float) -> bool:
        if not share:
            return False
        with self._lock:
            return self.dice.random() < share

    def _spring(self, phase: str) -> bool:
        """Springs the trap if this is its moment; True if the caller is dead now (a stopped one lives)."""
        with self._lock:
            trap = self.trap
            if trap is None or trap.phase != phase:
                return False
            trap.nth -= 1
            if trap.nth > 0:
                return False
            self.trap = None
        self.calls[f"trap: {phase}"] += 1
        try:
            os.kill(trap.pid, trap.signal)
        except ProcessLookupError:
            return False
        return trap.signal == signal.SIGKILL
