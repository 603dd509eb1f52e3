"""Expected rows against the build, to the last minor unit.

A row asserts only the figures it names; its other columns select. `complete: true` asserts that every group not listed
is zero, within the case's entities and, for sections with a period, within the first and last one listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import duckdb

from revenue_assets.conformance.cases import Case
from revenue_assets.conformance.facts import SECTIONS, Section, Warehouse


@dataclass(frozen=True)
class Mismatch:
    """One figure that differs: `row` holds the selecting columns; expected and actual are text as in the case."""

    section: str
    row: dict[str, Any]
    column: str
    expected: str
    actual: str


def compare_case(case: Case, warehouse: Warehouse) -> list[Mismatch]:
    """Every difference between the case's expectations and the build; empty = the case passes."""
    found: list[Mismatch] = []
    for name, table in case.expect.items():
        rows = [dict(row) for row in table.get("rows") or []]
        unknown = sorted({column for row in rows for column in row} - columns(SECTIONS[name]))
        if unknown:
            found.append(Mismatch(name, {}, ", ".join(unknown), "columns of this section", "unknown columns"))
            continue
        try:
            found += _compare_section(case, SECTIONS[name], rows, bool(table.get("complete")), warehouse)
        except duckdb.CatalogException as error:
            found.append(Mismatch(name, {}, "", "a table to compare with", str(error).splitlines()[0]))
        except (ArithmeticError, KeyError, TypeError, ValueError) as error:
            found.append(Mismatch(name, {}, "", "rows that can be compared", f"{type(error).__name__}: {error}"))
    return found


def columns(section: Section) -> set[str]:
    """Every column that a row of this section may name."""
    own = {*section.keys, *section.money, *section.counts, "currency", "tolerance"}
    return own | {"variances"} if section.name == "reconciliation" else own


def _compare_section(
    case: Case, section: Section, expected: list[dict[str, Any]], complete: bool, warehouse: Warehouse
) -> list[Mismatch]:
    entities = sorted(case.entity_ids)
    days = sorted(
        {row["as_of"] for row in expected if "as_of" in row}
        | ({"9999-12-31"} if section.name == "allocation" and not all("as_of" in row for row in expected) else set())
    )
    actual = warehouse.rows(section, entities, days)
    if section.name == "reconciliation":
        return _reconciliation(section, expected, actual, warehouse.variances(entities), complete, warehouse)
    if section.name == "postings":
        return _multiset(section, expected, actual, complete, warehouse)
    found: list[Mismatch] = []
    for row in expected:
        keys = _selection(section, row)
        matching = [fact for fact in actual if _selects(keys, fact)]
        for column in _figures(section, row):
            value = sum((_value(section, column, fact, warehouse) for fact in matching), Decimal(0))
            found += _difference(section, keys, row, column, value, _digits(section, column, row, matching, warehouse))
    if complete:
        found += _unlisted(section, expected, actual, warehouse)
    return found


def _selection(section: Section, row: dict[str, Any]) -> dict[str, Any]:
    keys = {key: row[key] for key in (*section.keys, "currency") if key in row}
    if section.name == "schedule" and "contract" in keys and "line" in keys:
        # Under a contract, `line` names the obligation, not the line of a document.
        keys["contract_line"] = keys.pop("line")
    if section.name == "allocation" and "as_of" not in keys:
        keys["as_of"] = "9999-12-31"
    return keys


def _selects(keys: dict[str, Any], fact: dict[str, Any]) -> bool:
    return all(fact.get(key) == value for key, value in keys.items())


def _figures(section: Section, row: dict[str, Any]) -> list[str]:
    # prior_period is a flag that selects in activity, a figure in a roll-forward.
    return [column for column in (*section.money, *section.counts) if column in row and column not in section.keys]


def _currency(section: Section, column: str, fact: dict[str, Any], warehouse: Warehouse) -> str:
    if section.money[column] == "functional":
        return warehouse.functional[fact["entity"]]
    return fact.get("currency") or warehouse.functional[fact["entity"]]


def _value(section: Section, column: str, fact: dict[str, Any], warehouse: Warehouse) -> Decimal:
    figure = fact[column] or 0
    if column not in section.money:
        return Decimal(figure)
    return Decimal(figure).scaleb(-warehouse.exponent(_currency(section, column, fact, warehouse)))


def _digits(
    section: Section, column: str, row: dict[str, Any], matching: list[dict[str, Any]], warehouse: Warehouse
) -> int:
    if column not in section.money:
        return 0
    fact = matching[0] if matching else row
    if "entity" not in fact:
        return warehouse.exponent(str(fact.get("currency", "")))
    return warehouse.exponent(_currency(section, column, fact, warehouse))


