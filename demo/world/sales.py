"""What is sold, and when: each customer's deals, their amendments, renewals and endings."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import date, timedelta
from fractions import Fraction

from demo.world.calendar import Horizon, add_months, billing_period, billing_periods, is_month_end
from demo.world.catalogue import PRICE_BOOK, PRODUCTS
from demo.world.ids import Ids
from demo.world.model import Customer, Deal, Phase, PlanItem
from demo.world.money import half_up

_KINDS = ("plain", "upgrade", "downgrade", "quantity", "co_term", "backdated", "cancel")
_WEIGHTS = (34, 11, 9, 15, 8, 9, 14)
_DISCOUNTS_BP = (0, 0, 0, 500, 1000, 1250, 1500)


def plan_deal(ids: Ids, seed: int, customer: Customer, span: Horizon) -> Deal:
    """The one deal of an ordinary customer.

    Starts lie early rather than late, so that a default world has renewals; every date stays inside the horizon.
    """
    rng = random.Random(f"{seed}/deal/{customer.index}")
    kind = rng.choices(_KINDS, _WEIGHTS)[0]
    interval = "year" if kind == "backdated" or rng.random() < 0.5 else "month"
    start = span.start + timedelta(days=int((span.days - 2) * rng.random() ** (2.0 if kind != "plain" else 1.5)))
    if rng.random() < 0.07:
        month_end = add_months(start.replace(day=1), 1) - timedelta(days=1)
        start = min(month_end, span.end - timedelta(days=1))
    suffix = "-A" if interval == "year" else ""
    seats = rng.randint(3, 60)
    base = (
        "PLAT-STD" if kind == "upgrade" else "PLAT-PRO" if kind == "downgrade" else rng.choice(("PLAT-STD", "PLAT-PRO"))
    )
    items = [PlanItem(base + suffix, 1)]
    if kind != "co_term" and (kind in ("quantity", "backdated") or rng.random() < 0.8):
        items.append(PlanItem("SEAT" + suffix, seats))
    deal = Deal(
        key=f"{customer.key}/main",
        customer=customer,
        sold_by=customer.entity,
        billed_by=customer.entity,
        currency=customer.currency,
        interval=interval,
        start=start,
        anchor=start,
        discount_bp=rng.choice(_DISCOUNTS_BP),
        phases=[],
        onboarding=rng.random() < 0.45,
        usage=rng.random() < 0.45,
        usage_scale=rng.uniform(0.5, 2.2),
        at_midnight=is_month_end(start) or start.day >= 29,
    )
    if deal.onboarding and rng.random() < 0.4:
        deal.coupon_bp = rng.choice((1000, 2000))
    if rng.random() < 0.3:
        deal.collection, deal.days_until_due = "send_invoice", rng.choice((14, 30))
    closed = max(span.start, start - timedelta(days=rng.randint(0, 12)))
    term_end = add_months(start, 12)
    deal.phases.append(Phase(start, term_end, tuple(items), "new", closed, start, term_end))
    _live(deal, rng, kind, span, suffix)
    _name_opportunities(ids, deal)
    return deal


def _live(deal: Deal, rng: random.Random, kind: str, span: Horizon, suffix: str) -> None:
    """Amend, end or renew term after term until the horizon ends; the planned amendment falls into the first term."""
    while True:
        current = deal.phases[-1]
        if kind != "plain":
            _amend(deal, rng, kind, span, suffix)
            kind = "plain"
            if deal.ended:
                return
            current = deal.phases[-1]
        term_end = current.contract_end
        if term_end > span.end:
            return
        if rng.random() < 0.15:
            deal.ended = term_end
            return
        items = current.items
        if rng.random() < 0.3:
            items = tuple(PlanItem(i.code, i.quantity + 2) if i.code.startswith("SEAT") else i for i in items)
        closed = max(current.closed, current.start, term_end - timedelta(days=rng.randint(0, 10)))
        months = (term_end.year - deal.anchor.year) * 12 + term_end.month - deal.anchor.month + 12
        new_end = add_months(deal.anchor, months)
        deal.phases.append(Phase(term_end, new_end, items, "renewal", closed, term_end, new_end))
        # A refund of a cancellation needs an invoice that was paid in full in cash, not out of an earlier credit.
        if rng.random() < 0.25:
            kind = "quantity" if _may_hold_credit(deal) else rng.choice(("quantity", "cancel"))


def _may_hold_credit(deal: Deal) -> bool:
    return any(p.kind in ("downgrade", "quantity") for p in deal.phases)


def _amend(deal: Deal, rng: random.Random, kind: str, span: Horizon, suffix: str) -> None:
    """Append one amendment phase, if the term and the horizon leave room for it.

    A change inside a billing period is booked on its own day (or later, when backdated): booked earlier, the period
    would have been billed short instead of credited. A change at a period's start needs no proration.
    """
    current = deal.phases[-1]
    term_end = current.contract_end
    first = current.start + timedelta(days=10)
    last = min(term_end - timedelta(days=10), span.end - timedelta(days=3))
    if last < first:
        return
    day = first + timedelta(days=rng.randrange((last - first).days + 1))
    at_boundary = deal.interval == "month" and (kind in ("cancel", "downgrade") or rng.random() < 0.2)
    period = billing_period(deal.anchor, deal.interval, day)
    if at_boundary:
        day = period[1]
        if not (first <= day <= last):
            return
    elif day <= period[0]:
        day += timedelta(days=1)
    closed = day
    if kind == "backdated":
        window = _backdating(rng, current, term_end, span)
        if window is None:
            return
        day, closed = window
    if kind == "cancel":
        if deal.interval == "year" and rng.random() < 0.3:
            early = billing_period(deal.anchor, "year", day)[0] + timedelta(days=rng.randint(10, 13))
            if current.start < early <= last:
                day = closed = early
                deal.early_cancel = True
                deal.collection, deal.days_until_due = "send_invoice", 30
        deal.ended = day
        _append(deal, day, (), "cancel", closed)
        return
    items = _changed_items(current.items, rng, kind, suffix)
    if items != current.items:
        _append(deal, day, items, kind, closed)


def _backdating(rng: random.Random, current: Phase, term_end: date, span: Horizon) -> tuple[date, date] | None:
    """(first day of the new terms, day it was booked in the month after), or None if no month's start fits."""
    choices = []
    month = add_months(current.start.replace(day=1), 1)
    while month <= span.end:
        closed = month + timedelta(days=rng.randint(2, 9))
        day = month - timedelta(days=rng.randint(1, 12))
        if current.start + timedelta(days=3) < day and closed <= span.end - timedelta(days=1) and closed < term_end:
            choices.append((day, closed))
        month = add_months(month, 1)
    return rng.choice(choices) if choices else None


