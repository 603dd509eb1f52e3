"""Subscriptions and the schedules that drive them: every change is a phase, with the opportunity that caused it.

A deal has one licensed subscription and, when metered, a second monthly one anchored on the first of the month. A
cancellation is recorded by the connector as a last phase without items.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from demo.world.billing import MAIN, USAGE, Biller
from demo.world.calendar import Horizon, at, billing_period, first_of_next_month, iso, midnight
from demo.world.catalogue import PRODUCTS, Catalogue
from demo.world.customers import customer_id
from demo.world.ids import Ids
from demo.world.model import Deal, Phase, PlanItem
from demo.world.sales import billed_unit


def subscription_id(ids: Ids, key: str) -> str:
    """Id of a subscription by its natural key."""
    return ids.stripe("sub", key)


def item_id(ids: Ids, subscription_key: str, code: str) -> str:
    """Subscription item: a plan change keeps the item and changes its price, so the family names it."""
    return ids.stripe("si", subscription_key, PRODUCTS[code].family)


def canonical_item(ids: Ids, subscription_key: str, price_id: str) -> str:
    """How reconciliations name an item: `<subscription id>:<price id>`."""
    return f"{subscription_id(ids, subscription_key)}:{price_id}"


def deal_metadata(deal: Deal, phase: Phase) -> dict[str, str]:
    """What the CPQ connector writes on a subscription: account, opportunity and the running term (end exclusive)."""
    return {
        "contract_end": phase.contract_end.isoformat(),
        "contract_start": phase.contract_start.isoformat(),
        "salesforce_account_id": deal.customer.account_id,
        "salesforce_opportunity_id": phase.opportunity_id,
    }


def _phase_metadata(deal: Deal, phase: Phase) -> dict[str, str]:
    return {
        "amendment_kind": phase.kind,
        "booked_at": iso(at(deal.sold_by, phase.closed, 10)),
        **deal_metadata(deal, phase),
    }


class Subscriber:
    """Builds the subscription and schedule objects of one deal."""

    def __init__(self, ids: Ids, catalogue: Catalogue, biller: Biller, span: Horizon) -> None:
        self._ids = ids
        self._catalogue = catalogue
        self._biller = biller
        self._span = span

    def objects(self, deal: Deal, past_due: bool) -> list[tuple[str, dict[str, Any]]]:
        """(kind, object) pairs: subscriptions and schedules of the deal."""
        made = []
        for kind in (MAIN, USAGE) if deal.usage else (MAIN,):
            schedule = self._schedule(deal, kind)
            made.append(("subscription", self._subscription(deal, kind, schedule["id"], past_due)))
            made.append(("subscription_schedule", schedule))
        return made

    def _phases(self, deal: Deal, kind: str) -> list[Phase]:
        """Phases of the licensed subscription; the metered one only knows terms and the end."""
        if kind == MAIN:
            return deal.phases
        merged: list[Phase] = []
        for phase in deal.phases:
            ends = phase.kind == "cancel"
            if not merged or phase.kind == "renewal" or ends:
                items = () if ends else (PlanItem("USAGE", 0),)
                merged.append(
                    Phase(
                        phase.start, phase.end, items, phase.kind, phase.closed, phase.contract_start,
                        phase.contract_end, phase.opportunity_id,
                    )
                )  # fmt: skip
            else:
                merged[-1].end = phase.end
        return merged

    def _subscription(self, deal: Deal, kind: str, schedule_id: str, past_due: bool) -> dict[str, Any]:
        key = self._biller.subscription_key(deal, kind)
        entity = deal.billed_by
        phases = [p for p in self._phases(deal, kind) if p.start <= self._span.end]
        last_full = [p for p in phases if p.items][-1]
        ended = None if deal.ended is None else midnight(entity, deal.ended)
        canceled = None
        if deal.ended is not None:
            canceled = at(entity, deal.phases[-1].closed, 10) if phases[-1].kind == "cancel" else ended
        anchor = deal.anchor if kind == MAIN else first_of_next_month(deal.start - timedelta(days=1))
        interval = deal.interval if kind == MAIN else "month"
        day = self._span.end if deal.ended is None else deal.ended - timedelta(days=1)
        period = billing_period(anchor, interval, max(day, deal.start))
        start = max(period[0], deal.start)
        end = period[1] if deal.ended is None else min(period[1], deal.ended)
        created = at(entity, deal.start, 7, 30)
        items = [
            self._item(deal, key, item, created, midnight(entity, start), midnight(entity, end))
            for item in last_full.items
        ]
        return {
            "id": subscription_id(self._ids, key),
            "object": "subscription",
            "application": None,
            "automatic_tax": {"enabled": False},
            "billing_cycle_anchor": midnight(entity, anchor),
            "billing_mode": {"type": "flexible"},
            "cancel_at": None,
            "cancel_at_period_end": False,
            "canceled_at": canceled,
            "cancellation_details": {"comment": None, "feedback": None, "reason": None},
            "collection_method": deal.collection,
            "created": created,
            "currency": deal.currency.lower(),
            "customer": customer_id(self._ids, entity, deal.customer),
            "days_until_due": deal.days_until_due if deal.collection == "send_invoice" else None,
            "default_payment_method": None,
            "description": None,
            "discounts": [],
            "ended_at": ended,
            "items": {
                "object": "list",
                "data": items,
                "has_more": False,
                "total_count": len(items),
                "url": f"/v1/subscription_items?subscription={subscription_id(self._ids, key)}",
            },
            "latest_invoice": None,
            "livemode": True,
            "metadata": deal_metadata(deal, last_full),
            "on_behalf_of": None,
            "pause_collection": None,
            "pending_update": None,
            "schedule": schedule_id if ended is None else None,
            "start_date": midnight(entity, deal.start),
            "status": "canceled" if ended is not None else "past_due" if past_due else "active",
            "trial_end": None,
            "trial_start": None,
        }

    def _item(self, deal: Deal, key: str, item: PlanItem, created: int, start: int, end: int) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "id": item_id(self._ids, key, item.code),
            "object": "subscription_item",
            "billing_thresholds": None,
            "created": created,
            "current_period_end": end,
            "current_period_start": start,
            "discounts": [],
            "metadata": {},
            "price": self._catalogue.price_object(self._price(deal, item.code)),
            "subscription": subscription_id(self._ids, key),
            "tax_rates": [],
        }
        if item.code != "USAGE":
            shown["quantity"] = item.quantity
        return shown

    def _price(self, deal: Deal, code: str) -> Any:
        unit = None if code in ("USAGE", "ONBOARD") else billed_unit(deal, code)
        return self._catalogue.price(deal.billed_by, deal.currency, code, unit, owner=deal.key)

    def _schedule(self, deal: Deal, kind: str) -> dict[str, Any]:
        key = self._biller.subscription_key(deal, kind)
        entity = deal.billed_by
        phases = self._phases(deal, kind)
        shown = [self._phase(deal, kind, n, phase) for n, phase in enumerate(phases)]
        over = deal.ended is not None
        cancelled = phases[-1].kind == "cancel"
        current = None
        if not over:
            current = {"end_date": shown[-1]["end_date"], "start_date": shown[-1]["start_date"]}
        ended = None if deal.ended is None else midnight(entity, deal.ended)
        return {
            "id": self._ids.stripe("sub_sched", key),
            "object": "subscription_schedule",
            "application": None,
            "billing_mode": {"type": "flexible"},
            "canceled_at": at(entity, phases[-1].closed, 10) if cancelled else None,
            "completed_at": ended if over and not cancelled else None,
            "created": at(entity, deal.phases[0].closed, 11),
            "current_phase": current,
            "customer": customer_id(self._ids, entity, deal.customer),
            "end_behavior": "cancel",
            "livemode": True,
            "metadata": {"salesforce_account_id": deal.customer.account_id},
            "phases": shown,
            "released_at": None,
            "released_subscription": None,
            "status": "canceled" if cancelled else "completed" if over else "active",
            "subscription": subscription_id(self._ids, key),
            "test_clock": None,
        }

    def _phase(self, deal: Deal, kind: str, n: int, phase: Phase) -> dict[str, Any]:
        entity = deal.billed_by
        items = []
        for item in phase.items:
            shown: dict[str, Any] = {
                "billing_thresholds": None,
                "discounts": [],
                "metadata": {},
                "price": self._price(deal, item.code).id,
                "tax_rates": [],
            }
            if item.code != "USAGE":
                shown["quantity"] = item.quantity
            items.append(shown)
        once = []
        if n == 0 and kind == MAIN and deal.onboarding:
            once.append({"discounts": [], "price": self._price(deal, "ONBOARD").id, "quantity": 1, "tax_rates": []})
        return {
            "add_invoice_items": once,
            "application_fee_percent": None,
            "billing_cycle_anchor": None,
            "collection_method": None,
            "currency": deal.currency.lower(),
            "default_tax_rates": [],
            "description": None,
            "discounts": [],
            "end_date": midnight(entity, phase.end),
            "items": items,
            "metadata": _phase_metadata(deal, phase),
            "on_behalf_of": None,
            "proration_behavior": "always_invoice",
            "start_date": midnight(entity, phase.start),
            "trial_end": None,
        }
