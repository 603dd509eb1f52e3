"""Invoices as they fall due: licensed items in advance, prorations on the change, usage in arrears.

Rules (the reconciliation of expected charges recomputes them): a line is price x quantity x days of its window over
days of the billing period, half up. A change inside a period is invoiced on the day it was booked: a negative line
for the unused rest of what was billed, a positive one for the rest of the new terms. An annual cancellation is a
credit note instead (`CreditPlan`); a monthly one takes effect at a period's start.
"""

from __future__ import annotations

from datetime import date, timedelta

from demo.world.calendar import Horizon, at, billing_periods, is_month_end
from demo.world.catalogue import PRICE_BOOK, Catalogue, usage_amount
from demo.world.ids import Ids
from demo.world.model import CreditPlan, Deal, Invoice, Line, Phase, PlanItem
from demo.world.money import half_up
from demo.world.sales import billed_unit
from demo.world.usage import usage_windows

MAIN, USAGE = "main", "usage"


class Biller:
    """Turns deals into invoice drafts, in the order in which they fall due."""

    def __init__(self, ids: Ids, seed: int, catalogue: Catalogue, span: Horizon) -> None:
        self._ids = ids
        self._seed = seed
        self._catalogue = catalogue
        self._span = span

    def price_id(self, deal: Deal, code: str) -> str:
        """Price object the deal's subscription uses for a product."""
        unit = None if code in ("USAGE", "ONBOARD") else billed_unit(deal, code)
        price = self._catalogue.price(deal.billed_by, deal.currency, code, unit, owner=deal.key)
        self._catalogue.first_used(price, at(deal.billed_by, deal.phases[0].closed, 9))
        return price.id

    def drafts(self, deal: Deal) -> tuple[list[Invoice], list[CreditPlan]]:
        """All invoices of a deal that fall due within the horizon, and the credits of its cancellation."""
        licensed, credits = self._licensed(deal)
        metered = self._metered(deal)
        return sorted([*licensed, *metered], key=lambda i: (i.created, i.key)), credits

    def subscription_key(self, deal: Deal, kind: str) -> str:
        """Natural key of a deal's licensed or metered subscription."""
        return f"{deal.key}/{kind}"

    def moment(self, deal: Deal, day: date, kind: str) -> int:
        """When an invoice of a day is finalised: around local noon, or shortly before midnight at a cut-off."""
        if deal.at_midnight and kind == MAIN and is_month_end(day):
            return at(deal.billed_by, day, 23, 30)
        minute = self._ids.number("moment", deal.key, kind, below=50)
        return at(deal.billed_by, day, 12, minute)

    def _licensed(self, deal: Deal) -> tuple[list[Invoice], list[CreditPlan]]:
        invoices: list[Invoice] = []
        plans: list[CreditPlan] = []
        last_day = deal.ended or deal.phases[-1].end
        covering: dict[str, Line] = {}  # product code -> the line that pays for its present use
        horizon_end = self._span.end + timedelta(days=1)
        for first, last in billing_periods(deal.anchor, deal.interval, deal.start, min(last_day, horizon_end)):
            bill_day = max(first, deal.start)
            covering = {}
            phase = self._known_phase(deal, bill_day)
            lines = []
            for item in phase.items:
                line = self._line(deal, item, bill_day, last, first, last, "recurring")
                if bill_day > first:
                    line.kind = "proration"
                lines.append(line)
                covering[item.code] = line
            if bill_day == deal.start and deal.onboarding:
                lines.append(self._onboarding(deal))
            reason = "subscription_create" if bill_day == deal.start else "subscription_cycle"
            invoices.append(self._invoice(deal, MAIN, bill_day, reason, lines, phase))
            changes = [
                (before, after)
                for before, after in zip(deal.phases, deal.phases[1:], strict=False)
                if bill_day < after.start < last and after.closed <= self._span.end
            ]
            for before, after in changes:
                if after.kind == "cancel":
                    plans.append(self._cancellation(deal, before, after, first, last, covering))
                    continue
                invoices.append(self._proration(deal, before, after, first, last, covering))
        return invoices, plans

    @staticmethod
    def _known_phase(deal: Deal, day: date) -> Phase:
        """Terms in force on a bill date as far as they were booked by then."""
        known = [p for p in deal.phases if p.start <= day and (p.closed <= day or p.kind != "backdated")]
        return known[-1]

    def _line(
        self, deal: Deal, item: PlanItem, start: date, end: date, first: date, last: date, kind: str, sign: int = 1
    ) -> Line:
        unit = billed_unit(deal, item.code)
        amount = half_up(unit * item.quantity * (end - start).days, (last - first).days)
        return Line(
            code=item.code,
            price_id=self.price_id(deal, item.code),
            unit_amount=unit,
            quantity=item.quantity,
            amount=sign * amount,
            start=start,
            end=end,
            kind=kind,
        )

    def _onboarding(self, deal: Deal) -> Line:
        amount = PRICE_BOOK["ONBOARD"][deal.currency]
        return Line(
            code="ONBOARD",
            price_id=self.price_id(deal, "ONBOARD"),
            unit_amount=amount,
            quantity=1,
            amount=amount,
            start=None,
            end=None,
            kind="one_time",
            discount=half_up(amount * deal.coupon_bp, 10000),
        )

    def _proration(
        self, deal: Deal, before: Phase, after: Phase, first: date, last: date, covering: dict[str, Line]
    ) -> Invoice:
        old = {i.code: i for i in before.items}
        new = {i.code: i for i in after.items}
        lines = []
        for code in (*old, *(c for c in new if c not in old)):
            if old.get(code) == new.get(code):
                continue
            if code in old:
                credit = self._line(deal, old[code], after.start, last, first, last, "proration", -1)
                credit.credits = covering.pop(code)
                credit.credits.credited_later = True
                lines.append(credit)
            if code in new:
                charge = self._line(deal, new[code], after.start, last, first, last, "proration")
                covering[code] = charge
                lines.append(charge)
        day = max(after.start, after.closed)
        invoice = self._invoice(deal, MAIN, day, "subscription_update", lines, after)
        invoice.proration_date = after.start
        return invoice

    def _cancellation(
        self, deal: Deal, before: Phase, after: Phase, first: date, last: date, covering: dict[str, Line]
    ) -> CreditPlan:
        lines = []
        for item in before.items:
            unused = self._line(deal, item, after.start, last, first, last, "proration")
            covering[item.code].credited_later = True
            lines.append((covering[item.code], unused.amount))
        return CreditPlan(deal, after.start, tuple(lines))

    def _metered(self, deal: Deal) -> list[Invoice]:
        invoices = []
        for window in usage_windows(deal, self._seed, self._span):
            if window.end > self._span.end or not window.quantity:
                continue
            line = Line(
                code="USAGE",
                price_id=self.price_id(deal, "USAGE"),
                unit_amount=None,
                quantity=window.quantity,
                amount=usage_amount(window.quantity, deal.currency),
                start=window.start,
                end=window.end,
                kind="usage",
            )
            phase = deal.phase_at(window.end - timedelta(days=1))
            reason = "subscription_update" if window.end == deal.ended else "subscription_cycle"
            invoices.append(self._invoice(deal, USAGE, window.end, reason, [line], phase))
        return invoices

    def _invoice(self, deal: Deal, kind: str, day: date, reason: str, lines: list[Line], phase: Phase) -> Invoice:
        subscription = self.subscription_key(deal, kind)
        invoice = Invoice(
            key=f"{subscription}/{day}/{reason}",
            deal=deal,
            subscription_key=subscription,
            day=day,
            created=self.moment(deal, day, kind),
            reason=reason,
            lines=lines,
            opportunity_id=phase.opportunity_id,
        )
        for line in lines:
            line.invoice = invoice
        return invoice
