"""Pulls one Stripe account object by object. See `objects.py` for how changes are found without a change filter."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from revenue_assets.domain import strict_json
from revenue_assets.sources.base import (
    Cursor,
    ObjectContract,
    Page,
    Record,
    SourceError,
    checked_base_url,
    credential,
)
from revenue_assets.sources.stripe.client import NotFound, StripeReader
from revenue_assets.sources.stripe.objects import COMPOSED, DAY, LISTINGS, LOOKBACK_SECONDS, Listing
from revenue_assets.sources.stripe.reports import balance_report_pages

RESCAN_DAYS = 35  # invoices and payments still move for about a month: dunning, disputes, payouts
FULL_RESCAN_DAYS = 7
EVENTS_REACH_DAYS = 29  # the vendor keeps 30; older changes can only be seen by a full listing
METER_LATE_DAYS = 36  # usage may be reported up to 35 days late


class StripeSource:
    """One Stripe account.

    `credentials`: `api_key`. `options`: `account` (Stripe-Account of a connected account), `rescan_days`,
    `full_rescan_days`, `time_zones` (entity -> zone: the months of the balance report are the entity's; default UTC).
    """

    vendor = "stripe"
    OBJECTS: tuple[str, ...] = (*LISTINGS, *COMPOSED)
    CONTRACTS: Mapping[str, ObjectContract] = {name: item.contract for name, item in LISTINGS.items()} | COMPOSED

    def __init__(
        self,
        name: str,
        entity_id: str | None,
        base_url: str | None,
        credentials: Mapping[str, Any],
        options: Mapping[str, Any] | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        options = dict(options or {})
        self.name, self.entity_id = name, entity_id
        self._rescan_seconds = int(options.get("rescan_days", RESCAN_DAYS)) * DAY
        self._full_every = dt.timedelta(days=float(options.get("full_rescan_days", FULL_RESCAN_DAYS)))
        self._time_zone = str((options.get("time_zones") or {}).get(entity_id, "Etc/UTC"))
        self._sleep = sleep
        self._reader = StripeReader(
            name,
            checked_base_url(base_url or "https://api.stripe.com", name),
            credential(credentials, "api_key", name),
            account=options.get("account"),
            sleep=sleep,
        )

    def pull(self, object_name: str, cursor: Cursor | None, now: dt.datetime) -> Iterator[Page]:
        """See `Source.pull`. The first pull and one every `full_rescan_days` list everything."""
        if object_name in LISTINGS:
            return self._listing(object_name, LISTINGS[object_name], cursor, now)
        if object_name == "payout_member":
            return self._payout_members(cursor, now)
        if object_name == "meter_event_summary":
            return self._meter_summaries(cursor, now)
        if object_name == "balance_report":
            return balance_report_pages(self._reader, self._time_zone, cursor, now, self._sleep)
        raise SourceError(f"{self.name}: no object {object_name!r}")

    def _listing(self, name: str, listing: Listing, cursor: Cursor | None, now: dt.datetime) -> Iterator[Page]:
        immutable = listing.lookback is not None
        full = cursor is None or (not immutable and self._full_due(cursor, now))
        before = cursor or {}
        hint_from = self._newest_event(now) if full and listing.hints else before.get("hint_from")
        params, created = dict(listing.params), int(before.get("created", 0))
        if not full and listing.created_filter:
            window = listing.lookback if listing.lookback is not None else self._rescan_seconds
            params["created"] = {"gte": max(0, min(created, int(now.timestamp())) - window)}
        seen: set[str] = set()
        for listed in self._reader.pages(listing.path, params):
            records = [self._whole(listing, record) for record in listed.records]
            seen.update(record.record_id for record in records)
            created = max([created, *(_seconds(record, "created") for record in records)])
            yield Page(name, records, {}, rejected=listed.rejected)
        changed: list[Record] = []
        gone: list[str] = []
        if not full and listing.hints and hint_from is not None:
            changed, gone, hint_from = self._hinted(listing, int(hint_from), seen)
        after: Cursor = {
            "created": created,
            "hint_from": hint_from,
            "pulled_at": now.isoformat(),
            "full_at": now.isoformat() if full else before["full_at"],
        }
        yield Page(name, changed, after, deleted=gone, complete=full and not immutable)

    def _full_due(self, cursor: Cursor, now: dt.datetime) -> bool:
        full_at, pulled_at = (dt.datetime.fromisoformat(cursor[key]) for key in ("full_at", "pulled_at"))
        return now - full_at >= self._full_every or now - pulled_at >= dt.timedelta(days=EVENTS_REACH_DAYS)

    def _newest_event(self, now: dt.datetime) -> int:
        """Where hints start after a full listing: taken before it, so that no change falls in between."""
        for listed in self._reader.pages("/v1/events", {"limit": 1}):
            return max((_seconds(record, "created") for record in listed.records), default=int(now.timestamp()))
        return int(now.timestamp())

    def _hinted(self, listing: Listing, since: int, seen: set[str]) -> tuple[list[Record], list[str], int]:
        """Objects that events name and the window did not show: fetched again by id, or gone."""
        newest, wanted = since, set()
        params = {"types": list(listing.hints), "created": {"gte": since - LOOKBACK_SECONDS}}
        for listed in self._reader.pages("/v1/events", params):
            for event in listed.records:
                newest = max(newest, _seconds(event, "created"))
                changed = ((event.data or {}).get("data") or {}).get("object") or {}
                if isinstance(changed.get("id"), str):
                    wanted.add(changed["id"])
        found: list[Record] = []
        gone: list[str] = []
        expand = [path.removeprefix("data.") for path in listing.params.get("expand", [])]
        for record_id in sorted(wanted - seen):
            try:
                record = self._reader.one(f"{listing.path}/{record_id}", {"expand": expand} if expand else None)
                found.append(self._whole(listing, record))
            except NotFound:
                gone.append(record_id)
        return found, gone, newest

    def _whole(self, listing: Listing, record: Record) -> Record:
        """The record with its inner lists complete. The added rows are spliced in; all other text stays."""
        for name in listing.nested:
            inner = (record.data or {}).get(name)
            if not isinstance(inner, dict) or inner.get("has_more") is not True:
                continue
            rows = [str(raw) for raw in self._inner_rows(listing, record, name)]
            record = _with_rows(record, name, rows)
        return record

    def _inner_rows(self, listing: Listing, record: Record, name: str) -> Iterator[str]:
        path = f"{listing.path}/{record.record_id}/{name}"
        params: dict[str, Any] = {}
        if name == "items":  # the one inner list of the vendor that has its own endpoint
            path, params = "/v1/subscription_items", {"subscription": record.record_id}
        for listed in self._reader.pages(path, params):
            if listed.rejected:
                raise SourceError(f"{self.name}: {path}: a row is unreadable ({listed.rejected[0].reason})")
            yield from (row.raw for row in listed.records)

    def _payout_members(self, cursor: Cursor | None, now: dt.datetime) -> Iterator[Page]:
        """Which balance transactions each automatic payout paid out; the object itself does not say."""
        full = cursor is None or self._full_due(cursor, now)
        created, params = int((cursor or {}).get("created", 0)), {}
        if not full:
            params["created"] = {"gte": max(0, created - self._rescan_seconds)}
        for payouts in self._reader.pages("/v1/payouts", params):
            for payout in payouts.records:
                created = max(created, _seconds(payout, "created"))
                if (payout.data or {}).get("automatic") is False:
                    continue  # the vendor keeps no membership for manual payouts
                for members in self._reader.pages("/v1/balance_transactions", {"payout": payout.record_id}):
                    records = [_member(payout.record_id, txn.record_id) for txn in members.records]
                    yield Page("payout_member", records, {}, rejected=members.rejected)
        full_at = now.isoformat() if full or cursor is None else cursor["full_at"]
        after: Cursor = {"created": created, "pulled_at": now.isoformat(), "full_at": full_at}
        yield Page("payout_member", [], after, complete=full)

    def _meter_summaries(self, cursor: Cursor | None, now: dt.datetime) -> Iterator[Page]:
        """Daily usage per meter and customer, for every customer who ever had a metered price."""
        day = int(now.timestamp()) // DAY * DAY
        late_from = int(cursor["until"]) - METER_LATE_DAYS * DAY if cursor else 0
        until = day + DAY
        for (meter, customer), started in sorted(self._metered_customers().items()):
            start = max(started // DAY * DAY, late_from // DAY * DAY)
            if start >= until:
                continue
            params = {
                "customer": customer,
                "start_time": start,
                "end_time": until,
                "value_grouping_window": "day",
            }
            for listed in self._reader.pages(f"/v1/billing/meters/{meter}/event_summaries", params):
                records = [_summary(record, meter, customer) for record in listed.records]
                yield Page("meter_event_summary", records, {}, rejected=listed.rejected)
        yield Page("meter_event_summary", [], {"until": day})

    def _metered_customers(self) -> dict[tuple[str, str], int]:
        """(meter, customer) -> unix second of the first subscription start."""
        found: dict[tuple[str, str], int] = {}
        for listed in self._reader.pages("/v1/subscriptions", {"status": "all"}):
            for record in listed.records:
                data = record.data or {}
                started = min(
                    _seconds(record, "start_date") or _seconds(record, "created"), _seconds(record, "created")
                )
                for item in (data.get("items") or {}).get("data") or []:
                    meter = ((item.get("price") or {}).get("recurring") or {}).get("meter")
                    if meter:
                        key = (str(meter), str(data["customer"]))
                        found[key] = min(found.get(key, started), started)
        return found


def _seconds(record: Record, name: str) -> int:
    value = (record.data or {}).get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _member(payout: str, txn: str) -> Record:
    value = {"payout": payout, "balance_transaction": txn}
    return Record(f"{payout}:{txn}", json.dumps(value, separators=(",", ":")), value)


def _summary(record: Record, meter: str, customer: str) -> Record:
    """The summary with the two keys its address carried. Its id is ours: one per meter, customer and day."""
    added = json.dumps({"customer": customer, "meter": meter}, separators=(",", ":"))[1:]
    head = record.raw.rstrip()[:-1].rstrip()
    raw = f"{head}{'' if head.endswith('{') else ','}{added}"
    if strict_json.members(record.raw).keys() & {"customer", "meter"}:
        spans = strict_json.members(record.raw)
        kept = {key: record.raw[slice(*span)] for key, span in spans.items() if key not in ("customer", "meter")}
        raw = "{" + "".join(f"{json.dumps(key)}:{text}," for key, text in kept.items()) + added
    data = {**(record.data or {}), "customer": customer, "meter": meter}
    return Record(f"{meter}:{customer}:{_seconds(record, 'start_time')}", raw, data)


def _with_rows(record: Record, name: str, rows: list[str]) -> Record:
    raw = record.raw
    outer = strict_json.members(raw)[name]
    inner = strict_json.members(raw, outer[0])
    cuts = [(inner["data"], f"[{','.join(rows)}]"), (inner["has_more"], "false")]
    if "total_count" in inner:
        cuts.append((inner["total_count"], str(len(rows))))
    for (start, end), text in sorted(cuts, reverse=True):
        raw = raw[:start] + text + raw[end:]
    return Record(record.record_id, raw, strict_json.loads_object(raw))
