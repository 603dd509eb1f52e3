"""An ERP in memory with the behaviours that break posters. It keeps no promise that `faults` does not give it.

A raw protocol, not a helpful adapter: `submit` does not look before it creates unless the ERP itself remembers keys.
Time is the test's clock: `tick()` of every call makes late commits and index lag happen.
"""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from revenue_assets.posting.erp.port import (
    Capabilities,
    ErpError,
    Failure,
    Found,
    Journal,
    Outcome,
    PostedDocument,
)  # fmt: skip


@dataclass(frozen=True)
class Faults:
    """What this ERP does wrong. Seconds; probabilities per call."""

    remembers_keys: bool = True
    forgets_at_restart: bool = False
    unique_id: bool = False
    index_lag: float = 0.0
    late_commit: float = 0.0
    drop_after_commit: float = 0.0
    storm_before: float = 0.0
    storm_after: float = 0.0
    throttle: float = 0.0
    settle: float = 0.3


# The columns of the kill matrix, and the two that need no kill.
BEHAVIOURS: dict[str, Faults] = {
    "ideal": Faults(),
    "key_expired": Faults(forgets_at_restart=True),
    "index_lag": Faults(index_lag=0.15),
    "no_key": Faults(remembers_keys=False),
    "no_key_late": Faults(remembers_keys=False, late_commit=0.06),
    "expired_lag": Faults(forgets_at_restart=True, index_lag=0.15),
    "unique_id": Faults(remembers_keys=False, unique_id=True, late_commit=0.06),
    "drop_after_commit": Faults(remembers_keys=False, drop_after_commit=0.4, index_lag=0.1),
    "storms": Faults(remembers_keys=False, storm_before=0.3, storm_after=0.3, throttle=0.2, index_lag=0.1),
}  # fmt: skip


@dataclass
class Stored:
    journal: Journal
    document_id: str
    visible_at: float


class Killed(BaseException):
    """Stands for the caller's death at a protocol phase in single-process tests."""


