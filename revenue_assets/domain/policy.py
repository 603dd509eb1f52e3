"""The policy keys a company may set (docs/policy.md) and what each accepts. First value of a tuple = default."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
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
    "reporting_income_rate": ("transaction", "average"),
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
TOLERANCES = ("absolute", "share", "days")
RECON_ID = re.compile(r"R(1[0-7]|[1-9])")
KEYS = frozenset(CHOICES) | FLAGS | AMOUNTS | OPTIONAL_AMOUNTS | {
    "intercompany_share", "summary_key", "recon_tolerance", "recon_owner", "loss_allowance",
}  # fmt: skip


# Read from rows of an entity alone; a row narrowed by family or currency is ignored for them.
ENTITY_ONLY = frozenset({
    "summary_key", "net_lines", "detail_threshold", "min_line", "recon_tolerance", "variance_materiality",
    "recon_owner", "reporting_income_rate",
})  # fmt: skip


def problem(key: str, value: Any) -> str | None:
    """What is wrong with `value` for policy `key`, in words; None if it is fine. `key` must be in KEYS."""
    return next(iter(problems(key, value)), None)


def problems(key: str, value: Any) -> list[str]:
    """Everything that is wrong with `value` for policy `key`: several for a map, at most one otherwise."""
    if key == "recon_tolerance":
        return list(_tolerance_problems(value))
    if key == "recon_owner":
        return list(_owner_problems(value))
    wrong = _problem(key, value)
    return [wrong] if wrong else []


def _problem(key: str, value: Any) -> str | None:
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
    if key == "loss_allowance":
        return _allowance_problem(value)
    return _intercompany_problem(value)


def _allowance_problem(value: Any) -> str | None:
    """`[{days_past_due: 0, rate: "0.003"}, {days_past_due: 31, rate: "0.05"}]`: a rate from that many days on."""
    if value is None:
        return None
    shape = 'loss_allowance must be a list such as [{days_past_due: 31, rate: "0.05"}]'
    if not isinstance(value, list) or not value:
        return shape
    if any(not isinstance(row, dict) or set(row) != {"days_past_due", "rate"} for row in value):
        return shape
    days = [row["days_past_due"] for row in value]
    if any(not isinstance(day, int) or isinstance(day, bool) or day < 0 for day in days):
        return f"loss_allowance.days_past_due must be whole numbers, 0 or more; they are {days}"
    if days != sorted(set(days)):
        return f"loss_allowance.days_past_due must rise from row to row; they are {days}"
    wrong = next((w for row in value if (w := share_problem(row["rate"]))), None)
    return f"loss_allowance.rate {wrong}" if wrong else None


def _intercompany_problem(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != {"performing_entity", "share"}:
        return 'intercompany_share must be {performing_entity: ..., share: "0.40"}'
    wrong = share_problem(value["share"])
    if wrong is None and Decimal(value["share"]) in (0, 1):
        wrong = f"must lie between 0 and 1, both excluded; it is {value['share']}"
    return f"intercompany_share.share {wrong}" if wrong else None


def _tolerance_problems(value: Any) -> Iterator[str]:
    """`{R2: {absolute: 5, share: "0.001", days: 3}}`; a misspelt word would be a tolerance of nothing."""
    if not isinstance(value, dict):
        yield 'recon_tolerance must be a map such as {R2: {absolute: 5, share: "0.001", days: 3}}'
        return
    for recon, limits in value.items():
        if not RECON_ID.fullmatch(recon):
            yield f"recon_tolerance names {recon!r}, which is no reconciliation; write R1 to R17"
        if not isinstance(limits, dict):
            yield f"recon_tolerance.{recon} must be a map of absolute, share and days; it is {limits!r}"
            continue
        for name, limit in limits.items():
            if name not in TOLERANCES:
                close = difflib.get_close_matches(name, TOLERANCES, 1)
                hint = f"did you mean {close[0]!r}" if close else f"known: {', '.join(TOLERANCES)}"
                yield f"recon_tolerance.{recon} has unknown key {name!r}; {hint}"
            elif name == "share":
                wrong = share_problem(limit)
                if wrong:
                    yield f"recon_tolerance.{recon}.share {wrong}"
            elif not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
                unit = "days" if name == "days" else "minor units"
                yield f"recon_tolerance.{recon}.{name} must be a whole number of {unit}, 0 or more; it is {limit!r}"


def share_problem(value: Any) -> str | None:
    """What is wrong with a share written as a quoted decimal from 0 to 1; None if it is fine."""
    try:
        share = Decimal(value) if isinstance(value, str) else None
    except InvalidOperation:
        share = None
    if share is None or not share.is_finite():
        return f'must be a quoted decimal such as "0.005"; it is {value!r}'
    return None if 0 <= share <= 1 else f"must lie between 0 and 1; it is {share}"


def _owner_problems(value: Any) -> Iterator[str]:
    if not isinstance(value, dict):
        yield "recon_owner must be a map of variance class to team, such as {amount: Controller}"
        return
    for variance_class, owner in value.items():
        if not isinstance(owner, str) or not owner.strip():
            yield f"recon_owner.{variance_class} names no owner; write the team"
