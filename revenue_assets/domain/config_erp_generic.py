"""Options of the two generic ERP adapters: an in-house ledger behind the REST contract, or behind a file drop."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Folder = Literal["inbox", "archive", "ack", "extract", "masters"]


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    key_length_max: int = Field(default=64, ge=16, le=255)
    key_unique: bool = False


class GenericOptions(_Options):
    """Options of a ledger that speaks the REST contract. docs/erp-generic.md explains each.

    mode: `async` if a create answers 202 with a job. key_unique: the ledger refuses an external id it has.
    settle_seconds: the longest a request can run, plus the lag of its search; after it a look-up is final.
    batch_size_max: journals whose intents are committed together; each is a request of its own.
    """

    mode: Literal["sync", "async"] = "sync"
    key_header: str = Field(default="Idempotency-Key", pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")
    settle_seconds: float = Field(default=90.0, ge=0)
    timeout_seconds: float = Field(default=60.0, gt=0, le=900)
    batch_size_max: int = Field(default=10, ge=1, le=500)


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
