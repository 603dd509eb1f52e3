"""The rules of two versions side by side: which row, which key, what it was and what it would be."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from revenue_assets.domain import posting_policy
from revenue_assets.domain.config import Company

_IDENTITY = {
    "entities": ("id",), "accounts": ("entity", "role", "product_family"), "reconciliations": ("id",),
    "items": ("entity", "product_family"), "customers": ("customer", "country"), "dimensions": ("entity", "name"),
}  # fmt: skip

_FILE = dict.fromkeys(("items", "customers", "dimensions"), "posting")


class RuleChange(NamedTuple):
    """One key that differs. `row` says whose; None = the version does not set it."""

    file: str
    row: str
    key: str
    old: str | None
    new: str | None


def rule_changes(old: Company, new: Company) -> list[RuleChange]:
    """Every key of a rule that differs, by file and row: all that `Company.rules` holds."""
    return text_changes(old.rules, new.rules)


def text_changes(old: str, new: str) -> list[RuleChange]:
    """The same of two stored rule texts (`Company.rules`)."""
    before, after = _flat(old), _flat(new)
    places = sorted(before.keys() | after.keys())
    return [
        RuleChange(*place, before.get(place), after.get(place))
        for place in places
        if before.get(place) != after.get(place)
    ]


def _flat(text: str) -> dict[tuple[str, str, str], str]:
    rules: dict[str, Any] = json.loads(text)
    found: dict[tuple[str, str, str], str] = {("company", "", "id"): rules["id"]}
    for row in rules["policy"]:
        scope = " / ".join(v for v in (row["entity"], row["product_family"], row["currency"]) if v)
        for key, value in row["set"].items():
            found["policy", scope, key] = _text(value)
    for row in rules.get("posting", ()):
        scope = " / ".join(row[name] for name in posting_policy.SCOPE if row[name]) or "everything"
        for key, value in row["set"].items():
            found["posting", scope, key] = _text(value)
    for section, names in _IDENTITY.items():
        for row in rules.get(section, ()):
            label = " / ".join(str(row[n]) for n in names if row.get(n) is not None)
            for key, value in row.items():
                if key not in names and value is not None:
                    found[_FILE.get(section, section), label, key] = _text(value)
    for name, owner in rules["class_owners"].items():
        found["reconciliations", "class_owners", name] = owner
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
