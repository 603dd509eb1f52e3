"""The parts of the simulated company: its store, the network, and an ERP that misbehaves.

The posting code is the one that ships: `posting.outbox.drain`, its worker, the store's SQL. Only what lies outside the
process is simulated: time, the death of processes, the network, the ERP, and the people.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fake_erp import FakeErp
from kernel import Kernel, Killed, Task
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import StaticPool

from revenue_assets.posting.erp.port import (
    Capabilities,
    ErpError,
    Failure,
    Found,
    Journal,
    Outcome,
    PostedDocument,
)  # fmt: skip
from revenue_assets.store.engine import Store

# Seconds. A caller waits for `CALL_TIMEOUT`; the network may hold a request for `FLIGHT_MAX` and deliver it all the
# same, also after its caller died. The settle time is longer than that and the ERP's index lag together: the one
# assumption that the protocol rests on.
CALL_TIMEOUT = 10.0
FLIGHT_MAX = 20.0
LAG_MAX = 4.0
SETTLE = FLIGHT_MAX + LAG_MAX + 1.0


@dataclass(frozen=True)
class SimStore(Store):
    """The operational store as one simulated process after the other sees it; committed is committed."""

    kernel: Kernel
    hazard: Callable[[], None]
    commits: list[str]
    """Who committed, in order."""

    @contextmanager
    def write(self) -> Iterator[Connection]:
        self._give_way()
        with super().write() as connection:
            yield connection
        self.commits.append(self.kernel.current().name)
        self._give_way()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        if self.kernel.current().dead:
            raise Killed
        with super().read() as connection:
            yield connection

    def _give_way(self) -> None:
        """Before a transaction and after its commit: others may run, and this process may die or be stopped."""
        if self.kernel.current().dead:
            raise Killed
        self.hazard()
        self.kernel.sleep(self.kernel.random.uniform(0.0005, 0.01))


def sim_store(kernel: Kernel, database: bytes, hazard: Callable[[], None]) -> SimStore:
    """A store in memory with the content of `database` (a SQLite file in WAL mode)."""
    plain = bytearray(database)
    plain[18:20] = b"\x01\x01"  # a database in memory has no write-ahead log
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.deserialize(bytes(plain))
    connection.execute("pragma foreign_keys = on")
    engine = create_engine("sqlite://", poolclass=StaticPool, creator=lambda: connection)

    @event.listens_for(engine, "begin")
    def _begin(opened: Connection) -> None:
        opened.exec_driver_sql(f"begin {opened.get_execution_options().get('revenue_begin', 'immediate')}")

    return SimStore(engine, kernel, hazard, [])


class Network:
    """Carries one company's calls to the ERP. Mostly fast; sometimes late, lost, or answered after the caller left."""

    def __init__(self, kernel: Kernel, erp: FakeErp, kill: Callable[[Task], None]) -> None:
        self.kernel, self.erp, self.kill = kernel, erp, kill
        self.is_calm = False
        self.last_read: dict[str, bool] = {}
        """Key -> whether the document was as sent when the ERP last showed it."""

    def call(self, name: str, request: Callable[[], Any]) -> Any:
        """The answer of `request`, run at the ERP; TimeoutError if none came in time."""
        random, caller = self.kernel.random, self.kernel.current()
        there, back = random.uniform(0.01, 0.2), random.uniform(0.01, 0.2)
        lost = False
        if not self.is_calm and random.random() < 0.08:
            fate = random.choice(("request lost", "request late", "answer lost"))
            self.kernel.note(f"network: {name} of {caller.name}: {fate}")
            lost = fate == "request lost"
            there = random.uniform(0.01, FLIGHT_MAX) if fate == "request late" else there
            back = CALL_TIMEOUT * 2 if fate == "answer lost" else back
        if not self.is_calm and random.random() < 0.06:
            # Who dies while waiting leaves a request behind that may be slow.
            there = random.choice((there, random.uniform(0.01, FLIGHT_MAX)))
            self.kernel.after(random.uniform(0, 0.4), lambda: self.kill(caller))
        box: list[Any] = []
        waiting = [True]

        def wake() -> None:
            if waiting[0]:
                waiting[0] = False
                caller.resume()

        def arrive() -> None:
            try:
                answer: Any = request()
            except ErpError as error:
                answer = error
            self.kernel.note(f"ERP: {name}")
            self.kernel.after(back, lambda: (box.append(answer), wake()) if waiting[0] else None)

        if not lost:
            self.kernel.after(there, arrive)
        self.kernel.after(CALL_TIMEOUT, wake)
        self.kernel.main.switch()
        if caller.dead:
            raise Killed
        if not box:
            raise TimeoutError
        if isinstance(box[0], ErpError):
            raise box[0]
        return box[0]


class SimPort:
    """The ERP port over the network: a raw protocol that does not look before it creates."""

    def __init__(self, network: Network) -> None:
        self.network = network

    @property
    def capabilities(self) -> Capabilities:
        return self.network.erp.capabilities

    def submit(self, documents: Sequence[Journal]) -> tuple[Outcome, ...]:
        try:
            return self.network.call("submit", lambda: self.network.erp.submit(documents))
        except TimeoutError:
            unknown = Failure("uncertain", "No answer in time.")
            return tuple(Outcome(d.key, failure=unknown) for d in documents)

    def find(self, company: str, keys: Sequence[str]) -> dict[str, tuple[Found, ...]]:
        return self._read("find", company, keys)

    def poll(self, company: str, job_ids: Mapping[str, str]) -> tuple[Outcome, ...]:
        return self._read("poll", company, job_ids)

    def lines(self, company: str, document_ids: Sequence[str]) -> dict[str, PostedDocument]:
        answer: dict[str, PostedDocument] = self._read("lines", company, document_ids)
        made = {stored.document_id: stored.journal for stored in self.network.erp.documents}
        self.network.last_read |= {d.key: d.lines == made[i].lines for i, d in answer.items()}
        return answer

    def _read(self, name: str, *request: Any) -> Any:
        try:
            return self.network.call(name, lambda: getattr(self.network.erp, name)(*request))
        except TimeoutError:
            raise ErpError(Failure("unavailable", "No answer in time.")) from None
