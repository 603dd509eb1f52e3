"""How SOQL compares values: by the type of the field."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from demo.simulators.tables import Record

Test = Callable[[Record], bool]
TEXT_TYPES = {"string", "id", "reference"}
NUMBER_TYPES = {"double", "currency", "percent", "int"}


class SoqlError(Exception):
    """A query the vendor refuses: its error code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def unquote(literal: str) -> str:
    """The text of a quoted literal with its backslash escapes resolved."""
    escapes = {"n": "\n", "r": "\r", "t": "\t"}
    return re.sub(r"\\(.)", lambda match: escapes.get(match.group(1), match.group(1)), literal[1:-1], flags=re.DOTALL)


def like_pattern(pattern: str) -> re.Pattern[str]:
    """A LIKE pattern (`%`, `_`) for lower-case text."""
    parts = [".*" if sign == "%" else "." if sign == "_" else re.escape(sign) for sign in pattern.lower()]
    return re.compile("".join(parts), re.DOTALL)


def comparable(value: Any, kind: str) -> Any:
    """A value as its type compares: text without case, datetimes as instants, ids of 15 characters as they are."""
    if value is None:
        return None
    if kind == "datetime":
        return _instant(str(value))
    if kind == "date":
        try:
            return date.fromisoformat(str(value))
        except ValueError as error:
            raise SoqlError("INVALID_FIELD", f"invalid date: {value}") from error
    if kind in NUMBER_TYPES:
        return float(value)
    if kind == "string":
        return str(value).lower()
    return str(value)[:15] if kind in ("id", "reference") else value


def _instant(text: str) -> datetime:
    text = re.sub(r"([+-]\d{2})(\d{2})$", r"\1:\2", text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise SoqlError("INVALID_FIELD", f"invalid datetime: {text}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def compare(name: str, kind: str, operator: str, wanted: Any) -> Test:
    """The test of one comparison. Only equality knows null."""
    if operator == "=":
        return lambda row: comparable(row.get(name), kind) == wanted
    if operator in ("!=", "<>"):
        return lambda row: comparable(row.get(name), kind) != wanted
    if wanted is None:
        raise SoqlError("INVALID_FIELD", f"invalid operator on null for field '{name}': {operator}")
    signs: dict[str, Callable[[Any], bool]] = {
        "<": lambda value: value < wanted,
        "<=": lambda value: value <= wanted,
        ">": lambda value: value > wanted,
        ">=": lambda value: value >= wanted,
    }
    sign = signs[operator]
    return lambda row: row.get(name) is not None and sign(comparable(row[name], kind))
