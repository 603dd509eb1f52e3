"""Payloads of the books themselves: reported balances, opening balances, rates, periods and the ERP's answers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from revenue_assets.domain.events.fields import (
    Currency,
    Dec,
    Id,
    Money,
    Part,
    Period,
    Role,
    Text,
    Word,
    refuse,
)


class BalanceReported(Part):
    system: Literal["processor", "bank", "erp", "tax"] = Field(description="Whose balance it is")
    account: Text | None = Field(None, description="Processor or bank account")
    account_role: Role | None = Field(None, description="Account role (erp)")
    currency: Currency = Field(description="Currency")
    balance: Money = Field(description="At the end of effectivedate, debit positive from our view")


class OpeningLine(Part):
    account_role: Role = Field(description="Account role")
    currency: Currency = Field(description="Currency")
    amount: Money = Field(description="Debit positive")
    amount_fc: Money | None = Field(None, description="The same in functional currency")
    document_id: Text | None = Field(None, description="Document it belongs to")


class OpeningBalanceLoaded(Part):
    customer_id: Id | None = Field(None, description="Customer")
    lines: list[OpeningLine] = Field(description="Balances at cut-over")


class FxRatePublished(Part):
    from_currency: Currency = Field(alias="from", description="One unit of this currency ...")
    to: Currency = Field(description="... in this currency")
    rate: Dec = Field(description="The rate; only the published direction is exact")
    rate_type: Literal["spot", "average", "closing"] = Field(description="Kind of rate")

    @model_validator(mode="after")
    def _positive(self) -> FxRatePublished:
        if self.rate <= 0:
            raise refuse("needs a rate above 0")
        return self


class PeriodChanged(Part):
    period: Period = Field(description="Month YYYY-MM")
    book: Text | None = Field(None, description="Book (main)")
    subledger: Text | None = Field(None, description="Subledger (all)")
    actor: Word = Field(description="Who did it")
    approvers: list[Text] | None = Field(None, description="Who approved it")
    reason: Text | None = Field(None, description="Why")


class ErpAcknowledged(Part):
    posting_key: Id = Field(description="Key of the posting line")
    batch_id: Id = Field(description="Posting batch")
    document_number: Text | None = Field(None, description="Number of the ERP document")


class ErpRejected(Part):
    posting_key: Id = Field(description="Key of the posting line")
    batch_id: Id = Field(description="Posting batch")
    code: Text | None = Field(None, description="The ERP's code")
    message: Text | None = Field(None, description="The ERP's words")
