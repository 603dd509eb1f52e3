"""Payloads about money that customers paid or got back: payments, refunds, disputes, stored credit, payouts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from revenue_assets.domain.events.fields import (
    BalanceTxn,
    Currency,
    Day,
    Flag,
    Id,
    Money,
    Part,
    Role,
    Text,
    Window,
)  # fmt: skip


class Application(Part):
    invoice_id: Id = Field(description="Invoice that is paid")
    amount: Money = Field(description="What of the payment it takes, presentment currency")
    entityid: Id | None = Field(None, description="Legal entity of the invoice, if not the payment's")


class DirectCharge(Window):
    amount: Money = Field(description="Without tax")
    tax_amount: Money | None = Field(None, description="Tax")
    product_family: Text | None = Field(None, description="Selects the policy (`default`)")


class PaymentSettled(Part):
    payment_id: Id = Field(description="Id of the payment")
    customer_id: Id | None = Field(None, description="Who paid")
    amount: Money = Field(description="Gross, presentment currency")
    currency: Currency = Field(description="Presentment currency")
    channel: Literal["processor", "bank", "external"] = Field(description="Way the money came")
    reference: Text | None = Field(None, description="Remittance text")
    applications: list[Application] | None = Field(None, description="Invoices it pays")
    balance_txn: BalanceTxn | None = Field(None, description="Movement of the processor balance")
    settled_amount: Money | None = Field(None, description="What the bank credited, if in another currency")
    settled_currency: Currency | None = Field(None, description="Currency of settled_amount")
    direct_charge: DirectCharge | None = Field(None, description="Sale without an invoice")
    advance: Flag | None = Field(None, description="Prepayment: a contract liability (false)")
    application_fee_amount: Money | None = Field(None, description="As agent: only this is ours")


class PaymentFailed(Part):
    payment_id: Id = Field(description="Payment that failed")
    invoice_id: Id | None = Field(None, description="Invoice it was for")
    amount: Money | None = Field(None, description="Amount that was asked for")
    currency: Currency | None = Field(None, description="Currency")
    failure_code: Text | None = Field(None, description="The processor's reason")


class PaymentApplied(Part):
    payment_id: Id = Field(description="Payment whose unapplied cash is used")
    applications: list[Application] = Field(description="Invoices it pays")


class RefundAllocation(Part):
    invoice_id: Id = Field(description="Invoice")
    line_id: Id | None = Field(None, description="Line of the invoice")
    amount: Money = Field(description="Gross")


class RefundIssued(Part):
    refund_id: Id = Field(description="Id of the refund")
    payment_id: Id = Field(description="Payment that is given back")
    amount: Money = Field(description="Gross, presentment currency")
    currency: Currency = Field(description="Presentment currency")
    reason: Text | None = Field(None, description="Why")
    balance_txn: BalanceTxn | None = Field(None, description="Movement of the processor balance")
    credit_note_id: Id | None = Field(None, description="Credit note whose refund liability it pays")
    allocations: list[RefundAllocation] | None = Field(
        None, description="What it reduces (all lines the payment paid, in proportion to their gross)"
    )


class RefundFailed(Part):
    refund_id: Id = Field(description="Refund that came back")


class DisputeOpened(Part):
    dispute_id: Id = Field(description="Id of the dispute")
    payment_id: Id = Field(description="Payment in dispute")
    amount: Money = Field(description="Amount in dispute")
    currency: Currency = Field(description="Currency")
    reason: Text | None = Field(None, description="Reason given by the card holder's bank")


class DisputeFundsWithdrawn(DisputeOpened):
    balance_txns: list[BalanceTxn] | None = Field(None, description="Movements of the processor balance, with the fee")


class DisputeFundsReinstated(Part):
    dispute_id: Id = Field(description="Dispute")
    payment_id: Id | None = Field(None, description="Payment in dispute")
    amount: Money = Field(description="Amount given back")
    currency: Currency = Field(description="Currency")
    reason: Text | None = Field(None, description="Reason")
    balance_txns: list[BalanceTxn] | None = Field(None, description="Movements of the processor balance")


class DisputeClosed(Part):
    dispute_id: Id = Field(description="Dispute")
    outcome: Literal["won", "lost"] = Field(description="How it ended")
    reason: Text | None = Field(None, description="Reason")


class CustomerBalanceAdjusted(Part):
    adjustment_id: Id = Field(description="Id of the adjustment")
    customer_id: Id = Field(description="Customer")
    amount: Money = Field(description="Plus = in the customer's favour")
    currency: Currency = Field(description="Currency")
    counter_role: Role = Field(description="Account role of the other side")


class PayoutPaid(Part):
    payout_id: Id = Field(description="Id of the payout")
    account: Text | None = Field(None, description="Processor account (`default`)")
    amount: Money = Field(description="Amount paid out")
    currency: Currency = Field(description="Settlement currency")
    arrival_date: Day | None = Field(None, description="When the bank should have it")
    destination: Text | None = Field(None, description="Bank account")
    reference: Text | None = Field(None, description="Text on the bank statement")
    members: list[Id] | None = Field(None, description="Ids of the balance transactions it pays out")


class BalanceTxnReported(Part):
    balance_txn: BalanceTxn = Field(description="The processor's own report line")
    object_id: Id | None = Field(None, description="Payment, refund, dispute or payout it belongs to")
