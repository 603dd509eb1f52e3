"""Payloads about what was sold: contracts, subscriptions, their changes, estimates and performance."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from revenue_assets.domain.events.fields import (
    Currency,
    Day,
    Dec,
    Flag,
    Id,
    Money,
    Part,
    Text,
    Whole,
    Window,
    refuse,
    refuse_repeats,
)  # fmt: skip

LineKind = Literal["good", "service", "option"]
Timing = Literal["in_advance", "in_arrears"]


class DiscountAllocation(Part):
    line_ids: list[Id] = Field(description="Lines that the discount belongs to")
    amount: Money = Field(description="Discount, minor units")


class LineTerms(Window):
    """What a contract line may say, whether booked or amended."""

    line_id: Id = Field(description="Id within the contract")
    product_id: Text | None = Field(None, description="Product")
    product_family: Text | None = Field(None, description="Selects the policy (`default`)")
    kind: LineKind | None = Field(None, description="good, service (default) or option (material right)")
    quantity: Dec | None = Field(None, description="Quantity sold")
    unit_price: Dec | None = Field(None, description="Price of one unit, major units")
    ssp: Money | None = Field(None, description="Stand-alone selling price of the whole line (its amount)")
    residual: Flag | None = Field(None, description="Price is what the other SSPs leave")
    constrained_amount: Money | None = Field(None, description="Expected consideration if lower than amount")
    expected_unit_price: Dec | None = Field(None, description="The same per unit, major units")
    currency: Currency | None = Field(None, description="Currency of the line, if not the contract's")
    exchange_rate: Dec | None = Field(None, description="One unit of the line's currency in the contract's")


class ContractLine(LineTerms):
    amount: Money = Field(description="Stated price of the line, without tax")


class ContractBooked(Part):
    contract_id: Id = Field(description="Id of the contract")
    version: Whole | None = Field(None, description="Version (1)")
    customer_id: Id = Field(description="Customer")
    currency: Currency = Field(description="Currency of the contract")
    cancellable: Flag | None = Field(None, description="Cancellable without penalty (false)")
    opportunity_id: Id | None = Field(None, description="CRM opportunity")
    variable_amount: Money | None = Field(None, description="Constrained variable consideration, added to the price")
    discount_allocations: list[DiscountAllocation] | None = Field(
        None, description="Discounts proven to belong to lines"
    )
    lines: list[ContractLine] = Field(description="One obligation each")

    @model_validator(mode="after")
    def _lines_have_ids_of_their_own(self) -> ContractBooked:
        refuse_repeats("line_id", [line.line_id for line in self.lines])
        return self


class Billing(Part):
    interval: Literal["week", "month", "quarter", "year"] = Field(description="Billing interval")
    anchor: Day = Field(description="A bill date; the others are n intervals away, clipped to month end")
    timing: Timing | None = Field(None, description="in_advance (default) or in_arrears")


class ItemTerms(Part):
    item_id: Id = Field(description="Id of the item")
    product_id: Text | None = Field(None, description="Product")
    product_family: Text | None = Field(None, description="Selects the policy (`default`)")
    quantity: Dec | None = Field(None, description="Quantity (1)")
    tax_rate: Dec | None = Field(None, description="Tax rate as a fraction")
    minimum_amount: Money | None = Field(None, description="Commitment per interval")
    timing: Timing | None = Field(None, description="Overrides the billing's timing")


class SubscriptionItem(ItemTerms):
    unit_price: Dec = Field(description="Price of one unit per interval, major units")


class SubscriptionCreated(Part):
    subscription_id: Id = Field(description="Id of the subscription")
    customer_id: Id = Field(description="Customer")
    contract_id: Id | None = Field(None, description="Contract it carries out")
    currency: Currency = Field(description="Currency of the prices")
    start: Day | None = Field(None, description="First day (effectivedate)")
    end: Day | None = Field(None, description="Day after the last one")
    billing: Billing = Field(description="When it is billed")
    items: list[SubscriptionItem] = Field(description="What is sold")


class AmendedLine(LineTerms):
    action: Literal["add", "replace", "end"] = Field(description="What happens to the line")
    option_line_id: Id | None = Field(None, description="Option whose allocated price joins this line")
    amount: Money | None = Field(None, description="Price of the line without tax; needed unless it ends")

    @model_validator(mode="after")
    def _priced(self) -> AmendedLine:
        if self.action != "end" and self.amount is None:
            raise refuse("needs amount, the price in minor units, for the actions add and replace")
        return self


class AmendedItem(ItemTerms):
    action: Literal["start", "end"] = Field(description="What happens to the item")
    unit_price: Dec | None = Field(None, description="Price of one unit per interval, major units; needed to start")

    @model_validator(mode="after")
    def _priced(self) -> AmendedItem:
        if self.action == "start" and self.unit_price is None:
            raise refuse("needs unit_price for the action start")
        return self


AmendmentKind = Literal[
    "add", "remove", "change", "quantity", "price", "term", "cancel", "pause", "resume", "co_term", "exercise_option"
]


class AmendmentBooked(Part):
    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["contract_id"]}, {"required": ["subscription_id"]}]}
    )

    amendment_id: Id = Field(description="Id of the amendment")
    kind: AmendmentKind = Field(description="What the parties agreed")
    contract_id: Id | None = Field(None, description="Contract it changes (this or subscription_id)")
    subscription_id: Id | None = Field(None, description="Subscription it changes (this or contract_id)")
    classification: Literal["change_of_terms", "error_correction"] | None = Field(
        None, description="change_of_terms (default) or error_correction"
    )
    at_ssp: Flag | None = Field(None, description="Added goods are sold at their SSP (false)")
    distinct: Flag | None = Field(None, description="What remains is distinct (true)")
    lines: list[AmendedLine] | None = Field(None, description="Lines of the contract that change")
    items: list[AmendedItem] | None = Field(None, description="Items of the subscription that change")
    billing: Billing | None = Field(None, description="New billing terms")

    @model_validator(mode="after")
    def _names_what_it_changes(self) -> AmendmentBooked:
        if self.contract_id is None and self.subscription_id is None:
            raise refuse("needs contract_id or subscription_id: what it changes")
        return self


class EstimateRevised(Part):
    contract_id: Id = Field(description="Contract")
    line_id: Id | None = Field(None, description="Line, unless the contract as a whole")
    variable_amount: Money | None = Field(None, description="New variable consideration")
    constrained_amount: Money | None = Field(None, description="New expected consideration of the line")
    expected_unit_price: Dec | None = Field(None, description="The same per unit, major units")
    expected_total: Dec | None = Field(None, description="New expected units or rights")

    @model_validator(mode="after")
    def _says_something(self) -> EstimateRevised:
        told = (self.variable_amount, self.constrained_amount, self.expected_unit_price, self.expected_total)
        if all(value is None for value in told):
            raise refuse("needs one of variable_amount, constrained_amount, expected_unit_price, expected_total")
        return self


class PerformanceRecorded(Part):
    contract_id: Id = Field(description="Contract")
    line_id: Id = Field(description="Line that was performed")
    measure: Literal["delivered", "units", "percent", "rights"] = Field(description="How progress is measured")
    cumulative: Dec | None = Field(None, description="To date; percent as a fraction; not needed for delivered")
    expected_total: Dec | None = Field(None, description="Expected units or rights")

    @model_validator(mode="after")
    def _measured(self) -> PerformanceRecorded:
        if self.measure != "delivered" and self.cumulative is None:
            raise refuse("needs cumulative, the progress to date, unless measure is delivered")
        return self
