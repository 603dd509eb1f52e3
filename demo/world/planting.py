"""Planted discrepancies: hosts are chosen, the world is bent consistently, and the truth is written down.

Each kind changes every system that would really change (a wrong price also goes into invoices, tax and cash) and
leaves alone the one system that tells the difference. Hosts of different kinds are different customers as long as
there are enough; a small company shares customers, but never the same deal or invoice. The story customer hosts none.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any, TypeVar

from demo.world.billing import MAIN, Biller
from demo.world.books import Books
from demo.world.calendar import ENTITIES, Horizon, add_months, at, first_of_next_month, local_date, month_of
from demo.world.customers import customer_id
from demo.world.ids import Ids
from demo.world.invoices import invoice_id
from demo.world.model import CreditPlan, Customer, Deal, Invoice, Line, Phase, PlanItem
from demo.world.payouts import Payout
from demo.world.sales import billed_unit, phase_values, quoted_unit
from demo.world.subscriptions import canonical_item
from demo.world.tax import rates_for
from demo.world.truth import signal

T = TypeVar("T")
_OTHER_ENTITY = {"DE": "US", "US": "DE"}


class Planter:
    """Plants kind after kind while the world is being built; `planted` becomes the ground truth."""

    def __init__(self, ids: Ids, seed: int, customers: int, span: Horizon) -> None:
        self._ids = ids
        self._rng = random.Random(f"{seed}/plants")
        self._span = span
        self._count = 3 if customers >= 150 else 2 if customers >= 40 else 1
        self._customers: set[int] = set()
        self._deals: set[str] = set()
        self._invoices: set[str] = set()
        self.planted: list[dict[str, Any]] = []

    def _note(
        self, kind: str, signals: list[dict[str, str]], amount: int, currency: str, entity: str, period: str
    ) -> str:
        plant_id = f"{kind}-{1 + sum(p['kind'] == kind for p in self.planted)}"
        unique = [s for n, s in enumerate(signals) if s not in signals[:n]]
        self.planted.append(
            {
                "id": plant_id,
                "kind": kind,
                "signals": unique,
                "amount_minor": amount,
                "currency": currency,
                "entity": entity,
                "period": period,
            }
        )
        return plant_id

    def _hosts(
        self,
        candidates: Sequence[T],
        deal_of: Callable[[T], Deal],
        invoice_of: Callable[[T], str | None],
        preferred: Callable[[T], bool] = lambda _: True,
        count: int | None = None,
    ) -> list[T]:
        """Choose up to `count` hosts: fresh customers first, then deals and invoices nothing was planted in."""
        wanted = self._count if count is None else count
        pool = [c for c in candidates if deal_of(c).customer.index != 0]
        self._rng.shuffle(pool)
        pool.sort(key=lambda c: not preferred(c))
        chosen: list[T] = []
        for fresh_only in (True, False):
            for candidate in pool:
                if len(chosen) == wanted:
                    return chosen
                deal, invoice = deal_of(candidate), invoice_of(candidate)
                if deal.key in self._deals or (invoice is not None and invoice in self._invoices):
                    continue
                if fresh_only and deal.customer.index in self._customers:
                    continue
                if invoice is None and any(key.startswith(deal.key + "/") for key in self._invoices):
                    continue
                self._customers.add(deal.customer.index)
                if invoice is None:
                    self._deals.add(deal.key)
                else:
                    self._invoices.add(invoice)
                chosen.append(candidate)
        return chosen

    # -- sales -------------------------------------------------------------------------------------------------

    def sales(self, deals: list[Deal]) -> list[Deal]:
        """Wrong prices and wrong entities in deals; returns deals that were won but never subscribed."""
        # A deal of one phase carries one signal; a deal amended later would show the same fault once per opportunity.
        simple = lambda d: len(d.phases) == 1  # noqa: E731
        european = [d for d in deals if d.currency == "EUR" and d.sold_by in _OTHER_ENTITY]
        for deal in self._hosts(european, _self, _none, simple):
            deal.billed_by = _OTHER_ENTITY[deal.sold_by]
            signals = [signal("R1", "wrong_entity", p.opportunity_id) for p in deal.phases]
            self._note(
                "wrong_entity", signals, _sold(deal), deal.currency, deal.sold_by, month_of(deal.phases[0].closed)
            )
        for deal in self._hosts(deals, _self, _none, simple):
            deal.wrong_price_bp = self._rng.choice((-1000, -500, 500, 1000))
            signals, amount = [], 0
            for n, phase in enumerate(deal.phases):
                codes = {i.code for p in deal.phases for i in p.items}
                quoted = phase_values(deal, n, {c: quoted_unit(deal, c) for c in codes})
                billed = phase_values(deal, n, {c: billed_unit(deal, c) for c in codes})
                if quoted != billed:
                    signals.append(signal("R1", "amount", phase.opportunity_id))
                    amount += sum(billed.values()) - sum(quoted.values())
            self._note("wrong_price", signals, amount, deal.currency, deal.sold_by, month_of(deal.phases[0].closed))
        return self._never_subscribed(deals)

    def _never_subscribed(self, deals: list[Deal]) -> list[Deal]:
        """Won add-ons whose start has passed. They have a deal key of their own, so any customer can host one."""
        latest = self._span.end - timedelta(days=6)
        hosts = [d for d in deals if d.start <= latest and d.customer.index != 0]
        fresh = [d for d in hosts if d.customer.index not in self._customers] or hosts
        made = []
        for n, host in enumerate(self._rng.sample(fresh, min(self._count, len(fresh)))):
            self._customers.add(host.customer.index)
            start = host.start + timedelta(days=self._rng.randrange((latest - host.start).days + 1))
            closed = max(self._span.start, start - timedelta(days=3))
            deal = add_on(self._ids, host.customer, f"lost-{n}", start, closed)
            made.append(deal)
            reference = deal.phases[0].opportunity_id
            self._note(
                "won_without_subscription", [signal("R1", "missing_right", reference)], _sold(deal), deal.currency,
                deal.sold_by, month_of(closed),
            )  # fmt: skip
        return made

    # -- billing -----------------------------------------------------------------------------------------------

    def billing(self, biller: Biller, drafts: list[Invoice], plans: list[CreditPlan]) -> list[Invoice]:
        """Missing, doubled and untaxed invoices, usage left out, tax dated elsewhere; returns the drafts to finalise."""
        credited = {line.invoice.key for plan in plans for line, _ in plan.lines if line.invoice}
        credited |= {
            line.credits.invoice.key for d in drafts for line in d.lines if line.credits and line.credits.invoice
        }
        calm = [d for d in drafts if d.key not in credited and d.subscription_key and not d.sure_payment]
        gone = self._missing(biller, [d for d in calm if d.reason == "subscription_cycle"])
        again = self._doubled(calm)
        taxed = [d for d in calm if d.key not in gone and self._has_tax(d)]
        for draft in self._hosts(taxed, _deal, _key):
            draft.tax_hidden = draft.sure_payment = True
            reference = invoice_id(self._ids, draft)
            tax = sum(r.per_hundred_thousand for r in rates_for(draft.deal.customer, draft.entity))
            amount = sum(line.net for line in draft.lines) * tax // 100_000
            self._draft_note("missing_tax_line", draft, [signal("R13", "tax", reference)], amount)
        movable = [(d, day) for d in taxed if not d.tax_hidden and (day := self._other_month(d.day)) is not None]
        for draft, day in self._hosts(movable, lambda c: c[0].deal, lambda c: c[0].key):
            draft.tax_date, draft.sure_payment = day, True
            reference = invoice_id(self._ids, draft)
            self._draft_note("tax_wrong_period", draft, [signal("R13", "wrong_period", reference)], 0)
        return [d for d in drafts if d.key not in gone] + again

    def _draft_note(self, kind: str, draft: Invoice, signals: list[dict[str, str]], amount: int) -> None:
        self._note(kind, signals, amount, draft.currency, draft.entity, month_of(draft.day))

    def _has_tax(self, draft: Invoice) -> bool:
        return bool(rates_for(draft.deal.customer, draft.entity)) and min(line.net for line in draft.lines) > 1000

    def _other_month(self, day: date) -> date | None:
        later = first_of_next_month(day) + timedelta(days=2)
        if later <= self._span.end:
            return later
        earlier = day.replace(day=1) - timedelta(days=3)
        return earlier if earlier >= self._span.start else None

    def _missing(self, biller: Biller, cycle: list[Invoice]) -> set[str]:
        """Regular monthly invoices, and usage invoices with something to pay, that were never made."""
        gone = set()
        licensed = [d for d in cycle if d.deal.interval == "month" and d.lines[0].kind == "recurring"]
        for draft in self._hosts(licensed, _deal, _key):
            gone.add(draft.key)
            signals = [signal("R2", "missing_right", self._item(draft, line)) for line in draft.lines]
            self._draft_note("missing_invoice", draft, signals, sum(line.net for line in draft.lines))
        metered = [d for d in cycle if d.lines[0].kind == "usage" and d.lines[0].net > 0]
        for draft in self._hosts(metered, _deal, _key):
            gone.add(draft.key)
            reference = self._item(draft, draft.lines[0])
            self._draft_note(
                "usage_not_invoiced", draft, [signal("R3", "missing_right", reference)], draft.lines[0].net
            )
        return gone

    def _item(self, draft: Invoice, line: Line) -> str:
        return canonical_item(self._ids, draft.subscription_key or "", line.price_id)

    def _doubled(self, calm: list[Invoice]) -> list[Invoice]:
        """The same window billed again the next day, still unpaid; kept inside the month of the first invoice."""
        candidates = [
            d
            for d in calm
            if d.subscription_key == f"{d.deal.key}/{MAIN}"
            and all(line.kind in ("recurring", "one_time") for line in d.lines)
            and not d.deal.at_midnight
            and (d.day + timedelta(days=1)).month == d.day.month
            and d.day < self._span.end
        ]
        made = []
        for draft in self._hosts(candidates, _deal, _key):
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
            reference = invoice_id(self._ids, again)
            net = sum(line.net for line in lines)
            self._draft_note("duplicate_invoice", again, [signal("R2", "duplicate", reference)], net)
        return made

    # -- cash --------------------------------------------------------------------------------------------------

    def cash(self, books: Books, invoices: list[Invoice]) -> None:
        """Payments nobody applied, refunds without a note, and charges that claim another's settlement."""
        paid = [
            i
            for i in invoices
            if len(i.charges) == 1
            and i.status == "paid"
            and not (i.noted or i.refunded or i.disputed or i.tax_hidden or i.tax_date or i.balance_applied)
        ]
        self._unapplied(books, invoices, paid)
        soon = self._span.end - timedelta(days=4)
        early = [i for i in paid if i.paid_at and local_date(i.entity, i.paid_at) < soon]
        for invoice in self._hosts(early, _deal, _key):
            charge = books.charges[invoice.charges[0]]
            day = local_date(invoice.entity, invoice.paid_at or 0)
            day += timedelta(days=self._rng.randint(2, min(20, (self._span.end - day).days)))
            amount = max(1, charge["amount"] * self._rng.choice((10, 20, 30)) // 100)
            refund = books.refund(
                invoice.entity, charge, amount, at(invoice.entity, day, 16), f"{invoice.key}/unnoted",
                "requested_by_customer",
            )  # fmt: skip
            invoice.refunded = True
            self._note(
                "refund_without_credit_note", [signal("R6", "missing_right", refund["id"])], amount, invoice.currency,
                invoice.entity, month_of(day),
            )  # fmt: skip
        for invoice in self._hosts([i for i in paid if not i.refunded], _deal, _key):
            self._settled_twice(books, invoice)

    def _unapplied(self, books: Books, invoices: list[Invoice], paid: list[Invoice]) -> None:
        """A payment on account: no invoice link, and an amount that no invoice of the customer has."""
        taken = {(i.deal.customer.index, amount) for i in invoices for amount in (i.total, i.amount_due, i.amount_paid)}
        before = [i for i in paid if i.day < self._span.end - timedelta(days=2)]
        for invoice in self._hosts(before, _deal, _key):
            day = invoice.day + timedelta(days=self._rng.randint(1, min(25, (self._span.end - invoice.day).days - 1)))
            amount = self._rng.randrange(40_000, 400_000, 500)
            while (invoice.deal.customer.index, amount) in taken:
                amount += 1
            key = f"{invoice.key}/on-account"
            charge = books.charge(
                invoice.entity,
                customer_id(self._ids, invoice.entity, invoice.deal.customer),
                amount,
                invoice.currency,
                at(invoice.entity, day, 15, 30),
                key,
                intent=self._ids.stripe("pi", key),
                description="Payment on account",
            )
            self._note(
                "payment_unapplied", [signal("R6", "unapplied", charge["id"])], amount, invoice.currency,
                invoice.entity, month_of(day),
            )  # fmt: skip

    def _settled_twice(self, books: Books, invoice: Invoice) -> None:
        charge = books.charges[invoice.charges[0]]
        key = f"{invoice.key}/twice"
        second = {
            **charge,
            "id": self._ids.stripe("ch", key),
            "created": charge["created"] + 1800,
            "payment_intent": self._ids.stripe("pi", key),
            "metadata": {},
        }
        books.add(invoice.entity, "charge", second)
        period = month_of(local_date(invoice.entity, second["created"]))
        self._note(
            "duplicate_settlement", [signal("R5", "duplicate", second["id"])], charge["amount"], invoice.currency,
            invoice.entity, period,
        )  # fmt: skip

    def payouts(self, payouts: list[Payout]) -> None:
        """Payouts short of their members; one per account at most, so that each account's gap has one cause."""
        entities = list(ENTITIES)
        self._rng.shuffle(entities)
        left = self._count
        for entity in entities:
            # One that has arrived: a payout in transit at the cut-off is a natural item of its own.
            able = [p for p in payouts if p.entity == entity and p.total > 20_000 and p.bank_day <= self._span.end]
            if not able or left == 0:
                continue
            left -= 1
            payout = self._rng.choice(able)
            payout.short = self._rng.randrange(1500, 9900)
            signals = [signal("R7", "fee", payout.id), signal("R9", "fee", payout.id)]
            currency = ENTITIES[entity].currency
            self._note("payout_short_fee", signals, payout.short, currency, entity, month_of(payout.day))

    # -- ERP ---------------------------------------------------------------------------------------------------

    def erp_plants(self, invoices: list[Invoice]) -> list[dict[str, Any]]:
        """Instructions for journals to be planted in the ERP after posting; amounts in minor functional currency.

        A manual journal has `date`, `description` and `lines` [{account_role, product_family, debit_minor,
        credit_minor}]; the role `outside` means any account that no role maps to. An altered journal names the
        posted batch by entity, month and `event_class`, and adds `delta_minor` to one line of `debit_role` and to
        one of `credit_role`. `expect` lists (reconciliation, class); the reference is the move number of a manual
        journal and the batch key of an altered one.
        """
        places = sorted(
            {
                (i.entity, month_of(i.day))
                for i in invoices
                if i.reason.startswith("subscription") and i.lines[0].kind == "recurring" and i.status != "void"
            }
        )
        self._rng.shuffle(places)
        kinds = ["manual_deferred", "altered_revenue", "manual_receivable", "altered_invoice", "manual_deferred"]
        made = []
        for kind, (entity, month) in zip(kinds, places, strict=False):
            made.append(self._erp_plant(kind, entity, month))
        return made

    def _erp_plant(self, kind: str, entity: str, month: str) -> dict[str, Any]:
        amount = self._rng.randrange(150_000, 900_000)
        currency = ENTITIES[entity].currency
        common = {"entity": entity, "month": month, "currency": currency}
        if kind.startswith("manual"):
            plant_id = self._note("manual_erp_journal", [], amount, currency, entity, month)
            common |= {"id": plant_id, "kind": "manual_erp_journal", "amount_minor": amount, "date": f"{month}-20"}
            if kind == "manual_receivable":
                return common | {
                    "description": "Reclassification per controller's e-mail",
                    "lines": [_journal("outside", None, amount, 0), _journal("accounts_receivable", None, 0, amount)],
                    "expect": [["R10", "manual_erp_journal"]],
                }
            return common | {
                "description": "Manual revenue accrual",
                "lines": [_journal("deferred_revenue", "platform", amount, 0), _journal("revenue", "platform", 0, amount)],
                "expect": [["R11", "manual_erp_journal"], ["R12", "manual_erp_journal"]],
            }  # fmt: skip
        delta = self._rng.randrange(2_500, 40_000)
        plant_id = self._note("altered_erp_journal", [], delta, currency, entity, month)
        common |= {"id": plant_id, "kind": "altered_erp_journal", "amount_minor": delta, "delta_minor": delta}
        if kind == "altered_revenue":
            return common | {
                "event_class": "revenue.recognised",
                "debit_role": "deferred_revenue",
                "credit_role": "revenue",
                "expect": [["R16", "amount"], ["R11", "amount"], ["R12", "amount"]],
            }
        return common | {
            "event_class": "invoice.posted",
            "debit_role": "accounts_receivable",
            "credit_role": "deferred_revenue",
            "expect": [["R16", "amount"], ["R10", "amount"], ["R11", "amount"]],
        }


def _journal(role: str, family: str | None, debit: int, credit: int) -> dict[str, Any]:
    return {"account_role": role, "product_family": family, "debit_minor": debit, "credit_minor": credit}


def _self(deal: Deal) -> Deal:
    return deal


def _none(_: Any) -> None:
    return None


def _deal(invoice: Invoice) -> Deal:
    return invoice.deal


def _key(invoice: Invoice) -> str:
    return invoice.key


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