def _changed_items(items: tuple[PlanItem, ...], rng: random.Random, kind: str, suffix: str) -> tuple[PlanItem, ...]:
    swap = {"upgrade": ("PLAT-STD", "PLAT-PRO"), "downgrade": ("PLAT-PRO", "PLAT-STD")}.get(kind)
    if swap:
        return tuple(PlanItem(swap[1] + suffix, i.quantity) if i.code == swap[0] + suffix else i for i in items)
    if kind == "co_term":
        return (*items, PlanItem("SEAT" + suffix, rng.randint(5, 40)))
    changed = []
    for item in items:
        if item.code.startswith("SEAT"):
            fewer = kind == "quantity" and item.quantity > 5 and rng.random() < 0.25
            delta = -max(1, item.quantity // 4) if fewer else rng.randint(2, 15)
            item = PlanItem(item.code, item.quantity + delta)
        changed.append(item)
    return tuple(changed)


def _append(deal: Deal, day: date, items: tuple[PlanItem, ...], kind: str, closed: date) -> None:
    current = deal.phases[-1]
    current.end = day
    deal.phases.append(
        Phase(day, current.contract_end, items, kind, closed, current.contract_start, current.contract_end)
    )


def _name_opportunities(ids: Ids, deal: Deal) -> None:
    for n, phase in enumerate(deal.phases):
        phase.opportunity_id = ids.salesforce("006", deal.key, n)


def story_deals(ids: Ids, customer: Customer, span: Horizon) -> list[Deal]:
    """The story: North America and EMEA from the start, an upgrade, then a German company, one invoice for all.

    The German subscription is co-termed: it is anchored on the end of the running year, so its first bill is a stub.
    """
    start = span.start + timedelta(days=9)
    upgrade = add_months(start, max(1, span.months // 3)) + timedelta(days=4)
    added = add_months(start, max(2, span.months // 2)) + timedelta(days=5)
    deals = []
    for entity, currency, seats in (("US", "USD", 40), ("UK", "GBP", 25), ("DE", "EUR", 15)):
        first = added if entity == "DE" else start
        if first > span.end:
            continue
        master_end = add_months(start, 12)
        while master_end <= first:
            master_end = add_months(master_end, 12)
        deal = Deal(
            key=f"{customer.key}/{entity}",
            customer=customer,
            sold_by=entity,
            billed_by=entity,
            currency=currency,
            interval="year",
            start=first,
            anchor=start if entity != "DE" else master_end,
            discount_bp=1000,
            phases=[],
            onboarding=entity == "US",
            coupon_bp=2000 if entity == "US" else 0,
            usage=entity != "DE",
            usage_scale=1.8,
            consolidated_from=added,
            consolidation_key="NWR",
        )
        code = "PLAT-PRO-A" if entity == "DE" else "PLAT-STD-A"
        items = (PlanItem(code, 1), PlanItem("SEAT-A", seats))
        kind = "co_term" if entity == "DE" else "new"
        deal.phases.append(Phase(first, master_end, items, kind, first, first, master_end))
        if entity == "US" and upgrade <= span.end and upgrade < master_end:
            _append(deal, upgrade, (PlanItem("PLAT-PRO-A", 1), PlanItem("SEAT-A", seats + 10)), "upgrade", upgrade)
        while deal.phases[-1].contract_end <= span.end:
            old = deal.phases[-1]
            first = old.contract_end
            end = add_months(first, 12)
            deal.phases.append(Phase(first, end, old.items, "renewal", first - timedelta(days=6), first, end))
        _name_opportunities(ids, deal)
        deals.append(deal)
    return deals


def quoted_unit(deal: Deal, code: str) -> int:
    """Net unit price per interval as quoted, minor units."""
    return half_up(PRICE_BOOK[code][deal.currency] * (10000 - deal.discount_bp), 10000)


def billed_unit(deal: Deal, code: str) -> int:
    """Unit price the processor bills: the quoted one, unless the deal's platform price was keyed in wrongly."""
    quoted = quoted_unit(deal, code)
    if deal.wrong_price_bp and PRODUCTS[code].family == "platform":
        return half_up(quoted * (10000 + deal.wrong_price_bp), 10000)
    return quoted


def contract_value(deal: Deal, unit: int, quantity: int, start: date, end: date) -> int:
    """Price of `quantity` units over [start, end): whole and part billing periods by days, rounded half up once."""
    total = Fraction(0)
    for first, last in billing_periods(deal.anchor, deal.interval, start, end):
        overlap = (min(last, end) - max(first, start)).days
        total += Fraction(unit * quantity * overlap, (last - first).days)
    return half_up(total.numerator, total.denominator)


def phase_values(deal: Deal, n: int, units: dict[str, int]) -> dict[str, int]:
    """Contract value a phase adds, per product: a term's full value, or the change over the rest of the term."""
    phase = deal.phases[n]
    values: dict[str, int] = {}

    def add(items: Iterable[PlanItem], sign: int) -> None:
        for item in items:
            value = contract_value(deal, units[item.code], item.quantity, phase.start, phase.contract_end)
            values[item.code] = values.get(item.code, 0) + sign * value

    add(phase.items, 1)
    if phase.kind not in ("new", "renewal") and n > 0:
        add(deal.phases[n - 1].items, -1)
    return values