def _difference(
    section: Section, keys: dict[str, Any], row: dict[str, Any], column: str, value: Decimal, digits: int
) -> list[Mismatch]:
    if _agrees(row, column, value):
        return []
    return [Mismatch(section.name, keys, column, str(row[column]), f"{value:.{digits}f}")]


def _agrees(row: dict[str, Any], column: str, value: Decimal) -> bool:
    return abs(Decimal(str(row[column])) - value) <= Decimal(str(row.get("tolerance", "0")))


def _unlisted(
    section: Section, expected: list[dict[str, Any]], actual: list[dict[str, Any]], warehouse: Warehouse
) -> list[Mismatch]:
    """Groups that nobody listed and that are not zero."""
    selections = [_selection(section, row) for row in expected]
    spans = [row[section.span] for row in expected if section.span and section.span in row]
    items = (
        [{key: row[key] for key in ("entity", "item") if key in row} for row in expected]
        if section.name == "expected_charges" and expected
        else None
    )
    groups: dict[tuple[Any, ...], dict[str, Decimal]] = {}
    for fact in actual:
        if spans and section.span and not min(spans) <= fact[section.span] <= max(spans):
            continue
        if items is not None and not any(_selects(item, fact) for item in items):
            continue
        if any(_selects(keys, fact) for keys in selections):
            continue
        names = [key for key in (*section.keys, "contract_line") if key in fact and key != "prior_period"]
        group = groups.setdefault(tuple((key, fact[key]) for key in names), {})
        for column in (*section.money, *section.counts):
            group[column] = group.get(column, Decimal(0)) + _value(section, column, fact, warehouse)
    return [
        Mismatch(section.name, {key: value for key, value in group if value is not None}, column, "0", str(value))
        for group, figures in groups.items()
        for column, value in figures.items()
        if value
    ]


def _multiset(
    section: Section, expected: list[dict[str, Any]], actual: list[dict[str, Any]], complete: bool, warehouse: Warehouse
) -> list[Mismatch]:
    """Posting lines may share all selecting columns: each expected row takes one line that agrees in every figure, or,
    if its columns are wider than one line, all that are left of them together."""
    left = list(actual)
    found: list[Mismatch] = []
    for row in expected:
        keys, columns = _selection(section, row), _figures(section, row)
        agreeing = [
            fact
            for fact in left
            if _selects(keys, fact)
            and all(_agrees(row, column, _value(section, column, fact, warehouse)) for column in columns)
        ]
        if agreeing:
            left.remove(agreeing[0])
            continue
        near = [fact for fact in left if _selects(keys, fact)]
        together = {
            column: sum((_value(section, column, fact, warehouse) for fact in near), Decimal(0)) for column in columns
        }
        if columns and all(_agrees(row, column, together[column]) for column in columns):
            left = [fact for fact in left if fact not in near]
            continue
        shown = "; ".join(" ".join(f"{c}={_value(section, c, fact, warehouse)}" for c in columns) for fact in near)
        found.append(
            Mismatch(section.name, keys, "line", " ".join(f"{c}={row[c]}" for c in columns), shown or "no such line")
        )
    if complete and not found:
        found += _unlisted(section, [], left, warehouse)
    return found


def _reconciliation(
    section: Section,
    expected: list[dict[str, Any]],
    actual: list[dict[str, Any]],
    variances: list[dict[str, Any]],
    complete: bool,
    warehouse: Warehouse,
) -> list[Mismatch]:
    found: list[Mismatch] = []
    # A balance is compared on the day the other side last stated it in a month; else at the end of the month.
    cut_offs = {row["as_of"] for row in expected if "as_of" in row}
    actual = [{**fact, "as_of": fact["cut_off"]} if fact["cut_off"] in cut_offs else fact for fact in actual]
    for row in expected:
        keys = _selection(section, row)
        matching = [fact for fact in actual if _selects(keys, fact)]
        for column in _figures(section, row):
            value = sum((_value(section, column, fact, warehouse) for fact in matching), Decimal(0))
            found += _difference(section, keys, row, column, value, _digits(section, column, row, matching, warehouse))
        periods = {fact["period"] for fact in matching} | {row.get("period") or str(row.get("as_of"))[:7]}
        chosen = {key: value for key, value in keys.items() if key not in ("period", "as_of")}
        for name, amount in (row.get("variances") or {}).items():
            digits = warehouse.exponent(row.get("currency", "USD"))
            value = sum(
                (
                    Decimal(fact["amount"]).scaleb(-digits)
                    for fact in variances
                    if fact["variance_class"] == name and fact["period"] in periods and _selects(chosen, fact)
                ),
                Decimal(0),
            )
            if not _agrees({"amount": amount, "tolerance": row.get("tolerance", "0")}, "amount", value):
                found.append(Mismatch(section.name, keys, f"variances.{name}", str(amount), f"{value:.{digits}f}"))
    if complete:
        found += _unlisted(section, expected, actual, warehouse)
    return found
