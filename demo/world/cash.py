"""How invoices end: paid, paid late after reminders, in parts, written off, voided, credited, refunded, disputed."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

from demo.world.books import DISPUTE_FEE, Books
from demo.world.calendar import ENTITIES, HORIZON_END, at, is_month_end, local_date
from demo.world.customers import customer_id
from demo.world.model import CreditPlan, Invoice, Line
from demo.world.notes import credit_note

_RETRY_DAYS = (3, 8, 14)


class Cashier:
    """Lives through what happens to each finalised invoice. All days are the entity's; nothing passes the horizon."""

    def __init__(self, books: Books, seed: int) -> None:
        self._books = books
        self._seed = seed

    def credit_before_payment(self, plan: CreditPlan) -> None:
        """Cancellation of an unpaid invoice: the note lowers what is still to be paid."""
        credit_note(self._books, plan.lines, plan.day, "order_change", "pre_payment")

    def credit_after_payment(self, plan: CreditPlan) -> None:
        """Cancellation of a paid invoice: the note is refunded to the charge that paid."""
        credit_note(self._books, plan.lines, plan.day, "order_change", "post_payment")

    def collect(self, invoice: Invoice) -> None:
        """Take one finalised invoice to its last state within the horizon."""
        rng = random.Random(f"{self._seed}/cash/{invoice.key}")
        if invoice.voided_on:
            invoice.status = "void"
            invoice.voided_at = at(invoice.entity, invoice.voided_on, 15)
            return
        if invoice.amount_due <= 0:
            invoice.status, invoice.paid_at = "paid", invoice.created
            return
        if invoice.left_open:
            return
        if invoice.sure_payment:
            self._pay(invoice, self._first_try(invoice), invoice.amount_due)
        elif invoice.deal.collection == "send_invoice":
            self._await(invoice, rng)
        else:
            self._charge_automatically(invoice, rng)
        if invoice.status == "paid" and not invoice.sure_payment and not invoice.noted:
            self._afterwards(invoice, rng)

    def _first_try(self, invoice: Invoice) -> date:
        """Day of the first attempt: the invoice's own, or the next one after a finalisation late at night."""
        late = invoice.deal.at_midnight and is_month_end(invoice.day) and invoice.subscription_key is not None
        return invoice.day + timedelta(days=1 if late else 0)

    def _pay(self, invoice: Invoice, day: date, amount: int, part: int = 0) -> bool:
        """A successful charge at 14:00 local with its link to the invoice; False if the day lies past the horizon."""
        if day > HORIZON_END:
            return False
        created = at(invoice.entity, day, 14, self._books.ids.number("minute", invoice.key, part, below=45))
        intent = self._books.ids.stripe("pi", invoice.key, part)
        charge = self._books.charge(
            invoice.entity,
            customer_id(self._books.ids, invoice.entity, invoice.deal.customer),
            amount,
            invoice.currency,
            created,
            f"{invoice.key}/{part}/paid",
            intent=intent,
            description=f"Payment for Invoice {invoice.number}",
        )
        self._link(invoice, intent, amount, created, part, "paid")
        invoice.charges.append(charge["id"])
        invoice.amount_paid += amount
        invoice.attempts += 1
        if invoice.amount_remaining == 0:
            invoice.status, invoice.paid_at, invoice.next_attempt = "paid", created, None
        return True

    def _link(self, invoice: Invoice, intent: str, amount: int, created: int, part: int, status: str) -> None:
        paid = status == "paid"
        self._books.add(
            invoice.entity,
            "invoice_payment",
            {
                "id": self._books.ids.stripe("inpay", invoice.key, part),
                "object": "invoice_payment",
                "amount_paid": amount if paid else None,
                "amount_requested": amount,
                "created": created,
                "currency": invoice.currency.lower(),
                "invoice": invoice.id,
                "is_default": True,
                "livemode": True,
                "payment": {"payment_intent": intent, "type": "payment_intent"},
                "status": status,
                "status_transitions": {"canceled_at": None, "paid_at": created if paid else None},
            },
        )

    def _charge_automatically(self, invoice: Invoice, rng: random.Random) -> None:
        first = self._first_try(invoice)
        if rng.random() < 0.91:
            self._pay(invoice, first, invoice.amount_due)
            return
        succeeds = rng.choice((1, 1, 2, 3, None))
        days = [first, *(first + timedelta(days=n) for n in _RETRY_DAYS)]
        for n, day in enumerate(days):
            if day > HORIZON_END:
                invoice.next_attempt = at(invoice.entity, day, 13)
                break
            if n == succeeds:
                self._pay(invoice, day, invoice.amount_due)
                return
            self._fail(invoice, day, n)
        if invoice.attempts:
            self._link(
                invoice,
                self._books.ids.stripe("pi", invoice.key, 0),
                invoice.amount_due,
                invoice.created + 60,
                0,
                "open",
            )
        self._write_off(invoice, days[-1] + timedelta(days=30), rng)

    def _fail(self, invoice: Invoice, day: date, n: int) -> None:
        self._books.charge(
            invoice.entity,
            customer_id(self._books.ids, invoice.entity, invoice.deal.customer),
            invoice.amount_due,
            invoice.currency,
            at(invoice.entity, day, 13, 5),
            f"{invoice.key}/failed/{n}",
            intent=self._books.ids.stripe("pi", invoice.key, 0),
            failure="insufficient_funds" if n else "card_declined",
            description=f"Payment for Invoice {invoice.number}",
        )
        invoice.attempts += 1

    def _await(self, invoice: Invoice, rng: random.Random) -> None:
        """An invoice sent out: paid around its due date, sometimes in two parts, sometimes never."""
        due = invoice.day + timedelta(days=invoice.deal.days_until_due)
        day = due + timedelta(days=rng.randint(-6, 12))
        if invoice.pay_not_before:
            day = max(day, invoice.pay_not_before + timedelta(days=5))
        fate = rng.random()
        if invoice.pay_not_before is None and fate < 0.05:
            self._write_off(invoice, due + timedelta(days=45), rng)
            return
        if invoice.pay_not_before is None and fate < 0.12 and not invoice.noted:
            noted = invoice.day + timedelta(days=rng.randint(2, 6))
            line = _creditable(invoice)
            if noted < day and noted <= HORIZON_END and line is not None:
                share = rng.choice((1000, 2000, 2500))
                credit_note(
                    self._books, ((line, line.net * share // 10000),), noted, "product_unsatisfactory", "pre_payment"
                )
        elif fate < 0.2 and invoice.amount_due > 1000:
            half = invoice.amount_due // 2
            if self._pay(invoice, day, half):
                self._pay(invoice, day + timedelta(days=rng.randint(5, 20)), invoice.amount_remaining, part=1)
            return
        self._pay(invoice, day, invoice.amount_remaining)

    def _write_off(self, invoice: Invoice, day: date, rng: random.Random) -> None:
        if rng.random() < 0.5 and day <= HORIZON_END:
            invoice.status = "uncollectible"
            invoice.uncollectible_at = at(invoice.entity, day, 16)

    def _afterwards(self, invoice: Invoice, rng: random.Random) -> None:
        """What may follow a payment in one piece: a goodwill credit with a partial refund, or a dispute."""
        if len(invoice.charges) != 1 or invoice.balance_applied or invoice.paid_at is None:
            return
        paid = local_date(invoice.entity, invoice.paid_at)
        fate = rng.random()
        if fate < 0.035:
            day = paid + timedelta(days=rng.randint(4, 25))
            line = _creditable(invoice)
            if day <= HORIZON_END and line is not None:
                share = rng.choice((1000, 2000, 3333, 5000))
                credit_note(
                    self._books, ((line, line.net * share // 10000),), day, "product_unsatisfactory", "post_payment"
                )
        elif fate < 0.05 and invoice.currency == invoice.settlement_currency:
            self._dispute(invoice, paid + timedelta(days=rng.randint(8, 30)), rng)

    def _dispute(self, invoice: Invoice, day: date, rng: random.Random) -> None:
        if day > HORIZON_END:
            return
        entity, books = invoice.entity, self._books
        charge = books.charges[invoice.charges[0]]
        dispute_id = books.ids.stripe("du", invoice.key)
        created = at(entity, day, 11)
        withdrawal = books.settle(
            entity, "adjustment", dispute_id, -charge["amount"], invoice.currency, created,
            category="dispute", fee=DISPUTE_FEE[entity], description="Chargeback withdrawal", part="withdrawn",
        )  # fmt: skip
        movements = [withdrawal]
        closed_on = day + timedelta(days=rng.randint(15, 40))
        outcome = rng.choice(("won", "lost"))
        metadata: dict[str, Any] = {}
        status = "under_review"
        if closed_on <= HORIZON_END:
            status = outcome
            closed = at(entity, closed_on, 12)
            metadata["closed_at"] = str(closed)
            if outcome == "won":
                movements.append(
                    books.settle(
                        entity, "adjustment", dispute_id, charge["amount"], invoice.currency, closed,
                        category="dispute_reversal", description="Chargeback reversal", part="reinstated",
                    )
                )  # fmt: skip
        charge["disputed"] = True
        invoice.disputed = True
        books.add(
            entity,
            "dispute",
            {
                "id": dispute_id,
                "object": "dispute",
                "amount": charge["amount"],
                "balance_transactions": movements,
                "charge": charge["id"],
                "created": created,
                "currency": charge["currency"],
                "evidence_details": {"due_by": created + 9 * 86400, "has_evidence": True, "submission_count": 1},
                "is_charge_refundable": False,
                "livemode": True,
                "metadata": metadata,
                "network_reason_code": "13.1",
                "payment_intent": charge["payment_intent"],
                "reason": rng.choice(("product_not_received", "fraudulent", "subscription_canceled")),
                "status": status,
            },
        )


def _creditable(invoice: Invoice) -> Line | None:
    """The line a goodwill credit goes to: the largest one, if the invoice's own total would bear it.

    Not one whose unused rest is credited later: both credits together could exceed what the line charged.
    """
    lines = [line for line in invoice.lines if not line.credited_later]
    if not lines:
        return None
    line = max(lines, key=lambda line: line.net)
    smallest = 100 if ENTITIES[invoice.entity].currency != invoice.currency else 1000
    return line if line.net >= smallest and invoice.total >= line.net + line.tax else None
