"""Requests to an ERP at a bounded rate, whatever the adapter: a transport that waits before it sends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from decimal import Decimal

import httpx


class PacedTransport(httpx.BaseTransport):
    """Sends at most one request every `interval_seconds`, in the order in which they come; bursts are spread out.

    `now` and `sleep` are replaced in tests. Safe for use by several threads.
    """

    def __init__(
        self,
        inner: httpx.BaseTransport,
        interval_seconds: float,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._inner, self._interval, self._now, self._sleep = inner, interval_seconds, now, sleep
        self._lock = threading.Lock()
        self._next = 0.0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            at = max(self._now(), self._next)
            self._next = at + self._interval
        wait = at - self._now()
        if wait > 0:
            self._sleep(wait)
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


def paced(requests_per_second: str | None) -> httpx.BaseTransport | None:
    """The transport for a rate such as "2.5"; None, httpx's own, without a limit."""
    if requests_per_second is None:
        return None
    return PacedTransport(httpx.HTTPTransport(trust_env=False), float(1 / Decimal(requests_per_second)))
