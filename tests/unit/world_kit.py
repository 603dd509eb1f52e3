"""Reads a generated world the way an outsider would: vendors' records only, nothing of the generator's own objects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from demo.world import World, generate

ACCOUNTS = {"US": "billing_us", "UK": "billing_uk", "DE": "billing_de"}
ZONES = {"US": ZoneInfo("America/New_York"), "UK": ZoneInfo("Europe/London"), "DE": ZoneInfo("Europe/Berlin")}
FUNCTIONAL = {"US": "usd", "UK": "gbp", "DE": "eur"}
CUT_OFF = date(2026, 10, 31)
# (seed, customers, months): the story customer alone, a small company, two middling ones.
SIZES = [(1, 1, 1), (2, 12, 4), (3, 60, 15), (8, 45, 18)]

Record = dict[str, Any]


@lru_cache(maxsize=8)
def world(seed: int, customers: int, months: int) -> World:
    """A generated world, shared by the tests; nobody changes it."""
    return generate(seed, customers, months)


def records(world: World, entity: str, name: str) -> list[Record]:
    """All objects of a kind in an entity's processor account."""
    return world.objects[ACCOUNTS[entity], name]


def everywhere(world: World, name: str) -> Iterator[tuple[str, Record]]:
    """(entity, object) over the processor accounts."""
    for entity in ACCOUNTS:
        for record in records(world, entity, name):
            yield entity, record


def by_id(world: World, entity: str, name: str) -> dict[str, Record]:
    """Objects of a kind by id."""
    return {r["id"]: r for r in records(world, entity, name)}


def day(entity: str, instant: int) -> date:
    """Local day of an instant."""
    return datetime.fromtimestamp(instant, ZONES[entity]).date()


def half_up(value: Decimal) -> int:
    """Nearest integer, ties away from zero."""
    return int(value.quantize(Decimal(1), rounding="ROUND_HALF_UP"))


def minor(amount: float | str, currency: str) -> int:
    """Major units as minor units; the amount must be exact."""
    value = Decimal(str(amount)).scaleb(0 if currency.lower() == "jpy" else 2)
    assert value == value.to_integral_value(), f"{amount} {currency} is no whole number of minor units"
    return int(value)


def months_later(anchor: date, months: int) -> date:
    """`anchor` + months, clipped to the month's end; written apart from the generator's own."""
    year, month = anchor.year + (anchor.month - 1 + months) // 12, (anchor.month - 1 + months) % 12 + 1
    for last in (31, 30, 29, 28):
        try:
            return date(year, month, min(anchor.day, last))
        except ValueError:
            continue
    raise AssertionError


def bill_dates(anchor: date, step: int, first: date, last: date) -> list[date]:
    """Bill dates from the one on or before `first` to the one on or after `last`."""
    n = -60
    dates = []
    while True:
        current = months_later(anchor, n * step)
        following = months_later(anchor, (n + 1) * step)
        if following > first:
            dates.append(current)
        if current >= last:
            return dates
        n += 1


def phases(world: World, entity: str) -> dict[str, list[Record]]:
    """Phases of every subscription of an account, with local dates and amounts per interval looked up."""
    prices = by_id(world, entity, "price")
    subscriptions = by_id(world, entity, "subscription")
    found = {}
    for schedule in records(world, entity, "subscription_schedule"):
        subscription = subscriptions[schedule["subscription"]]
        rows = []
        for phase in schedule["phases"]:
            items = {i["price"]: (prices[i["price"]], i.get("quantity", 0)) for i in phase["items"]}
            rows.append(
                {
                    "start": day(entity, phase["start_date"]),
                    "end": day(entity, phase["end_date"]),
                    "items": items,
                    "kind": phase["metadata"]["amendment_kind"],
                    "opportunity": phase["metadata"]["salesforce_opportunity_id"],
                    "contract_end": date.fromisoformat(phase["metadata"]["contract_end"]),
                    "anchor": day(entity, subscription["billing_cycle_anchor"]),
                    "subscription": subscription,
                }
            )
        found[schedule["subscription"]] = rows
    return found


def signals(world: World, kind: str) -> list[Record]:
    """Planted signals of a kind."""
    return [s for p in world.ground_truth["planted"] if p["kind"] == kind for s in p["signals"]]


def references(world: World, kind: str, recon: str | None = None) -> set[str]:
    """References of a planted kind."""
    return {s["reference"] for s in signals(world, kind) if recon in (None, s["recon"])}


def grouped(rows: list[Record], key: str) -> dict[Any, list[Record]]:
    """Rows by a field."""
    groups: dict[Any, list[Record]] = defaultdict(list)
    for row in rows:
        groups[row[key]].append(row)
    return groups


def utc(instant: int) -> datetime:
    """Instant as an aware UTC time."""
    return datetime.fromtimestamp(instant, UTC)


def day_after(value: date) -> date:
    """The next day."""
    return value + timedelta(days=1)
