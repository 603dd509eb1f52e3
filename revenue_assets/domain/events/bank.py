"""Payloads of bank statements."""

from __future__ import annotations

from pydantic import Field

from revenue_assets.domain.events.fields import Currency, Id, Money, Part, Text, Word


class BankLinePosted(Part):
    bank_line_id: Id = Field(description="Id of the statement line")
    bank_account: Word = Field(description="Bank account")
    statement_id: Text | None = Field(None, description="Statement")
    amount: Money = Field(description="Plus = money in")
    currency: Currency = Field(description="Currency of the account")
    reference: Text | None = Field(None, description="Remittance text; a payout id matches the payout")
    counterparty: Text | None = Field(None, description="Who paid or was paid")
