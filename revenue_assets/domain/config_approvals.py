"""Who approves what, as finance writes it in company.yaml: limits above which a second person decides, and approvers.

Amounts are whole minor units of the entity's functional currency, which is what a batch's total is in; the currency
stands beside them so that a reader knows what they are, and a wrong one is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

SYSTEM = "system"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Limit(_Frozen):
    """A batch of `entity` whose debits are more than `above` waits for an approver."""

    entity: str
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    above: int = Field(ge=0)


class Approver(_Frozen):
    """`name` as the audit log names them: login name, or REVENUE_ACTOR. Decides about amounts up to `up_to`."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$")
    entity: str
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    up_to: int = Field(ge=0)


class Approvals(_Frozen):
    """The delegation of authority; empty: nothing waits for anybody."""

    limits: list[Limit] = []
    approvers: list[Approver] = []


# (is it an error, or does something only have to wait?, place in the data, message, fix)
Problem = tuple[bool, tuple[str | int, ...], str, str]


def problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """What `approvals` and the rest of the configuration say against each other. Works on raw data; pure."""
    found = data.get("approvals")
    block: Mapping[str, Any] = found if isinstance(found, dict) else {}
    currency = {e["id"]: e.get("functional_currency") for _, e in _rows(data.get("entities")) if "id" in e}
    able: dict[str, int] = {}
    seen: set[tuple[Any, ...]] = set()
    for section, identity in (("approvers", ("name", "entity")), ("limits", ("entity",))):
        for number, row in _rows(block.get(section)):
            entity, place = row.get("entity"), ("approvals", section, number)
            if entity not in currency:
                message = f"entity {entity!r} is not in entities.yaml ({', '.join(map(str, currency))})"
                yield True, (*place, "entity"), message, "use one of them"
            elif row.get("currency") != currency[entity]:
                message = (
                    f"{entity} keeps its books in {currency[entity]}; an amount in {row.get('currency')} says nothing"
                )
                yield True, (*place, "currency"), message, f"write the amount in minor units of {currency[entity]}"
            key = (section, *(row.get(name) for name in identity))
            if key in seen:
                yield True, (*place, identity[0]), f"{' / '.join(map(str, key[1:]))} appears more than once", "keep one"
            seen.add(key)
            if section == "approvers":
                if str(row.get("name", "")).lower() == SYSTEM:
                    yield True, (*place, "name"), "'system' is nobody", "name a person"
                if isinstance(entity, str) and isinstance(row.get("up_to"), int):
                    able[entity] = max(able.get(entity, 0), row["up_to"])
            elif isinstance(row.get("above"), int) and able.get(str(entity), -1) <= row["above"]:
                message = (
                    f"nobody may approve for {entity} above {row['above']}: what exceeds the limit would wait for ever"
                )
                yield False, place, message, "add an approver whose up_to is higher"
    for number, row in _rows(data.get("policy")):
        keys = row.get("set")
        if (
            isinstance(keys, dict)
            and keys.get("prior_period_materiality") is not None
            and row.get("entity") not in able
        ):
            at: tuple[str | int, ...] = ("policy", number, "set", "prior_period_materiality")
            message = f"nobody may approve late documents of {row.get('entity')}: they would wait for ever"
            yield False, at, message, "add an approver of the entity in company.yaml (approvals)"


def _rows(found: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, row in enumerate(found if isinstance(found, list) else []):
        if isinstance(row, dict):
            yield number, row
