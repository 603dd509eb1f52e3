"""Every event type of the contract: its payload, its owner, where it is mastered and what it does to the books."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from revenue_assets.domain.events import bank, billing, books, cash, contracts, tax
from revenue_assets.domain.events.fields import Part


@dataclass(frozen=True, slots=True)
class EventType:
    """`owner`: the team that clears its dead letters. `changes_books`: it can change a figure of the subledger, now or
    through a later event; else it is a right-hand side, a status or a note."""

    name: str
    model: type[Part]
    owner: str
    system: str
    changes_books: bool
    effect: str

    @property
    def example(self) -> dict[str, Any]:
        """A payload that is valid."""
        return examples()[self.name]


def _types() -> dict[str, EventType]:
    found: dict[str, EventType] = {}
    for owner, system, rows in _CATALOGUE:
        for name, model, changes_books, effect in rows:
            found[name] = EventType(name, model, owner, system, changes_books, effect)
    return found


_Row = tuple[str, type[Part], bool, str]
_CATALOGUE: tuple[tuple[str, str, tuple[_Row, ...]], ...] = (
    ("RevOps", "CRM", (
        ("contract.booked", contracts.ContractBooked, True,
         "No entry; one obligation per line, the total price allocated over stand-alone selling prices."),
        ("amendment.booked", contracts.AmendmentBooked, True,
         "Modification: separate contract, prospective or cumulative catch-up; new expected charges."),
    )),
    ("Revenue accounting", "finance", (
        ("estimate.revised", contracts.EstimateRevised, True,
         "Cumulative catch-up of revenue on the accounting date; not a modification."),
        ("performance.recorded", contracts.PerformanceRecorded, True,
         "Revenue to date becomes price x progress: deferred_revenue or contract_asset against revenue."),
    )),
    ("Billing ops", "billing", (
        ("subscription.created", contracts.SubscriptionCreated, True, "No entry; yields the expected charges of R2."),
        ("pending_charge.recorded", billing.PendingChargeRecorded, True,
         "Recognised over its window against unbilled_receivable until an invoice line names it."),
        ("usage.rated", billing.UsageRated, True, "Dr unbilled_receivable, Cr revenue; the invoice trues it up."),
        ("invoice.posted", billing.InvoicePosted, True,
         "Dr accounts_receivable gross, Cr deferred_revenue or revenue net, Cr tax_liability; starts the schedule."),
        ("invoice.voided", billing.InvoiceEnded, True,
         "Reverses receivable and tax; recognised share to voids, the rest off deferred_revenue."),
        ("credit_note.issued", billing.CreditNoteIssued, True,
         "Recognised share to credit_notes, the rest off deferred_revenue, tax in proportion; Cr receivable, "
         "customer_balance or refund_liability."),
        ("credit_note.voided", billing.CreditNoteVoided, True, "Exact inverse on its own date, then catch-up."),
    )),
    ("AR", "billing", (
        ("invoice.uncollectible", billing.InvoiceEnded, True,
         "Recognised share to bad_debt, the rest off deferred_revenue, Cr accounts_receivable."),
        ("customer_balance.adjusted", cash.CustomerBalanceAdjusted, True,
         "Cr customer_balance (in the customer's favour) against counter_role."),
        ("dunning.status_changed", billing.DunningStatusChanged, False, "No entry; feeds the allowance."),
    )),
    ("Tax", "tax engine", (
        ("tax.recalculated", tax.TaxRecalculated, True, "The difference to accounts_receivable and tax_liability."),
    )),
    ("Payments", "processor", (
        ("payment.settled", cash.PaymentSettled, True,
         "Dr processor_clearing and fees (or cash, external_asset), Cr accounts_receivable, revenue, deferred_revenue "
         "or unapplied_cash."),
        ("payment.failed", cash.PaymentFailed, False, "No entry."),
        ("payment.applied", cash.PaymentApplied, True, "Dr unapplied_cash, Cr accounts_receivable."),
        ("refund.issued", cash.RefundIssued, True,
         "Dr refunds (recognised share), deferred_revenue and tax_liability, or refund_liability if it pays a credit "
         "note; Cr processor_clearing."),
        ("refund.failed", cash.RefundFailed, True, "Exact inverse of the refund on its own date."),
        ("dispute.opened", cash.DisputeOpened, False, "No entry; entries follow the money and the outcome."),
        ("dispute.funds_withdrawn", cash.DisputeFundsWithdrawn, True,
         "Dr disputes_receivable and dispute_fees (or contra in proportion), Cr processor_clearing."),
        ("dispute.funds_reinstated", cash.DisputeFundsReinstated, True,
         "Reverses the withdrawal, or recoverables, by dispute_policy."),
        ("dispute.closed", cash.DisputeClosed, True,
         "Lost: Dr disputes and deferred_revenue for unserved time, Cr disputes_receivable; won: none."),
    )),
    ("Treasury", "processor", (
        ("payout.paid", cash.PayoutPaid, True, "Dr payouts_in_transit, Cr processor_clearing."),
        ("payout.failed", cash.PayoutPaid, True, "Inverse of the payout."),
        ("balance_txn.reported", cash.BalanceTxnReported, False, "No entry; right-hand side of R5, R7 and R9."),
    )),
    ("Treasury", "bank", (
        ("bank.line_posted", bank.BankLinePosted, True,
         "Matched to a payout: Dr cash, Cr payouts_in_transit; else it waits for its payment."),
    )),
    ("Treasury", "finance", (
        ("fx_rate.published", books.FxRatePublished, True,
         "No entry of its own; converts documents of that day on, realised and unrealised differences follow."),
    )),
    ("Controller", "finance", (
        ("balance.reported", books.BalanceReported, False, "No entry; right-hand side of R9 to R14."),
        ("opening_balance.loaded", books.OpeningBalanceLoaded, True, "Cut-over balances against opening_balance."),
        ("period.soft_closed", books.PeriodChanged, True,
         "No entry; later facts of the month move to the first open period, by closed_period_policy."),
        ("period.hard_closed", books.PeriodChanged, True,
         "No entry; the month is locked, later facts move to the first open period, flagged."),
        ("period.reopened", books.PeriodChanged, True, "No entry; the month takes facts again."),
    )),
    ("Integration", "ERP", (
        ("erp.acknowledged", books.ErpAcknowledged, False, "No entry; state of the posting line."),
        ("erp.rejected", books.ErpRejected, False, "No entry; state of the posting line."),
    )),
)  # fmt: skip

EVENT_TYPES: dict[str, EventType] = _types()
UNKNOWN_OWNER = "Data platform"  # of a line whose type cannot be told


@lru_cache(maxsize=1)
def examples() -> dict[str, dict[str, Any]]:
    """Type -> a valid payload, from `examples.json` beside this module."""
    text = resources.files("revenue_assets.domain.events").joinpath("examples.json").read_text("utf-8")
    found: dict[str, dict[str, Any]] = json.loads(text)
    return found
