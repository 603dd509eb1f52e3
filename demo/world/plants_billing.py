"""Plants in billing and tax: invoices missing, doubled or untaxed, usage left out, tax dated in another month."""

from __future__ import annotations

from datetime import date, timedelta

from demo.world.billing import MAIN
from demo.world.calendar import at, first_of_next_month
from demo.world.invoices import invoice_id
from demo.world.model import CreditPlan, Invoice, Line
from demo.world.planting import Planter
from demo.world.subscriptions import canonical_item
from demo.world.tax import rates_for, tax_line
from demo.world.truth import signal


def plant_billing(planter: Planter, drafts: list[Invoice], plans: list[CreditPlan]) -> list[Invoice]:
    """Bend drafts before they are finalised; returns the drafts that are really made.

    A draft whose lines are credited later (by a proration or a cancellation) hosts nothing: a credit on a line that
    is missing or doubled would be a second discrepancy.
    """
    credited = {line.invoice.key for plan in plans for line, _ in plan.lines if line.invoice}
    lines = [line.credits for draft in drafts for line in draft.lines if line.credits]
    credited |= {line.invoice.key for line in lines if line.invoice}
    calm = [d for d in drafts if d.key not in credited and d.subscription_key and not d.sure_payment]
    gone = _missing_invoice(planter, calm) | _usage_not_invoiced(planter, calm)
    again = _duplicate_invoice(planter, [d for d in calm if d.key not in gone])
    taxed = [d for d in calm if d.key not in gone and _has_tax(d)]
    _missing_tax_line(planter, taxed)
    _tax_wrong_period(planter, [d for d in taxed if not d.tax_hidden])
    return [d for d in drafts if d.key not in gone] + again


def _net(invoice: Invoice) -> int:
    return sum(line.net for line in invoice.lines)


def _item(planter: Planter, draft: Invoice, line: Line) -> str:
    return canonical_item(planter.ids, draft.subscription_key or "", line.price_id)


def _has_tax(draft: Invoice) -> bool:
    return bool(rates_for(draft.deal.customer, draft.entity)) and min(line.net for line in draft.lines) > 1000


def _missing_invoice(planter: Planter, calm: list[Invoice]) -> set[str]:
    """A month that was never billed: no invoice, no tax document, no cash."""
    monthly = [
        d
        for d in calm
        if d.reason == "subscription_cycle" and d.deal.interval == "month" and d.lines[0].kind == "recurring"
    ]
    gone = set()
    for draft in planter.invoices(monthly):
        gone.add(draft.key)
        signals = [signal("R2", "missing_right", _item(planter, draft, line)) for line in draft.lines]
        planter.note_invoice("missing_invoice", draft, signals, _net(draft))
    return gone


def _usage_not_invoiced(planter: Planter, calm: list[Invoice]) -> set[str]:
    """A past month's overage that no invoice carries."""
    metered = [d for d in calm if d.lines[0].kind == "usage" and d.lines[0].net > 0]
    gone = set()
    for draft in planter.invoices(metered):
        gone.add(draft.key)
        signals = [signal("R3", "missing_right", _item(planter, draft, draft.lines[0]))]
        planter.note_invoice("usage_not_invoiced", draft, signals, _net(draft))
    return gone


def _duplicate_invoice(planter: Planter, calm: list[Invoice]) -> list[Invoice]:
    """The same window billed again the next day, still unpaid; kept inside the month of the first invoice."""
    candidates = [
        d
        for d in calm
        if d.subscription_key == f"{d.deal.key}/{MAIN}"
        and all(line.kind in ("recurring", "one_time") for line in d.lines)
        and not d.deal.at_midnight
        and (d.day + timedelta(days=1)).month == d.day.month
        and d.day < planter.span.end
    ]
    made = []
    for draft in planter.invoices(candidates):
        draft.sure_payment = True
        day = draft.day + timedelta(days=1)
        lines = [
            Line(x.code, x.price_id, x.unit_amount, x.quantity, x.amount, x.start, x.end, x.kind)
            for x in draft.lines
            if x.kind == "recurring"
        ]
        again = Invoice(
            key=f"{draft.key}/again",
            deal=draft.deal,
            subscription_key=draft.subscription_key,
            day=day,
            created=at(draft.entity, day, 12, 20),
            reason="subscription_cycle",
            lines=lines,
            opportunity_id=draft.opportunity_id,
            left_open=True,
        )
        made.append(again)
        signals = [signal("R2", "duplicate", invoice_id(planter.ids, again))]
        planter.note_invoice("duplicate_invoice", again, signals, _net(again))
    return made


def _missing_tax_line(planter: Planter, taxed: list[Invoice]) -> None:
    """The engine committed tax; the invoice shows none and only its net amount is collected."""
    for draft in planter.invoices(taxed):
        draft.tax_hidden = draft.sure_payment = True
        for line in draft.lines:
            tax_line(line, rates_for(draft.deal.customer, draft.entity))
        signals = [signal("R13", "tax", invoice_id(planter.ids, draft))]
        planter.note_invoice("missing_tax_line", draft, signals, sum(line.tax for line in draft.lines))


def _tax_wrong_period(planter: Planter, taxed: list[Invoice]) -> None:
    """The engine dates its document in another month than the invoice."""
    days = {d.key: _other_month(planter, d.day) for d in taxed}
    for draft in planter.invoices([d for d in taxed if days[d.key]]):
        draft.tax_date, draft.sure_payment = days[draft.key], True
        signals = [signal("R13", "wrong_period", invoice_id(planter.ids, draft))]
        planter.note_invoice("tax_wrong_period", draft, signals, 0)


def _other_month(planter: Planter, day: date) -> date | None:
    """A day of the next month, or of the one before if the next lies past the cut-off, or None."""
    later = first_of_next_month(day) + timedelta(days=2)
    if later <= planter.span.end:
        return later
    earlier = day.replace(day=1) - timedelta(days=3)
    return earlier if earlier >= planter.span.start else None
