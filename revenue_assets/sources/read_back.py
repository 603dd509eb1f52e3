"""What every ERP's read-back lands: one shape, so that nothing downstream knows which ERP it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from revenue_assets.sources.base import ObjectContract

_PERIOD_ID = r"[A-Za-z0-9_.:\-/ ]{1,128}"

OBJECTS: tuple[str, ...] = ("move", "account_balance", "period")

CONTRACTS: dict[str, ObjectContract] = {
    "move": ObjectContract(
        required=("id", "state", "date", "period", "entity_id", "company", "journal", "currency", "lines"),
        amounts=("total_debit", "total_credit"),
        amount_kind="major",
        currency="currency",
        stamps=("date", "create_date"),
        stamp_kind="iso",
    ),
    "account_balance": ObjectContract(
        required=("entity_id", "period", "account_code", "currency", "debit", "credit", "balance"),
        amounts=("debit", "credit", "balance"),
        amount_kind="major",
        currency="currency",
        id_pattern=_PERIOD_ID,
    ),
    "period": ObjectContract(
        required=("entity_id", "name", "state", "start_date", "end_date"),
        stamps=("start_date", "end_date"),
        stamp_kind="iso",
        id_pattern=_PERIOD_ID,
    ),
}


def text_of(values: Mapping[str, Any]) -> str:
    """A record as it lands."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def decimal_text(value: Decimal) -> str:
    """An amount in major units as text, without an exponent."""
    return format(value, "f")
