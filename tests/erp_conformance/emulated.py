"""What the benches of emulated ledgers share: masters, and looks at the books past the adapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from demo.erp_emulators.behaviour import ALTERATIONS
from demo.erp_emulators.core import Emulator
from demo.erp_emulators.ledger import EXPONENTS

__all__ = ["ACCOUNTS", "COMPANY", "EXPONENTS", "SETUP", "alter", "copies_of"]

COMPANY = "US Inc"
ACCOUNTS = ("1100", "4000", "7000")
SETUP: dict[str, Any] = {"companies": {COMPANY: "USD", "UK Ltd": "GBP"}, "accounts": ACCOUNTS, "years": [2025, 2026]}


def copies_of(erp: Emulator, keys: Sequence[str]) -> Mapping[str, int]:
    """Key -> documents that carry it."""
    copies = erp.copies()
    return {key: copies[key] for key in keys if copies[key]}


def alter(erp: Emulator, document_id: str) -> None:
    """One cent more on two lines of the document, in the books."""
    held = erp.one(document_id)
    erp.ledger.replace(document_id, replace(ALTERATIONS["cent"](held, erp.dice).entry, state=held.state))
