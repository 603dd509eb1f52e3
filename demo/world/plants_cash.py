"""Plants in cash: payments not applied, refunds without a note, settlements claimed twice, payouts that fall short."""

from __future__ import annotations

from datetime import timedelta

from demo.world.books import Books
from demo.world.calendar import ENTITIES, at, local_date, month_of
from demo.world.customers import customer_id
from demo.world.model import Invoice
from demo.world.payouts import Payout
from demo.world.planting import Planter
from demo.world.truth import signal


def plant_cash(planter: Planter, books: Books, invoices: list[Invoice]) -> None:
    """Add what should not be there, once every invoice has been collected and before anything is paid out."""
    paid = [i for i in invoices if i.status == "paid" and len(i.charges) == 1 and _is_plain(i)]
    _payment_unapplied(planter, books, invoices, paid)
    _refund_without_credit_note(planter, books, paid)
    _duplicate_settlement(planter, books, [i for i in paid if not i.refunded])


def _is_plain(invoice: Invoice) -> bool:
    bent = invoice.tax_hidden or invoice.tax_date
    return not (bent or invoice.noted or invoice.refunded or invoice.disputed or invoice.balance_applied)


def _payment_unapplied(planter: Planter, books: Books, invoices: list[Invoice], paid: list[Invoice]) -> None:
    """A payment on account: no invoice link, and an amount that no invoice of the customer has."""
    taken = {(i.deal.customer.index, amount) for i in invoices for amount in (i.total, i.amount_due, i.amount_paid)}
    end = planter.span.end
    for invoice in planter.invoices([i for i in paid if i.day < end - timedelta(days=2)]):
        day = invoice.day + timedelta(days=planter.rng.randint(1, min(25, (end - invoice.day).days - 1)))
        amount = planter.rng.randrange(40_000, 400_000, 500)
        while (invoice.deal.customer.index, amount) in taken:
            amount += 1
        key = f"{invoice.key}/on-account"
        charge = books.charge(
            invoice.entity,
            customer_id(planter.ids, invoice.entity, invoice.deal.customer),
            amount,
            invoice.currency,
            at(invoice.entity, day, 15, 30),
            key,
            intent=planter.ids.stripe("pi", key),
            description="Payment on account",
        )
        signals = [signal("R6", "unapplied", charge["id"])]
        planter.note("payment_unapplied", signals, amount, invoice.currency, invoice.entity, month_of(day))


def _refund_without_credit_note(planter: Planter, books: Books, paid: list[Invoice]) -> None:
    """A part of a payment given back, and nothing that says what for."""
    end = planter.span.end
    early = [i for i in paid if i.paid_at and local_date(i.entity, i.paid_at) < end - timedelta(days=4)]
    for invoice in planter.invoices(early):
        charge = books.charges[invoice.charges[0]]
        day = local_date(invoice.entity, invoice.paid_at or 0)
        day += timedelta(days=planter.rng.randint(2, min(20, (end - day).days)))
        amount = max(1, charge["amount"] * planter.rng.choice((10, 20, 30)) // 100)
        key, reason = f"{invoice.key}/unnoted", "requested_by_customer"
        refund = books.refund(invoice.entity, charge, amount, at(invoice.entity, day, 16), key, reason)
        invoice.refunded = True
        signals = [signal("R6", "missing_right", refund["id"])]
        planter.note("refund_without_credit_note", signals, amount, invoice.currency, invoice.entity, month_of(day))


def _duplicate_settlement(planter: Planter, books: Books, paid: list[Invoice]) -> None:
    """A second charge object that claims the balance transaction of the first; no invoice was paid by it."""
    for invoice in planter.invoices(paid):
        charge = books.charges[invoice.charges[0]]
        key = f"{invoice.key}/twice"
        second = {
            **charge,
            "id": planter.ids.stripe("ch", key),
            "created": charge["created"] + 1800,
            "payment_intent": planter.ids.stripe("pi", key),
            "metadata": {},
        }
        books.add(invoice.entity, "charge", second)
        period = month_of(local_date(invoice.entity, second["created"]))
        signals = [signal("R5", "duplicate", second["id"])]
        planter.note("duplicate_settlement", signals, charge["amount"], invoice.currency, invoice.entity, period)


def plant_payouts(planter: Planter, payouts: list[Payout]) -> None:
    """Payouts short of their members; one per account at most, so that each account's gap has one cause."""
    entities = list(ENTITIES)
    planter.rng.shuffle(entities)
    left = planter.count
    for entity in entities:
        # One that has arrived: a payout in transit at the cut-off is a natural item of its own.
        able = [p for p in payouts if p.entity == entity and p.total > 20_000 and p.bank_day <= planter.span.end]
        if not able or left == 0:
            continue
        left -= 1
        payout = planter.rng.choice(able)
        payout.short = planter.rng.randrange(1500, 9900)
        signals = [signal("R7", "fee", payout.id), signal("R9", "fee", payout.id)]
        currency = ENTITIES[entity].currency
        planter.note("payout_short_fee", signals, payout.short, currency, entity, month_of(payout.day))
