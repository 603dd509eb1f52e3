"""Payloads about what was billed: charges, usage, invoices, credit notes, dunning."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from revenue_assets.domain.events.fields import (
    Currency,
    Day,
    Dec,
    Id,
    Money,
    Part,
    TaxLine,
    Text,
    Whole,
    Window,
    Word,
    refuse,
    refuse_repeats,
)  # fmt: skip


class PendingChargeRecorded(Window):
    pending_charge_id: Id = Field(description="Id of the charge")
    customer_id: Id = Field(description="Customer")
    subscription_item_id: Id | None = Field(None, description="Item it comes from")
    currency: Currency = Field(description="Currency")
    amount: Money = Field(description="Without tax; may be negative")
    product_family: Text | None = Field(None, description="Selects the policy (`default`)")


class UsageRated(Part):
    usage_id: Id = Field(description="Id of the record")
    subscription_item_id: Id = Field(description="Item that was used")
    customer_id: Id | None = Field(None, description="Customer")
    window_start: Day = Field(description="First day of the billing window")
    window_end: Day = Field(description="Day after the window (exclusive)")
    quantity: Dec = Field(description="What was used")
    unit_price: Dec | None = Field(None, description="Price of one unit, major units")
    amount: Money = Field(description="Value of this record alone")
    currency: Currency = Field(description="Currency")
    aggregation: Literal["sum", "max", "last_during_period", "last_ever"] | None = Field(
        None, description="How the records of a window add up (sum)"
    )
    rate_version: Whole | None = Field(None, description="A higher one replaces the lower (1)")

    @model_validator(mode="after")
    def _window_has_days(self) -> UsageRated:
        if self.window_start >= self.window_end:
            raise refuse("has a window without a day: window_end is exclusive and must be after window_start")
        return self


class InvoiceLine(Window):
    line_id: Id = Field(description="Id within the invoice")
    amount: Money = Field(description="After discount, without tax; may be negative or 0")
    discount_amount: Money | None = Field(None, description="List price = amount + discount_amount (0)")
    tax_amount: Money | None = Field(None, description="Tax as one unnamed line (this or tax_lines)")
    tax_lines: list[TaxLine] | None = Field(None, description="Tax by code and jurisdiction")
    product_id: Text | None = Field(None, description="Product")
    product_family: Text | None = Field(None, description="Selects the policy (`default`)")
    quantity: Dec | None = Field(None, description="Quantity")
    unit_price: Dec | None = Field(None, description="Price of one unit, major units")
    charge_kind: Literal["recurring", "proration", "usage", "one_time", "true_up"] | None = Field(
        None, description="Kind of charge"
    )
    subscription_item_id: Id | None = Field(None, description="Subscription item it bills")
    contract_id: Id | None = Field(None, description="With contract_line_id: the line only bills that obligation")
    contract_line_id: Id | None = Field(None, description="Line of the contract")
    pending_charge_id: Id | None = Field(None, description="Pending charge it bills")
    original_line_id: Id | None = Field(None, description="Line that it prorates")

    @model_validator(mode="after")
    def _whole(self) -> InvoiceLine:
        if self.contract_line_id is not None and self.contract_id is None:
            raise refuse("has a contract_line_id and needs the contract_id of that line too")
        return self


class Advance(Part):
    payment_id: Id = Field(description="Payment that was the advance")
    amount: Money = Field(description="Part of it that this invoice uses")


class Installment(Part):
    due_date: Day = Field(description="When it is due")
    amount: Money = Field(description="What is due")


class InvoicePosted(Part):
    invoice_id: Id = Field(description="Id of the invoice")
    customer_id: Id = Field(description="Customer")
    number: Text | None = Field(None, description="Number on the document")
    currency: Currency = Field(description="Currency of all amounts")
    due_date: Day | None = Field(None, description="When it is due")
    consolidated_invoice_id: Id | None = Field(None, description="Shared by the invoices of several entities")
    lines: list[InvoiceLine] = Field(description="What is billed")
    customer_balance_applied: Money | None = Field(None, description="Stored credit used; negative = amount owed added")
    advances: list[Advance] | None = Field(None, description="Advances used")
    installments: list[Installment] | None = Field(None, description="Instalments")

    @model_validator(mode="after")
    def _lines_have_ids_of_their_own(self) -> InvoicePosted:
        refuse_repeats("line_id", [line.line_id for line in self.lines])
        return self


class InvoiceEnded(Part):
    invoice_id: Id = Field(description="Invoice")
    reason: Text | None = Field(None, description="Why")


class CreditNoteLine(Part):
    invoice_line_id: Id = Field(description="Line of the invoice that is credited")
    amount: Money = Field(description="Positive, without tax")
    tax_amount: Money | None = Field(None, description="Tax credited (derived from the line's tax)")

    @model_validator(mode="after")
    def _credits(self) -> CreditNoteLine:
        if self.amount < 0:
            raise refuse("needs a positive amount: a credit note states what it takes off")
        return self


class Settlement(Part):
    refund: Money | None = Field(None, description="To be refunded")
    customer_balance: Money | None = Field(None, description="Stored as credit")
    out_of_band: Money | None = Field(None, description="Settled elsewhere")


class CreditNoteIssued(Part):
    credit_note_id: Id = Field(description="Id of the note")
    invoice_id: Id = Field(description="Invoice it credits")
    currency: Currency = Field(description="Currency")
    timing: Literal["pre_payment", "post_payment"] = Field(description="Before or after the invoice was paid")
    reason: Text | None = Field(None, description="Why")
    lines: list[CreditNoteLine] = Field(description="What is credited")
    settlement: Settlement | None = Field(None, description="How it is given back (post_payment); sums to the gross")


class CreditNoteVoided(Part):
    credit_note_id: Id = Field(description="Note that is void")


class DunningStatusChanged(Part):
    invoice_id: Id = Field(description="Invoice")
    stage: Word = Field(description="Stage of dunning")
