"""What of the journal is posted, as what and when: the rows of posting.yaml, and which of them hold for an entry. Pure.

A row attaches to any of entity, event class, product family and currency (nothing named: to all). Key by key the most
specific row wins: one that names the entity over one that does not, then event class, then family, then currency.
An entry of several families or currencies takes the most cautious of their settings, since only a whole entry balances.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

# In order of caution: an entry takes the last one that any of its lines asks for.
KINDS = ("summary", "detail", "deferred")
DELIVERIES = ("immediate", "near_real_time", "scheduled")
SCHEDULES = ("day_end", "period_end")
MODES = ("live", "shadow", "off")
CHOICES = {"posting_kind": KINDS, "delivery_mode": DELIVERIES, "summary_at": SCHEDULES, "posting_mode": MODES}
KEYS = (*CHOICES, "live_from", "detail_from", "release_on", "owner", "reason")
SCOPE = ("entity", "event_class", "product_family", "currency")
# Event classes whose entries an ERP can take as a document of its own instead of a journal.
DOCUMENT_KINDS = {
    "invoice.posted": "invoice",
    "credit_note.issued": "credit_note",
    "payment.settled": "cash_application",
    "payment.applied": "cash_application",
}
# Entries that no event of a source states: the subledger makes them.
DERIVED_CLASSES = (
    "allowance.measured", "allowance.used", "fx.revaluation_reversed", "fx.revalued", "revenue.recognised",
    "revenue.shared",
)  # fmt: skip
DEFAULT_OWNER = "Revenue accounting"
_PERIOD = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


class Setting(NamedTuple):
    """What holds for an entry. `live_from`: first posting period that we post; earlier ones stay with the old process.
    `detail_from`: first posting period of documents of their own; what belongs to earlier ones is summarised.
    `release_on`: day (ISO) from which a deferred item is posted by itself."""

    posting_kind: str = "summary"
    delivery_mode: str = "immediate"
    summary_at: str = "period_end"
    posting_mode: str = "live"
    live_from: str | None = None
    detail_from: str | None = None
    release_on: str | None = None
    owner: str | None = None
    reason: str | None = None


def resolve(
    rows: Iterable[Mapping[str, Any]], entity: str, event_class: str, family: str | None, currency: str | None
) -> Setting:
    """The setting of one scope. `rows`: the four scope columns (None or absent = any) and `set`, a map of KEYS."""
    wanted = dict(zip(SCOPE, (entity, event_class, family, currency), strict=True))
    found: dict[str, Any] = {}
    weights: dict[str, int] = {}
    for row in rows:
        named = {name: row.get(name) for name in SCOPE if row.get(name) is not None}
        if any(wanted[name] != value for name, value in named.items()):
            continue
        weight = sum(2 ** (len(SCOPE) - SCOPE.index(name)) for name in named)
        for key, value in row["set"].items():
            if weight >= weights.get(key, -1):
                found[key], weights[key] = value, weight
    return Setting(**found)


def most_cautious(settings: Sequence[Setting]) -> Setting:
    """One setting for an entry whose lines fall under several: per key what holds back most; the words go with it."""

    def strictest(key: str) -> Any:
        return max((getattr(s, key) for s in settings), key=CHOICES[key].index)

    kind = strictest("posting_kind")
    spoken = next((s for s in settings if s.posting_kind == kind and s.reason), settings[0])
    held = [s for s in settings if s.posting_kind == "deferred"]
    never = any(s.release_on is None for s in held)
    return Setting(
        kind, strictest("delivery_mode"), strictest("summary_at"), strictest("posting_mode"),
        max((s.live_from for s in settings if s.live_from), default=None),
        max((s.detail_from for s in settings if s.detail_from), default=None),
        None if never else max((str(s.release_on) for s in held), default=None),
        spoken.owner, spoken.reason,
    )  # fmt: skip


def problems(row: Mapping[str, Any], classes: Iterable[str] = ()) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """(place in the row, what is wrong, the fix) of one row of posting.yaml; `classes`: known event classes."""
    keys = row.get("set")
    if not isinstance(keys, Mapping):
        return
    event_class, known = row.get("event_class"), (*classes, *DERIVED_CLASSES)
    if classes and isinstance(event_class, str) and event_class not in known:
        close = difflib.get_close_matches(event_class, known, 1)
        hint = f"did you mean {close[0]!r}?" if close else "docs/events.md lists them"
        yield ("event_class",), f"no journal entry has event class {event_class!r}", hint
    for key, value in keys.items():
        if key not in KEYS:
            close = difflib.get_close_matches(key, KEYS, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(KEYS)}"
            yield ("set", key), f"unknown posting key {key!r}", hint
        elif wrong := _problem(key, value):
            yield ("set", key), wrong, "write one of the accepted values (docs/posting-policy.md)"
    yield from _together(row, keys)


def _problem(key: str, value: Any) -> str | None:
    if key in CHOICES:
        return None if value in CHOICES[key] else f"{key} must be one of {', '.join(CHOICES[key])}; it is {value!r}"
    if key in ("live_from", "detail_from"):
        is_period = isinstance(value, str) and _PERIOD.fullmatch(value) is not None
        return None if is_period else f'{key} must be a quoted period such as "2026-11"; it is {value!r}'
    if key == "release_on":
        return None if is_day(value) else f'release_on must be a quoted day such as "2026-11-05"; it is {value!r}'
    fits = isinstance(value, str) and value.strip()
    return None if fits else f"{key} must be words; it is {value!r}"


def _together(row: Mapping[str, Any], keys: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Keys that need each other, and scopes in which a key cannot hold."""
    narrowed = [name for name in ("product_family", "currency") if row.get(name) is not None]
    for key in ("posting_mode", "live_from"):
        if key in keys and narrowed:
            message = f"{key} is set per entity and event class, not per {' and '.join(narrowed)}"
            yield ("set", key), message, "move it to a row without them: one class of an ERP company has one owner"
    if keys.get("posting_kind") == "detail" and row.get("event_class") not in DOCUMENT_KINDS:
        message = "posting_kind detail needs an event class that an ERP has a document for"
        yield ("set", "posting_kind"), message, f"name one of {', '.join(DOCUMENT_KINDS)}, or use summary"
    if keys.get("posting_kind") == "deferred":
        for key in ("owner", "reason"):
            if key not in keys:
                yield ("set", "posting_kind"), f"a deferred item needs {key}: somebody must release it", f"add `{key}`"
    if "release_on" in keys and keys.get("posting_kind") != "deferred":
        yield ("set", "release_on"), "release_on belongs to posting_kind deferred", "set both in one row"
    if "detail_from" in keys and keys.get("posting_kind") != "detail":
        yield ("set", "detail_from"), "detail_from belongs to posting_kind detail", "set both in one row"
    if "live_from" in keys and keys.get("posting_mode") != "live":
        yield ("set", "live_from"), "live_from belongs to posting_mode live", "set both in one row"
    if "summary_at" in keys and keys.get("delivery_mode") != "scheduled":
        yield ("set", "summary_at"), "summary_at belongs to delivery_mode scheduled", "set both in one row"


def is_day(value: Any) -> bool:
    """Whether this is a calendar day as text, YYYY-MM-DD."""
    try:
        return isinstance(value, str) and dt.date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False
