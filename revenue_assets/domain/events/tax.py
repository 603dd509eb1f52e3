"""Payloads of the tax engine."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from revenue_assets.domain.events.fields import Id, Money, Part, Text


class RecalculatedLine(Part):
    line_id: Id = Field(description="Line of the document")
    old_amount: Money = Field(description="Tax before")
    new_amount: Money = Field(description="Tax now")
    tax_code: Text | None = Field(None, description="Code of the tax engine")
    jurisdiction: Text | None = Field(None, description="Who levies it")


class TaxRecalculated(Part):
    document_type: Literal["invoice", "credit_note"] = Field(description="Kind of document")
    document_id: Id = Field(description="Invoice or credit note")
    reason: Text | None = Field(None, description="Why")
    lines: list[RecalculatedLine] = Field(description="Tax by line")
