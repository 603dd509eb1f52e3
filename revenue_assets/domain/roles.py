"""Account roles that the subledger's journals use, and which of them an entity needs under its policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Whatever the policy: these roles come up as soon as somebody is invoiced, pays, disputes or is paid back.
ALWAYS = (
    "accounts_receivable", "deferred_revenue", "revenue", "tax_liability", "cash", "processor_clearing",
    "payouts_in_transit", "external_asset", "fees", "dispute_fees", "unbilled_receivable", "contract_asset",
    "customer_balance", "external_customer_balance", "unapplied_cash", "refund_liability", "refunds", "disputes",
    "bad_debt", "recoverables", "other_loss", "fx_gain", "fx_loss", "currency_exchange", "opening_balance",
)  # fmt: skip
# (policy key, the values under which the roles come up; None = any value but the default, roles).
BY_POLICY: tuple[tuple[str, tuple[Any, ...] | None, tuple[str, ...]], ...] = (
    ("discount_presentation", ("contra",), ("discounts",)),
    ("contra_presentation", ("contra",), ("credit_notes", "voids")),
    ("dispute_policy", ("park_in_receivable",), ("disputes_receivable",)),
    ("payment_tolerance", None, ("payment_difference",)),
    ("intercompany_share", None, ("revenue_share_expense", "intercompany_payable")),
)
PARTNER = ("intercompany_receivable", "intercompany_revenue")
# Used by nothing yet, by reports only, or by opening balances; no warning about them.
OTHER = ("allowance", "suspense", "application_fee_revenue", "cumulative_translation")
KNOWN = frozenset(ALWAYS) | frozenset(PARTNER) | frozenset(OTHER) | {r for *_, rs in BY_POLICY for r in rs}
DEFAULTS = {
    "discount_presentation": "net", "contra_presentation": "contra", "dispute_policy": "park_in_receivable",
    "payment_tolerance": 0, "intercompany_share": None,
}  # fmt: skip


def needed(settings: Mapping[str, list[Any]], is_partner: bool) -> dict[str, str]:
    """Role -> why an entity needs it. `settings`: policy key -> every value that some row of the entity sets;
    `is_partner`: another entity shares revenue with it."""
    why = dict.fromkeys(ALWAYS, "every entity needs it")
    for key, wanted, roles in BY_POLICY:
        values = settings.get(key) or [DEFAULTS[key]]
        hit = [v for v in values if (v in wanted if wanted is not None else v not in (None, 0))]
        if hit:
            shown = hit[0] if isinstance(hit[0], str | int) else "set"
            why |= dict.fromkeys(roles, f"policy {key} is {shown}")
    if is_partner:
        why |= dict.fromkeys(PARTNER, "another entity shares its revenue with this one")
    return why
