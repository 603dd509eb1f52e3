"""Closed classes of posting failures: who owns one, may it retry, and what to do next. Pure.

Only `auth`, `throttled`, `unavailable` and `uncertain` may retry; the last two only after a look-up, because the
document may be in the ERP. Everything else is for a person: a second try of the same content gives the same answer.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple


class FailureClass(NamedTuple):
    """`retry`: may be sent again by the machine. `look_up_first`: the ERP may hold the document."""

    name: str
    retry: bool
    look_up_first: bool
    owner: str
    next_step: str


_CLASSES = (
    FailureClass(
        "auth", True, False, "Integration", "Check the ERP user's credentials and rights; posting goes on by itself."
    ),
    FailureClass("throttled", True, False, "Integration", "Nothing to do: the ERP asked us to slow down."),
    FailureClass("unavailable", True, True, "Integration", "Check that the ERP is up; posting goes on by itself."),
    FailureClass("uncertain", True, True, "Integration", "Look the document up in the ERP by its key, then replay."),
    FailureClass(
        "period_closed",
        False,
        False,
        "Controller",
        "Reopen the period where it is closed, then replay; what is not booked yet goes to the first open one.",
    ),
    FailureClass(
        "recognised_already",
        False,
        False,
        "Revenue accounting",
        "The ERP has recognised another amount for a past day: take that back there and replay, or close the period "
        "here, so that the difference moves to the first open one in a new version.",
    ),
    FailureClass(
        "mapping_missing",
        False,
        False,
        "Revenue accounting",
        "Add the account, company or currency mapping, then replay.",
    ),
    FailureClass("invalid", False, False, "Integration", "Read the ERP's message, correct the cause, then replay."),
    FailureClass(
        "conflict", False, True, "Integration", "The key is in the ERP with other content: compare the two documents."
    ),
    FailureClass(
        "readback_mismatch",
        False,
        True,
        "Integration",
        "The ERP's document differs from the batch: compare, correct it there.",
    ),
    FailureClass(
        "unposted",
        False,
        True,
        "Controller",
        "The ERP holds the document, unposted for a day: approve it there, or find out why it was rejected.",
    ),
    FailureClass(
        "unsupported", False, False, "Integration", "The ERP adapter cannot do this; post it by hand or extend it."
    ),
)
CLASSES: dict[str, FailureClass] = {c.name: c for c in _CLASSES}

# Owners of exceptions that are not ERP answers, by variance or booking class; ACCOUNTING section 13 owns the rest.
EXCEPTION_OWNERS: dict[str, str] = {
    "schema_invalid": "Data platform",
    "conflict": "Data platform",
    "duplicate": "Data platform",
    "unknown_reference": "Data platform",
    "unbalanced_entry": "Data platform",
    "mapping_missing": "Revenue accounting",
    "closed_period": "Controller",
    "closed_period_material": "Controller",
    "rejected": "Revenue accounting",
    "deferred_posting": "Revenue accounting",
    "cut_over_missing": "Revenue accounting",
}
# Nobody's exception is somebody's: a class without an owner goes to those who run the platform.
FALLBACK_OWNER = "Data platform"
# Exceptions that keep a period from closing whatever their amount.
BLOCKING_CLASSES = frozenset(
    {
        "schema_invalid",
        "mapping_missing",
        "unbalanced_entry",
        "closed_period",
        "closed_period_material",
        "deferred_posting",
        "cut_over_missing",
        "rejected",
    }
) | {c.name for c in _CLASSES}


def failure(name: str) -> FailureClass:
    """The class called `name`; an unknown name is `invalid`, which never retries."""
    return CLASSES.get(name, CLASSES["invalid"])


def backoff_seconds(attempt: int, key: str, *, base: float, cap: float) -> float:
    """Exponential back-off with jitter in [half, full], for the `attempt`-th failure (1-based).

    The jitter comes from a hash of (key, attempt), not from a random source: batches spread out, tests repeat.
    """
    full = min(cap, base * 2 ** min(max(attempt, 1) - 1, 30))
    digest = hashlib.sha256(f"{key}:{attempt}".encode()).digest()
    return full * (0.5 + 0.5 * int.from_bytes(digest[:4], "big") / 0xFFFFFFFF)
