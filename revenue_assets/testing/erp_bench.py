"""What the ERP conformance suite must be given: a port to try, and a way to look at the ledger past that port."""

from __future__ import annotations

import datetime as dt
import itertools
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import httpx

from revenue_assets.posting.erp.port import ErpPort, Journal, Line, Outcome

# What happens to the first write; `dead_reads`: no read is answered.
Fault = Literal["auth", "throttled", "unavailable", "server_error", "lost_request", "lost_answer", "dead_reads"]
POLLS_MAX = 400
# What a throttled write is told to wait.
RETRY_AFTER = 7
_numbers = itertools.count(1)


@dataclass(frozen=True)
class ErpBench:
    """One ERP to try, set up with a company, three accounts and open periods.

    exponents: minor-unit digits by currency; `foreign` are currencies other than the company's that lines may have,
    best of 0, 2 and 3 digits. date: a day in an open period. closable: another month (`YYYY-MM`) of the company, whose
    period the suite may close and open again. period_name: the ERP's own name of a month. port: a new adapter, as the
    product would make it.

    The rest looks at the ledger, or changes it, as its own people would, never through the adapter. copies: key ->
    documents that carry it. alter: makes one posted document different by one minor unit on two lines. origin: id of
    the document that this one is recorded to reverse. set_period: month, `open` or `closed`. settle: lets queued work
    end. faulty: an adapter whose next write meets the fault (HTTP adapters; see `HttpErpConformance`).
    """

    company: str
    currency: str
    exponents: Mapping[str, int]
    accounts: tuple[str, str, str]
    date: dt.date
    closable: str
    port: Callable[[], ErpPort]
    copies: Callable[[Sequence[str]], Mapping[str, int]]
    alter: Callable[[str], None]
    origin: Callable[[str], str | None]
    set_period: Callable[[str, str], None]
    foreign: tuple[str, ...] = ()
    period_name: Callable[[str], str] = lambda month: month
    settle: Callable[[], None] = lambda: None
    faulty: Callable[[Fault], ErpPort] | None = None

    @property
    def period(self) -> str:
        """The ERP's name of the period that the suite posts into."""
        return self.period_name(f"{self.date:%Y-%m}")

    def journal(self, *amounts: int, currency: str | None = None, **changes: object) -> Journal:
        """A journal of signed minor units, debit positive, over the accounts in turn; balanced amounts please.

        With `currency` the lines carry the same digits in it: what an ERP must keep apart and not convert.
        """
        amounts = amounts or (12_345, -10_000, -2_345)
        code = currency or self.currency
        lines = tuple(
            Line(n, self.accounts[(n - 1) % 3], max(a, 0), max(-a, 0), code, a, f"line {n}")
            for n, a in enumerate(amounts, start=1)
        )
        made = Journal(new_key(), self.company, self.date, f"{self.date:%Y-%m}", self.currency, lines, "conformance")
        return replace(made, **changes)  # type: ignore[arg-type]

    def brought_in(self, port: ErpPort, documents: Sequence[Journal]) -> list[Outcome]:
        """Submits and follows accepted documents until they have an outcome, as the worker does."""
        outcomes = {o.key: o for o in port.submit(documents)}
        for _ in range(POLLS_MAX):
            waiting = [o for o in outcomes.values() if o.state in ("accepted", "created") and o.failure is None]
            if not waiting:
                break
            self.settle()
            queued = {o.key: o.job_id or "" for o in waiting if o.state == "accepted"}
            outcomes |= {o.key: o for o in port.poll(self.company, queued)} if queued else {}
            drafts = [o.key for o in waiting if o.state == "created"]
            for key, hits in (port.find(self.company, drafts) if drafts else {}).items():
                if len(hits) == 1:
                    outcomes[key] = replace(
                        outcomes[key], state=hits[0].state, document_id=hits[0].document_id, number=hits[0].number
                    )
            time.sleep(0.01)
        return [outcomes[d.key] for d in documents]


def new_key(length: int = 32) -> str:
    """A key that no other test has used, of `length` characters."""
    text = f"rev{next(_numbers):05d}{uuid.uuid4().hex}"
    return (text * (length // len(text) + 1))[:length]


class FaultyTransport(httpx.BaseTransport):
    """A network that spoils the first write it sees and is sound afterwards, or answers nothing at all.

    `is_write` tells a write from a read; `throttled`: how this ERP says "too many requests", 429 if nothing is said."""

    def __init__(
        self,
        fault: Fault,
        is_write: Callable[[httpx.Request], bool],
        throttled: Callable[[], httpx.Response] = lambda: httpx.Response(
            429, headers={"Retry-After": f"{RETRY_AFTER}"}, text="{}"
        ),
    ) -> None:
        self._fault, self._is_write, self._throttled = fault, is_write, throttled
        self._inner = httpx.HTTPTransport()
        self.spoilt = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._fault == "dead_reads":
            raise httpx.ConnectError("nobody listens", request=request)
        if self.spoilt or not self._is_write(request):
            return self._inner.handle_request(request)
        self.spoilt += 1
        match self._fault:
            case "auth":
                return httpx.Response(403, text="{}")
            case "throttled":
                return self._throttled()
            case "unavailable":
                raise httpx.ConnectError("nobody listens", request=request)
            case "server_error":
                return httpx.Response(500, text="{}")
            case "lost_request":
                raise httpx.ReadError("the connection broke", request=request)
        response = self._inner.handle_request(request)
        response.read()
        response.close()
        raise httpx.RemoteProtocolError("the connection broke", request=request)

    def close(self) -> None:
        self._inner.close()
