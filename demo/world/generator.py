"""Puts the company together: sales, billing, cash, tax, plants - in that order, from one seed."""

from __future__ import annotations

import gc
import random
from collections import defaultdict
from datetime import timedelta
from typing import Any

from demo.world.billing import MAIN, USAGE, Biller
from demo.world.books import Books
from demo.world.calendar import ENTITIES, Horizon, at, horizon, midnight, month_of, utc_midnight
from demo.world.cash import Cashier
from demo.world.catalogue import PRICE_BOOK, Catalogue, usage_amount
from demo.world.crm import Crm
from demo.world.customers import customer_id, make_customer, story_customer, stripe_customer
from demo.world.feed import events
from demo.world.ids import Ids
from demo.world.invoices import Finaliser, invoice_object
from demo.world.model import CreditPlan, Customer, Deal, Invoice, Line
from demo.world.payouts import Payout, balance_reports, bank_lines, pay_out, plan_payouts
from demo.world.planting import Planter
from demo.world.plants_billing import plant_billing
from demo.world.plants_cash import plant_cash, plant_payouts
from demo.world.plants_erp import plant_erp
from demo.world.plants_sales import add_on, plant_sales
from demo.world.sales import plan_deal, story_deals
from demo.world.subscriptions import Subscriber, canonical_item
from demo.world.tax import invoice_document, tax_rate_objects
from demo.world.treasury import Rates
from demo.world.truth import signal
from demo.world.usage import usage_windows
from demo.world.writer import World

STRIPE_OBJECTS = (
    "customer", "product", "price", "tax_rate", "subscription", "subscription_schedule", "invoice", "invoice_payment",
    "credit_note", "charge", "refund", "dispute", "payout", "payout_member", "balance_transaction", "meter",
    "meter_event_summary", "balance_report", "event",
)  # fmt: skip


def generate(seed: int, customers: int, months: int) -> World:
    """Build the pretend company. Deterministic: the same three numbers give the same bytes.

    `customers` >= 1 (the first is always the story customer) and `months` >= 1, counted back from 2026-10-31.
    300 x 15 takes about a second, 3000 x 24 about twenty.
    """
    if customers < 1:
        raise ValueError("a world needs at least one customer")
    # Nothing made here forms cycles, and the collector walking millions of live records costs a third of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _Company(seed, customers, months).build()
    finally:
        if collecting:
            gc.enable()


