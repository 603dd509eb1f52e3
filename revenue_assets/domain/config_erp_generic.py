"""Options of the two generic ERP adapters: an in-house ledger behind the REST contract, or behind a file drop."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Folder = Literal["inbox", "archive", "ack", "extract", "masters"]


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    key_length_max: int = Field(default=64, ge=16, le=255)
    key_unique: bool = False


class GenericOptions(_Options):
    """Options of a ledger that speaks the REST contract. docs/erp-generic.md explains each.

    mode: `async` if a create answers 202 with a job. key_unique: the ledger refuses an external id it has.
    settle_seconds: the longest a request can run, plus the lag of its search; after it a look-up is final.
    batch_size_max: documents whose intents are committed together; each is a request of its own.
    kinds: what the ledger takes. masters: what posting may make there; a ledger with invoices keeps customers and items
    in any case.
    page_size: journals in one answer of a listing.
    revenue_schedules: the ledger runs revenue schedules and takes them (docs/revenue-schedules.md).
    """

    mode: Literal["sync", "async"] = "sync"
    key_header: str = Field(default="Idempotency-Key", pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")
    settle_seconds: float = Field(default=90.0, ge=0)
    timeout_seconds: float = Field(default=60.0, gt=0, le=900)
    batch_size_max: int = Field(default=10, ge=1, le=500)
    kinds: list[Literal["journal", "invoice", "credit_note", "cash_application"]] = ["journal"]
    masters: list[Literal["customer", "item"]] = []
    page_size: int = Field(default=200, ge=1, le=500)
    revenue_schedules: bool = False

    @model_validator(mode="after")
    def _whole(self) -> GenericOptions:
        """Whatever is no document of its own goes as a journal; what settles needs what it settles."""
        if "journal" not in self.kinds:
            raise ValueError("kinds must have 'journal': summaries and corrections are journals")
        settling = sorted({"credit_note", "cash_application"} & set(self.kinds))
        if settling and "invoice" not in self.kinds:
            raise ValueError(f"kinds with {settling[0]!r} must have 'invoice': there is nothing else to settle")
        if self.masters and "invoice" not in self.kinds:
            raise ValueError("masters are for ledgers that take invoices: add 'invoice' to kinds")
        return self


class DropOptions(_Options):
    """Options of a ledger that takes journal files and gives extracts. docs/erp-generic.md explains each.

    delimiter: of all files. folders: names below the drop directory, if the ledger's own differ.
    """

    key_length_max: int = Field(default=64, ge=16, le=120)
    delimiter: Literal[",", ";", "|"] = ","
    settle_seconds: float = Field(default=0.0, ge=0)
    batch_size_max: int = Field(default=50, ge=1, le=500)
    folders: dict[Folder, str] = {}

    @field_validator("folders")
    @classmethod
    def _plain_names(cls, value: dict[Folder, str]) -> dict[Folder, str]:
        for name in value.values():
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
                raise ValueError(f"{name!r} is not a plain folder name")
        return value
