"""What one part of a company's configuration says about another: references, doubles, accounts that policy needs.

Works on raw data that may be wrong anywhere else, so that a person sees everything in one go. Pure.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from revenue_assets.domain import config_approvals, policy, posting_policy, roles
from revenue_assets.domain.events.registry import EVENT_TYPES

STRUCTURE, COMPLETENESS, ADVICE = "structure", "completeness", "advice"


@dataclass(frozen=True)
class Remark:
    """`place` in the merged data; a remark of kind advice is a warning. `fix` is an imperative."""

    kind: str
    place: tuple[str | int, ...]
    message: str
    fix: str


def remarks(
    data: Mapping[str, Any],
    *,
    classes: Iterable[str],
    currencies: frozenset[str] | None,
    sold_families: frozenset[str] | None,
) -> Iterator[Remark]:
    """Every cross-reference that fails. `currencies`: known ISO codes; `sold_families`: those that occur in landed
    history; None = not known here, so not checked."""
    ids = [e["id"] for _, e in _rows(data, "entities") if isinstance(e.get("id"), str)]
    yield from _doubles(data)
    yield from _entity_references(data, ids)
    yield from _policy_rows(data, ids, tuple(classes))
    yield from _posting_rows(data)
    yield from _accounts(data, ids)
    yield from _owners(data, tuple(classes))
    for is_error, place, message, fix in config_approvals.problems(data):
        yield Remark(STRUCTURE if is_error else COMPLETENESS, place, message, fix)
    if currencies is not None:
        yield from _currencies(data, currencies)
    yield from _families(data, sold_families)
    yield from _advice(data, ids)


def _rows(data: Mapping[str, Any], section: str) -> Iterator[tuple[int, dict[str, Any]]]:
    found = data.get(section)
    for number, row in enumerate(found if isinstance(found, list) else []):
        if isinstance(row, dict):
            yield number, row


_IDENTITY = {
    "entities": ("id",), "sources": ("name",), "reconciliations": ("id",),
    "accounts": ("role", "entity", "product_family"), "items": ("product_family", "entity"),
    "dimensions": ("name", "entity"),
}  # fmt: skip


def _doubles(data: Mapping[str, Any]) -> Iterator[Remark]:
    for section, names in _IDENTITY.items():
        seen: dict[tuple[str, ...], int] = {}
        for number, row in _rows(data, section):
            key = tuple(str(row.get(name)) for name in names)
            if row.get(names[0]) is None:
                continue
            if key in seen:
                shown = " / ".join(str(row[n]) for n in names if row.get(n) is not None)
                message = f"{shown} appears more than once, first in row {seen[key] + 1}"
                yield Remark(STRUCTURE, (section, number, names[0]), message, "keep one of each")
            seen.setdefault(key, number)


def _entity_references(data: Mapping[str, Any], ids: list[str]) -> Iterator[Remark]:
    for section in ("policy", "sources", "accounts", "posting", "items", "dimensions"):
        for number, row in _rows(data, section):
            entity = row.get("entity")
            if isinstance(entity, str) and entity not in ids:
                known = ", ".join(ids) or "which is empty"
                message = f"entity {entity!r} is not in entities.yaml ({known})"
                yield Remark(STRUCTURE, (section, number, "entity"), message, "use one of them or add the entity")
    for number, row in _rows(data, "sources"):
        if row.get("vendor") == "stripe" and row.get("entity") is None:
            message = "a billing account needs the `entity` it bills for"
            yield Remark(STRUCTURE, ("sources", number), message, "add `entity`")


def _policy_rows(data: Mapping[str, Any], ids: list[str], classes: tuple[str, ...]) -> Iterator[Remark]:
    seen: dict[tuple[Any, ...], int] = {}
    for number, row in _rows(data, "policy"):
        keys = row.get("set")
        if not isinstance(keys, dict):
            continue
        scope = (row.get("entity"), row.get("product_family"), row.get("currency"))
        for key, value in keys.items():
            place = ("policy", number, "set", key)
            if key not in policy.KEYS:
                close = difflib.get_close_matches(key, policy.KEYS, 1)
                hint = f"did you mean {close[0]!r}?" if close else "remove it; docs/policy.md lists the keys"
                yield Remark(STRUCTURE, place, f"unknown policy key {key!r}", hint)
                continue
            for wrong in policy.problems(key, value):
                yield Remark(STRUCTURE, place, wrong, "write one of the accepted values (docs/policy.md)")
            if (*scope, key) in seen:
                message = (
                    f"{key} is already set for the same entity, family and currency in row {seen[*scope, key] + 1}"
                )
                yield Remark(STRUCTURE, place, message, "keep one of them")
            seen.setdefault((*scope, key), number)
            if key in policy.ENTITY_ONLY and scope[1:] != (None, None):
                message = f"{key} is read from rows of a whole entity; this narrowed row is ignored for it"
                yield Remark(ADVICE, place, message, "move it to the entity's own row")
            if key == "intercompany_share":
                yield from _partner(place, row.get("entity"), value, ids)
            if key == "recon_owner" and isinstance(value, dict):
                yield from _unknown_classes((*place,), value, classes)


def _posting_rows(data: Mapping[str, Any]) -> Iterator[Remark]:
    """Rows of posting.yaml, each by itself, and a key that two rows set for the same scope."""
    seen: dict[tuple[Any, ...], int] = {}
    for number, row in _rows(data, "posting"):
        for place, message, fix in posting_policy.problems(row, EVENT_TYPES):
            yield Remark(STRUCTURE, ("posting", number, *place), message, fix)
        keys = row.get("set")
        scope = tuple(row.get(name) for name in posting_policy.SCOPE)
        for key in keys if isinstance(keys, dict) else ():
            if (*scope, key) in seen:
                message = f"{key} is already set for the same scope in row {seen[*scope, key] + 1}"
                yield Remark(STRUCTURE, ("posting", number, "set", key), message, "keep one of them")
            seen.setdefault((*scope, key), number)
    details = [
        n for n, row in _rows(data, "posting")
        if isinstance(row.get("set"), dict) and row["set"].get("posting_kind") == "detail"
        and str(row.get("event_class")) != "payment.settled"
    ]  # fmt: skip
    if details and not data.get("items"):
        message = "posting_kind detail needs the ERP's items, and there are none"
        fix = "add `items` to posting.yaml; until then these documents wait as mapping_missing"
        yield Remark(COMPLETENESS, ("posting", details[0]), message, fix)


def _partner(place: tuple[str | int, ...], entity: Any, value: Any, ids: list[str]) -> Iterator[Remark]:
    partner = value.get("performing_entity") if isinstance(value, dict) else None
    if partner is None:
        return
    if partner not in ids:
        message = f"intercompany_share.performing_entity {partner!r} is not in entities.yaml ({', '.join(ids)})"
        yield Remark(STRUCTURE, place, message, "name an entity of the group")
    elif partner == entity:
        message = "intercompany_share.performing_entity is the contracting entity itself"
        yield Remark(STRUCTURE, place, message, "name the other entity")


def _accounts(data: Mapping[str, Any], ids: list[str]) -> Iterator[Remark]:
    types: dict[tuple[Any, str], tuple[str, int]] = {}
    mapped: dict[str | None, set[str]] = {}
    for number, row in _rows(data, "accounts"):
        role, code, kind, entity = (row.get(n) for n in ("role", "code", "type", "entity"))
        if isinstance(role, str):
            if row.get("product_family") is None:
                mapped.setdefault(entity, set()).add(role)
            if role not in roles.KNOWN:
                close = difflib.get_close_matches(role, roles.KNOWN, 1)
                hint = f"did you mean {close[0]!r}?" if close else "remove it"
                yield Remark(ADVICE, ("accounts", number, "role"), f"no journal line uses role {role!r}", hint)
        if isinstance(code, str) and isinstance(kind, str):
            first, where = types.setdefault((entity, code), (kind, number))
            if first != kind:
                message = f"account {code} is of type {kind} here and of type {first} in row {where + 1}"
                yield Remark(STRUCTURE, ("accounts", number, "type"), message, "one account has one type")
    partners = set()
    for _, row in _rows(data, "policy"):
        share = row["set"].get("intercompany_share") if isinstance(row.get("set"), dict) else None
        partners |= {share.get("performing_entity")} if isinstance(share, dict) else set()
    for _, row in _rows(data, "entities"):
        entity = row.get("id")
        if entity not in ids:
            continue
        has = mapped.get(None, set()) | mapped.get(entity, set())
        for role, why in sorted(roles.needed(_settings(data, entity), entity in partners).items()):
            if role not in has:
                message = f"entity {entity} has no account for role {role} ({why})"
                fix = f"add a row with role {role} to accounts.yaml; until then its entries wait as mapping_missing"
                yield Remark(COMPLETENESS, ("accounts",), message, fix)


def _settings(data: Mapping[str, Any], entity: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for _, row in _rows(data, "policy"):
        if row.get("entity") == entity and isinstance(row.get("set"), dict):
            for key, value in row["set"].items():
                found.setdefault(key, []).append(value)
                # A narrowed row leaves the default in force elsewhere.
                if (row.get("product_family") or row.get("currency")) and key in roles.DEFAULTS:
                    found[key].append(roles.DEFAULTS[key])
    return found


def _unknown_classes(
    place: tuple[str | int, ...], found: Mapping[str, Any], classes: tuple[str, ...]
) -> Iterator[Remark]:
    for name in found:
        if name not in classes:
            close = difflib.get_close_matches(name, classes, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(classes)}"
            yield Remark(STRUCTURE, (*place, name), f"unknown class {name!r}", hint)


def _owners(data: Mapping[str, Any], classes: tuple[str, ...]) -> Iterator[Remark]:
    for number, row in _rows(data, "reconciliations"):
        owner = row.get("owner")
        if isinstance(owner, str) and not owner.strip():
            message = f"{row.get('id')} has no owner: its variances would be nobody's"
            yield Remark(STRUCTURE, ("reconciliations", number, "owner"), message, "name the team that acts on them")
        share = row.get("tolerance_share", "0")
        wrong = policy.share_problem(share)
        if wrong:
            place = ("reconciliations", number, "tolerance_share")
            yield Remark(STRUCTURE, place, f"tolerance_share {wrong}", "write a share of the left amount")
    owners = data.get("class_owners")
    if isinstance(owners, dict):
        yield from _unknown_classes(("class_owners",), owners, classes)
        for name, owner in owners.items():
            if isinstance(owner, str) and not owner.strip():
                yield Remark(
                    STRUCTURE, ("class_owners", name), f"class {name} has no owner", "name a team or remove it"
                )


def _currencies(data: Mapping[str, Any], known: frozenset[str]) -> Iterator[Remark]:
    named = [(("entities", n, "functional_currency"), e.get("functional_currency")) for n, e in _rows(data, "entities")]
    named += [(("policy", n, "currency"), row.get("currency")) for n, row in _rows(data, "policy")]
    for place, code in [*named, (("group_currency",), data.get("group_currency"))]:
        if isinstance(code, str) and code not in known:
            message = f"{code!r} is no currency whose minor units are known"
            yield Remark(STRUCTURE, place, message, "use the ISO 4217 code, such as EUR")


def _families(data: Mapping[str, Any], sold: frozenset[str] | None) -> Iterator[Remark]:
    own_account = {row.get("product_family") for _, row in _rows(data, "accounts")} - {None}
    for section in ("policy", "accounts"):
        for number, row in _rows(data, section):
            family = row.get("product_family")
            if not isinstance(family, str):
                continue
            place = (section, number, "product_family")
            if sold is not None and family not in sold:
                close = difflib.get_close_matches(family, sold, 1)
                hint = f"did you mean {close[0]!r}?" if close else "remove the row, or leave it for a product to come"
                yield Remark(ADVICE, place, f"nobody sells family {family!r}: no landed product has it", hint)
            elif sold is None and section == "policy" and own_account and family not in own_account:
                close = difflib.get_close_matches(family, {str(f) for f in own_account}, 1)
                if close:
                    message = f"family {family!r} has no account of its own, but {close[0]!r} has"
                    yield Remark(ADVICE, place, message, "check the spelling")


def _advice(data: Mapping[str, Any], ids: list[str]) -> Iterator[Remark]:
    with_rows = {row.get("entity") for _, row in _rows(data, "policy")}
    companies: dict[str, str] = {}
    for number, row in _rows(data, "entities"):
        entity, company = row.get("id"), row.get("erp_company")
        if entity in ids and entity not in with_rows:
            message = f"entity {entity} has no policy row: every default holds"
            yield Remark(ADVICE, ("entities", number), message, "write the policy you mean, if only to show it")
        if isinstance(company, str) and companies.setdefault(company, str(entity)) != entity:
            message = f"entities {companies[company]} and {entity} post to the same ERP company {company!r}"
            yield Remark(ADVICE, ("entities", number, "erp_company"), message, "give each its own")
    configured = {row.get("id") for _, row in _rows(data, "reconciliations")}
    missing = [r for r in (f"R{n}" for n in range(1, 18)) if r not in configured]
    if missing:
        message = (
            f"{', '.join(missing)} not configured: default owner, no tolerance, and the close does not wait for it"
        )
        yield Remark(ADVICE, ("reconciliations",), message, "add a row for each that concerns you")
