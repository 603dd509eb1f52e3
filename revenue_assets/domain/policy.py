"""The policy keys a company may set (docs/policy.md) and what each accepts. First value of a tuple = default."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

CHOICES: dict[str, tuple[str, ...]] = {
    "recognition": (
        "ratable_daily", "ratable_monthly_equal", "monthly_prorata_temporis", "half_month", "monthly_anniversary",
        "thirty_360", "point_in_time", "as_invoiced", "proportional_performance", "breakage",
    ),
    "schedule_rounding": ("largest_remainder", "cumulative", "last_absorbs", "first_absorbs"),
    "rounding_unit": ("minor", "whole"),
    "usage_recognition": ("as_reported", "as_invoiced"),
    "discount_presentation": ("net", "contra"),
    "receivable_timing": ("at_invoice", "at_due_or_paid"),
    "credit_split": ("proportional", "deferred_first", "recognised_first"),
    "contra_presentation": ("contra", "revenue"),
    "refund_policy": ("proportional", "gross_contra"),
    "dispute_policy": ("park_in_receivable", "proportional_contra"),
    "uncollectible_policy": ("split", "full_bad_debt"),
    "fee_method": ("gross", "net"),
    "reference_match": ("exact", "normalised", "contains"),
    "fx_rate_source": ("processor", "table"),
    "revaluation": ("month_end", "none"),
    "closed_period_policy": ("first_open", "reject"),
    "proration_basis": ("actual_period", "thirty_360"),
    "cancel_credit": ("prorated", "none"),
}  # fmt: skip
FLAGS = frozenset({"bad_debt_tax_relief", "termination_day_billed", "net_lines"})
AMOUNTS = frozenset({"immediate_max_days", "payment_tolerance", "min_line", "variance_materiality"})
OPTIONAL_AMOUNTS = frozenset({"prior_period_materiality", "detail_threshold"})
SUMMARY_COLUMNS = (
    "posting_period", "account_role", "currency", "product_family", "event_class", "prior_period",
    "accounting_date", "tax_code", "jurisdiction", "customer_id",
)  # fmt: skip
KEYS = frozenset(CHOICES) | FLAGS | AMOUNTS | OPTIONAL_AMOUNTS | {
    "intercompany_share", "summary_key", "recon_tolerance", "recon_owner",
}  # fmt: skip


def problem(key: str, value: Any) -> str | None:
    """What is wrong with `value` for policy `key`, in words; None if it is fine. `key` must be in KEYS."""
    if key in CHOICES:
        ok = value in CHOICES[key]
        return None if ok else f"{key} must be one of {', '.join(CHOICES[key])}; it is {value!r}"
    if key in FLAGS:
        return None if isinstance(value, bool) else f"{key} must be true or false; it is {value!r}"
    if key in AMOUNTS | OPTIONAL_AMOUNTS:
        if value is None and key in OPTIONAL_AMOUNTS:
            return None
        ok = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        return None if ok else f"{key} must be a whole number of minor units, 0 or more; it is {value!r}"
    if key == "summary_key":
        unknown = [c for c in value if c not in SUMMARY_COLUMNS] if isinstance(value, list) else [value]
        return f"summary_key has unknown columns {unknown}; known: {', '.join(SUMMARY_COLUMNS)}" if unknown else None
    if key == "intercompany_share":
        return _intercompany_problem(value)
    return _map_problem(key, value)


def _intercompany_problem(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != {"performing_entity", "share"}:
        return 'intercompany_share must be {performing_entity: ..., share: "0.40"}'
    try:
        share = Decimal(value["share"])
    except (InvalidOperation, TypeError):
        return f"intercompany_share.share must be a quoted decimal; it is {value['share']!r}"
    return None if 0 < share < 1 else f"intercompany_share.share must lie between 0 and 1; it is {share}"


def _map_problem(key: str, value: Any) -> str | None:
    if not isinstance(value, dict):
        return f"{key} must be a map"
    if key == "recon_tolerance":
        bad = [k for k in value if not re.fullmatch(r"R(1[0-7]|[1-9])", k)]
        return f"recon_tolerance names unknown reconciliations {bad}" if bad else None
    return None
