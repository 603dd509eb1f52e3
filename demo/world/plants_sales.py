"""Plants between what was sold and what was subscribed: wrong prices, wrong entities, sales nobody carried out."""

from __future__ import annotations

from datetime import date, timedelta

from demo.world.calendar import add_months, month_of
from demo.world.ids import Ids
from demo.world.model import Customer, Deal, Phase, PlanItem
from demo.world.planting import Planter
from demo.world.sales import billed_unit, phase_values, quoted_unit
from demo.world.truth import signal

_OTHER_ENTITY = {"DE": "US", "US": "DE"}


def plant_sales(planter: Planter, deals: list[Deal]) -> list[Deal]:
    """Bend deals before they are billed; returns the deals that were won but never subscribed."""
    _wrong_entity(planter, deals)
    _wrong_price(planter, deals)
    return _never_subscribed(planter, deals)


def _one_phase(deal: Deal) -> bool:
    """A deal of one phase shows a fault once; a deal amended later shows it once per opportunity."""
    return len(deal.phases) == 1


def _wrong_entity(planter: Planter, deals: list[Deal]) -> None:
    """Sold in euro by one company, subscribed and billed through the account of another that also bills euro."""
    candidates = [d for d in deals if d.currency == "EUR" and d.sold_by in _OTHER_ENTITY]
    for deal in planter.deals(candidates, _one_phase):
        deal.billed_by = _OTHER_ENTITY[deal.sold_by]
        signals = [signal("R1", "wrong_entity", phase.opportunity_id) for phase in deal.phases]
        period = month_of(deal.phases[0].closed)
        planter.note("wrong_entity", signals, _sold(deal), deal.currency, deal.sold_by, period)


def _wrong_price(planter: Planter, deals: list[Deal]) -> None:
    """The platform's price was keyed in up to a tenth off; everything after the quote follows the wrong price."""
    for deal in planter.deals(deals, _one_phase):
        deal.wrong_price_bp = planter.rng.choice((-1000, -500, 500, 1000))
        codes = {i.code for p in deal.phases for i in p.items}
        signals, amount = [], 0
        for n, phase in enumerate(deal.phases):
            quoted = phase_values(deal, n, {c: quoted_unit(deal, c) for c in codes})
            billed = phase_values(deal, n, {c: billed_unit(deal, c) for c in codes})
            if quoted != billed:
                signals.append(signal("R1", "amount", phase.opportunity_id))
                amount += sum(billed.values()) - sum(quoted.values())
        period = month_of(deal.phases[0].closed)
        planter.note("wrong_price", signals, amount, deal.currency, deal.sold_by, period)


def _never_subscribed(planter: Planter, deals: list[Deal]) -> list[Deal]:
    """Won add-ons whose start has passed. They are deals of their own, so any customer can host one."""
    latest = planter.span.end - timedelta(days=6)
    hosts = [d for d in deals if d.start <= latest and d.customer.index != 0]
    hosts = [d for d in hosts if d.customer.index not in planter.customers] or hosts
    made = []
    for n, host in enumerate(planter.rng.sample(hosts, min(planter.count, len(hosts)))):
        planter.customers.add(host.customer.index)
        start = host.start + timedelta(days=planter.rng.randrange((latest - host.start).days + 1))
        closed = max(planter.span.start, start - timedelta(days=3))
        deal = add_on(planter.ids, host.customer, f"lost-{n}", start, closed)
        made.append(deal)
        signals = [signal("R1", "missing_right", deal.phases[0].opportunity_id)]
        planter.note("won_without_subscription", signals, _sold(deal), deal.currency, deal.sold_by, month_of(closed))
    return made


def _sold(deal: Deal) -> int:
    codes = {i.code for i in deal.phases[0].items}
    return sum(phase_values(deal, 0, {c: quoted_unit(deal, c) for c in codes}).values())


def add_on(ids: Ids, customer: Customer, key: str, start: date, closed: date) -> Deal:
    """A further annual sale to a customer that lives in the CRM only."""
    end = add_months(start, 12)
    phase = Phase(start, end, (PlanItem("PLAT-STD-A", 1), PlanItem("SEAT-A", 10)), "new", closed, start, end)
    deal = Deal(
        key=f"{customer.key}/{key}",
        customer=customer,
        sold_by=customer.entity,
        billed_by=customer.entity,
        currency=customer.currency,
        interval="year",
        start=start,
        anchor=start,
        discount_bp=0,
        phases=[phase],
    )
    phase.opportunity_id = ids.salesforce("006", deal.key, 0)
    return deal