class _Company:
    def __init__(self, seed: int, customers: int, months: int) -> None:
        self.seed, self.months = seed, months
        self.span: Horizon = horizon(months)
        self.ids = Ids(seed)
        self.opened = midnight("DE", self.span.start)
        self.catalogue = Catalogue(self.ids, self.opened)
        self.biller = Biller(self.ids, seed, self.catalogue, self.span)
        self.books = Books(self.ids, Rates(seed, self.span))
        self.planter = Planter(self.ids, seed, customers, self.span)
        self.people = [story_customer(self.ids)]
        self.people += [make_customer(self.ids, seed, n) for n in range(1, customers)]
        self.natural: list[dict[str, Any]] = []

    def build(self) -> World:
        deals = story_deals(self.ids, self.people[0], self.span)
        deals += [plan_deal(self.ids, self.seed, c, self.span) for c in self.people[1:]]
        never_subscribed = plant_sales(self.planter, deals)
        coming = self._coming(deals)
        invoices, plans = self._drafts(deals)
        invoices = plant_billing(self.planter, invoices, plans)
        finaliser = self._bill(invoices, plans)
        plant_cash(self.planter, self.books, invoices)
        payouts = plan_payouts(self.books, self.span)
        plant_payouts(self.planter, payouts)
        pay_out(self.books, payouts)
        balance_reports(self.books, payouts, self.span)
        self._naturals(deals, payouts)
        erp_plants = plant_erp(self.planter, invoices)
        self._subscriptions(deals, invoices)
        self._customers(deals, invoices, finaliser)
        world = World(self.seed, len(self.people), self.months)
        self._documents(world, invoices)
        self._processor(world, deals)
        self._crm(world, deals, never_subscribed, coming)
        world.fx_rates = self.books.rates.rows()
        world.bank_lines = bank_lines(self.books, payouts, self.span)
        world.ground_truth = {
            "seed": self.seed,
            "customers": len(self.people),
            "months": self.months,
            "cut_off": self.span.end.isoformat(),
            "planted": self.planter.planted,
            "natural": self.natural,
        }
        world.erp_plants = erp_plants
        return world

    def _coming(self, deals: list[Deal]) -> list[Deal]:
        """Won shortly before the cut-off, starting after it: nothing is subscribed yet, and nothing is wrong."""
        hosts = [d for d in deals if d.customer.index != 0] or deals
        rng = random.Random(f"{self.seed}/coming")
        made = []
        for n, host in enumerate(rng.sample(hosts, min(len(hosts), max(1, len(hosts) // 80)))):
            closed = self.span.end - timedelta(days=rng.randint(1, 10))
            deal = add_on(
                self.ids, host.customer, f"coming-{n}", self.span.end + timedelta(days=rng.randint(2, 25)), closed
            )
            made.append(deal)
            self._expect(
                "starts_after_cut_off", True, [signal("R1", "timing_in_transit", deal.phases[0].opportunity_id)]
            )
        return made

    def _expect(self, kind: str, still_open: bool, signals: list[dict[str, str]]) -> None:
        """Note a timing item: open at the cut-off, or open only at some earlier month's end."""
        self.natural.append({"kind": kind, "open_at_cut_off": still_open, "signals": signals})

    def _drafts(self, deals: list[Deal]) -> tuple[list[Invoice], list[CreditPlan]]:
        invoices: list[Invoice] = []
        plans: list[CreditPlan] = []
        for deal in deals:
            drafts, credits = self.biller.drafts(deal)
            for plan in credits:
                for line, _ in plan.lines:
                    if line.invoice is None:
                        raise ValueError(f"{deal.key}: a credited line has no invoice")
                    if deal.early_cancel:
                        line.invoice.pay_not_before = plan.day
                    else:
                        line.invoice.sure_payment = True
            invoices += drafts
            plans += credits
            mistaken = self._mistaken(deal)
            if mistaken:
                invoices.append(mistaken)
        return invoices, plans

    def _mistaken(self, deal: Deal) -> Invoice | None:
        """Now and then a training day is invoiced by mistake and voided some days later."""
        rng = random.Random(f"{self.seed}/mistaken/{deal.key}")
        room = (self.span.end - deal.start).days - 14
        if deal.customer.index == 0 or room < 5 or rng.random() > 0.025:
            return None
        day = deal.start + timedelta(days=rng.randint(4, room))
        amount = PRICE_BOOK["ONBOARD"][deal.currency]
        price = self.biller.price_id(deal, "ONBOARD")
        line = Line("ONBOARD", price, amount, 1, amount, None, None, "one_time")
        return Invoice(
            key=f"{deal.key}/manual/{day}",
            deal=deal,
            subscription_key=None,
            day=day,
            created=at(deal.billed_by, day, 13, 15),
            reason="manual",
            lines=[line],
            opportunity_id=deal.phase_at(day).opportunity_id,
            voided_on=day + timedelta(days=rng.randint(2, 12)),
        )

    def _bill(self, invoices: list[Invoice], plans: list[CreditPlan]) -> Finaliser:
        """Finalise every customer's drafts in order of time, then let each invoice live its life."""
        finaliser = Finaliser(self.books)
        invoices.sort(key=lambda i: (i.created, i.key))
        for invoice in invoices:
            finaliser.finalise(invoice)
        cashier = Cashier(self.books, self.seed)
        for plan in plans:
            if plan.deal.early_cancel:
                cashier.credit_before_payment(plan)
        for invoice in invoices:
            cashier.collect(invoice)
        for plan in plans:
            if not plan.deal.early_cancel:
                cashier.credit_after_payment(plan)
        return finaliser

    def _naturals(self, deals: list[Deal], payouts: list[Payout]) -> None:
        for payout in payouts:
            if month_of(payout.bank_day) != month_of(payout.day):
                still_open = payout.bank_day > self.span.end
                self._expect("payout_in_transit", still_open, [signal("R8", "timing_in_transit", payout.id)])
        for deal in deals:
            for phase in deal.phases:
                if month_of(phase.closed) != month_of(phase.start):
                    reference = phase.opportunity_id
                    self._expect("sold_before_it_starts", False, [signal("R1", "timing_in_transit", reference)])
            self._usage(deal)

    def _usage(self, deal: Deal) -> None:
        """The meter's daily summaries of a deal, and its unbilled usage as natural items."""
        if not deal.usage:
            return
        customer = customer_id(self.ids, deal.billed_by, deal.customer)
        key = self.biller.subscription_key(deal, USAGE)
        item = canonical_item(self.ids, key, self.biller.price_id(deal, "USAGE"))
        billed_later = False
        for window in usage_windows(deal, self.seed, self.span):
            if usage_amount(window.quantity, deal.currency):
                if window.end > self.span.end:
                    self._expect("usage_billed_after_cut_off", True, [signal("R3", "timing_in_transit", item)])
                elif month_of(window.end) != month_of(window.start) and not billed_later:
                    billed_later = True
                    self._expect("usage_billed_next_month", False, [signal("R3", "timing_in_transit", item)])
            for day, count in window.days:
                start = utc_midnight(day)
                self.books.add(
                    deal.billed_by,
                    "meter_event_summary",
                    {
                        "id": self.ids.stripe("mtrusg", customer, day),
                        "object": "billing.meter_event_summary",
                        "aggregated_value": count,
                        "customer": customer,
                        "end_time": start + 86400,
                        "livemode": True,
                        "meter": self.catalogue.meter_id(deal.billed_by),
                        "start_time": start,
                    },
                )

    def _subscriptions(self, deals: list[Deal], invoices: list[Invoice]) -> None:
        latest: dict[str, str] = {}
        overdue = set()
        for invoice in invoices:
            if invoice.subscription_key:
                latest[invoice.subscription_key] = invoice.id
                if invoice.status == "open" and invoice.attempts:
                    overdue.add(invoice.subscription_key)
        subscriber = Subscriber(self.ids, self.catalogue, self.biller, self.span)
        for deal in deals:
            main = self.biller.subscription_key(deal, MAIN)
            for kind, record in subscriber.objects(deal, main in overdue):
                self.books.add(deal.billed_by, kind, record)
        by_id = {s["id"]: s for e in ENTITIES for s in self.books.objects[e]["subscription"]}
        for key, invoice_id in latest.items():
            by_id[self.ids.stripe("sub", key)]["latest_invoice"] = invoice_id

    def _customers(self, deals: list[Deal], invoices: list[Invoice], finaliser: Finaliser) -> None:
        delinquent = {i.deal.customer_key for i in invoices if i.status == "open" and i.attempts}
        for deal in deals:
            key = deal.customer_key
            created = at(deal.billed_by, deal.phases[0].closed, 8)
            record = stripe_customer(
                self.ids, deal.customer, deal.billed_by, deal.currency, created, finaliser.balance[key],
                key in delinquent,
            )  # fmt: skip
            self.books.add(deal.billed_by, "customer", record)

    def _documents(self, world: World, invoices: list[Invoice]) -> None:
        """Invoice objects, and the tax engine's documents of all companies."""
        documents = [d for e in ENTITIES for d in self.books.objects[e].pop("tax_document", [])]
        for invoice in invoices:
            self.books.add(invoice.entity, "invoice", invoice_object(self.books, self.catalogue, invoice))
            documents.append(invoice_document(self.ids, invoice))
        documents.sort(key=lambda d: (d["date"], d["companyCode"], d["code"]))
        world.objects["tax", "transaction"] = documents

    def _processor(self, world: World, deals: list[Deal]) -> None:
        for entity in ENTITIES.values():
            held = self.books.objects[entity.id]
            for kind, records in self.catalogue.stripe_objects(entity.id).items():
                held[kind].extend(records)
            held["tax_rate"].extend(tax_rate_objects(self.ids, entity.id, self.opened))
            held["event"] = events(self.ids, self.books, entity.id)
            for kind in STRIPE_OBJECTS:
                records = held[kind]
                records.sort(key=lambda r: (r.get("created", r.get("start_time", 0)), r["id"]))
                world.objects[entity.instance, kind] = records

    def _crm(self, world: World, deals: list[Deal], never_subscribed: list[Deal], coming: list[Deal]) -> None:
        crm = Crm(self.ids, self.span)
        by_customer: dict[int, list[Deal]] = defaultdict(list)
        for deal in (*deals, *never_subscribed, *coming):
            by_customer[deal.customer.index].append(deal)
        for customer in self.people:
            own = by_customer[customer.index]
            crm.account(customer, min((d.phases[0].closed for d in own), default=self.span.start))
            for deal in own:
                crm.won_deal(deal)
            self._not_won(crm, customer, own)
        for name, records in crm.records.items():
            records.sort(key=lambda r: (r["SystemModstamp"], r["Id"]))
            world.objects["crm", name] = records

    def _not_won(self, crm: Crm, customer: Customer, own: list[Deal]) -> None:
        """Deals in the pipeline and lost ones: present in any CRM, and of no account."""
        rng = random.Random(f"{self.seed}/pipeline/{customer.index}")
        if rng.random() > 0.06 or not own:
            return
        stage = rng.choice(("Negotiation/Review", "Closed Lost"))
        closed = self.span.end - timedelta(days=rng.randint(0, self.span.days - 1))
        crm.open_deal(add_on(self.ids, customer, "pipeline", closed + timedelta(days=5), closed), stage)
