"""Faults on purpose: the vendors' bad days, repeatable.

A `Fault` says which requests of one app go wrong and how. Counting is per app and per fault over the requests
whose path matches, so a run with the same requests meets the same faults; `times` bounds each one. The demo's own
set (`demo_faults`) costs a few seconds in all and makes every client's retry path run for real.

Kinds: an HTTP status (429, 500, 503, ...), `reset` (the connection closes without an answer), and two broken list
pages that no vendor sends on purpose but proxies and bugs have: `empty_page` (no rows, yet more is promised) and
`same_cursor` (the page of the first request again). What the last two look like is the app's matter.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

BROKEN_PAGES = ("empty_page", "same_cursor")


class FaultError(ValueError):
    """A fault that cannot be read; the message says which key."""


@dataclass
class Fault:
    """Every `every`-th matching request answers `status` (or a broken page), at most `times` times.

    `first` is the number of the first matching request hit (default `every`). `retry_after` is the header text in
    whole seconds, None for no header.
    """

    status: int | str
    every: int = 1
    first: int | None = None
    times: int | None = None
    path: str = ""
    retry_after: str | None = None
    seen: int = field(default=0, compare=False)
    hits: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        if self.every < 1:
            raise FaultError(f"every must be 1 or more, not {self.every}")
        if isinstance(self.status, str) and self.status not in BROKEN_PAGES:
            raise FaultError(f"status must be a number or one of {BROKEN_PAGES}, not {self.status!r}")

    def strikes(self, path: str) -> bool:
        """Count the request if it matches and say whether this one goes wrong."""
        if self.path and not re.search(self.path, path):
            return False
        self.seen += 1
        if self.times is not None and self.hits >= self.times:
            return False
        first = self.every if self.first is None else self.first
        if self.seen < first or (self.seen - first) % self.every:
            return False
        self.hits += 1
        return True

    @classmethod
    def parse(cls, value: dict[str, Any]) -> Fault:
        """From JSON config. Unknown keys are refused, so that a typo cannot switch a fault off unseen."""
        allowed = {"status", "every", "first", "times", "path", "retry_after"}
        if unknown := set(value) - allowed:
            raise FaultError(f"unknown key {sorted(unknown)[0]!r} in a fault; known: {sorted(allowed)}")
        if "status" not in value:
            raise FaultError("a fault needs a status")
        retry_after = value.get("retry_after")
        return cls(**{**value, "retry_after": None if retry_after is None else str(retry_after)})


class RateLimit:
    """A token bucket per caller: `per_second` on average, `burst` at once. Real clock, since clients wait for real."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_second
        self._burst = burst
        self._clock = clock
        self._state: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def admits(self, caller: str) -> bool:
        """Take one token of the caller's bucket; False when it is empty."""
        with self._lock:
            now = self._clock()
            tokens, at = self._state.get(caller, (float(self._burst), now))
            tokens = min(self._burst, tokens + (now - at) * self._rate)
            admitted = tokens >= 1
            self._state[caller] = (tokens - 1 if admitted else tokens, now)
            return admitted


class Weather:
    """The faults and limits of one app; thread-safe, changeable while it serves."""

    def __init__(self, faults: list[Fault] | None = None, limit: RateLimit | None = None) -> None:
        self.faults: list[Fault] = list(faults or [])
        self.limit = limit
        self._lock = threading.Lock()

    def next_fault(self, path: str) -> Fault | None:
        """Count a request against every fault; the first that strikes wins."""
        with self._lock:
            struck = [fault for fault in self.faults if fault.strikes(path)]
        return struck[0] if struck else None


def demo_faults() -> dict[str, list[Fault]]:
    """The default demo's faults: a handful of 429s for each vendor and one 5xx, about ten seconds in all."""
    return {
        "salesforce": [
            Fault(429, first=4, every=9, times=2, path="/query", retry_after="1"),
            Fault(503, first=8, every=1000, times=1, path="/query", retry_after="1"),
        ],
        "stripe": [
            Fault(429, first=7, every=101, times=4, path="^/v1/", retry_after="1"),
            Fault(500, first=60, every=1000, times=1, path="^/v1/"),
        ],
        "avalara": [
            Fault(429, first=2, every=5, times=2, path="/transactions", retry_after="1"),
            Fault(503, first=4, every=1000, times=1, path="/transactions", retry_after="1"),
        ],
    }