@dataclass
class FakeErp:
    """Documents by order of commit. `phase` is called at received, committed and replied; it may kill the caller."""

    clock: Callable[[], dt.datetime]
    faults: Faults = field(default_factory=Faults)
    seed: int = 0
    batch_size_max: int = 10
    posts_itself: bool = False
    mode: str = "sync"
    phase: Callable[[str], None] = lambda name: None
    alter: Callable[[PostedDocument], PostedDocument | None] = lambda document: document
    refuse: dict[str, Failure] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.documents: list[Stored] = []
        self.in_flight: list[tuple[float, list[Journal]]] = []
        self.memory: dict[str, str] = {}
        self.calls: Counter[str] = Counter()
        self.down: Failure | None = None
        self.jobs: dict[str, tuple[float, Journal]] = {}

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            vendor="fake",
            mode="async" if self.mode == "async" else "sync",
            key_length_max=64,
            key_unique=self.faults.unique_id,
            atomic_unit="document",
            batch_size_max=self.batch_size_max,
            writer_scope="company",
            posts_itself=self.posts_itself,
            settle_seconds=self.faults.settle,
        )

    # What the test looks at.

    def copies(self) -> Counter[str]:
        """Key -> documents that carry it, late commits included."""
        self.tick(everything=True)
        return Counter(s.journal.key for s in self.documents)

    def restart(self) -> None:
        """Some time later: an expiring key memory is empty now."""
        if self.faults.forgets_at_restart:
            self.memory.clear()

    def tick(self, *, everything: bool = False) -> None:
        now = self._now()
        for item in list(self.in_flight):
            if everything or item[0] <= now:
                self.in_flight.remove(item)
                for journal in item[1]:
                    self._create(journal, item[0])

    # The port.

    def submit(self, documents: Sequence[Journal]) -> tuple[Outcome, ...]:
        self.calls["submit"] += 1
        self.tick()
        blocked = self._blocked()
        if blocked is not None:
            return tuple(Outcome(d.key, failure=blocked) for d in documents)
        if self.mode == "async":
            return tuple(self._queue(d) for d in documents)
        try:
            self.phase("received")
        except Killed:
            self._commit_after_death(list(documents))
            raise
        out = [self._take(d) for d in documents]
        self.phase("committed")
        if self.random.random() < self.faults.drop_after_commit + self.faults.storm_after:
            lost = Failure("uncertain", "The connection broke while the answer was on its way.")
            return tuple(Outcome(d.key, failure=lost) for d in documents)
        self.phase("replied")
        return tuple(out)

    def find(self, company: str, keys: Sequence[str]) -> dict[str, tuple[Found, ...]]:
        self.calls["find"] += 1
        self.tick()
        self._raise_if_blocked()
        now, wanted = self._now(), set(keys)
        out: dict[str, list[Found]] = {}
        for stored in self.documents:
            if stored.journal.key in wanted and stored.journal.company == company and stored.visible_at <= now:
                out.setdefault(stored.journal.key, []).append(
                    Found(stored.journal.key, stored.document_id, f"N{stored.document_id}", "posted")
                )
        return {key: tuple(found) for key, found in out.items()}

    def poll(self, company: str, job_ids: Mapping[str, str]) -> tuple[Outcome, ...]:
        self.calls["poll"] += 1
        out = []
        for key, job in job_ids.items():
            ready, journal = self.jobs[job]
            if ready > self._now():
                out.append(Outcome(key, state="accepted", job_id=job))
            else:
                out.append(self._take(journal))
        return tuple(out)

    def lines(self, company: str, document_ids: Sequence[str]) -> dict[str, PostedDocument]:
        self.calls["lines"] += 1
        self.tick()
        self._raise_if_blocked()
        out = {}
        for stored in self.documents:
            if stored.document_id in set(document_ids) and stored.visible_at <= self._now():
                j = stored.journal
                held = self.alter(
                    PostedDocument(
                        j.key,
                        stored.document_id,
                        f"N{stored.document_id}",
                        "posted",
                        j.company,
                        j.accounting_date,
                        j.period,
                        j.functional_currency,
                        j.lines,
                    )
                )
                if held is not None:
                    out[stored.document_id] = held
        return out

    def _blocked(self) -> Failure | None:
        if self.down is not None:
            return self.down
        if self.random.random() < self.faults.throttle:
            return Failure("throttled", "Too many requests.", retry_after=0.05)
        if self.random.random() < self.faults.storm_before:
            return Failure("unavailable", "The ERP answered 503.")
        return None

    def _raise_if_blocked(self) -> None:
        blocked = self._blocked()
        if blocked is not None:
            raise ErpError(blocked)

    def _queue(self, journal: Journal) -> Outcome:
        job = f"job-{journal.key}"
        if job not in self.jobs or not self.faults.remembers_keys:
            self.jobs[job] = (self._now() + 1.0, journal)
        return Outcome(journal.key, state="accepted", job_id=job)

    def _take(self, journal: Journal) -> Outcome:
        if journal.key in self.refuse:
            return Outcome(journal.key, failure=self.refuse[journal.key])
        if self.faults.remembers_keys and journal.key in self.memory:
            number = self.memory[journal.key]
            return Outcome(journal.key, "posted", number, f"N{number}", already_there=True)
        known = [s.document_id for s in self.documents if s.journal.key == journal.key] if self.faults.unique_id else []
        number = known[0] if known else self._create(journal)
        return Outcome(journal.key, "posted", number, f"N{number}", already_there=bool(known))

    def _create(self, journal: Journal, at: float | None = None) -> str:
        if self.faults.unique_id and any(s.journal.key == journal.key for s in self.documents):
            return next(s.document_id for s in self.documents if s.journal.key == journal.key)
        number = str(len(self.documents) + 1)
        visible = (self._now() if at is None else at) + self.random.uniform(0, self.faults.index_lag)
        self.documents.append(Stored(journal, number, visible))
        self.memory[journal.key] = number
        return number

    def _commit_after_death(self, documents: list[Journal]) -> None:
        """The request was received; the caller is gone. It may commit all the same, and later than anybody thinks."""
        if self.faults.late_commit and self.random.random() < 0.8:
            self.in_flight.append((self._now() + self.random.uniform(0, self.faults.late_commit), documents))
        elif self.random.random() < 0.5:
            for journal in documents:
                self._take(journal)

    def _now(self) -> float:
        return self.clock().timestamp()


def cent(document: PostedDocument) -> PostedDocument:
    """One minor unit more on two lines, so that the document still balances."""
    debit = next(x for x in document.lines if x.debit)
    credit = next(x for x in document.lines if x.credit)
    changed = {
        debit.line_no: replace(debit, debit=debit.debit + 1, amount_tc=debit.amount_tc + 1),
        credit.line_no: replace(credit, credit=credit.credit + 1, amount_tc=credit.amount_tc - 1),
    }  # fmt: skip
    return replace(document, lines=tuple(changed.get(x.line_no, x) for x in document.lines))
