"""AvaTax `$filter`: field comparisons joined by `and` / `or` with parentheses.

    date ge '2026-10-01' and (type eq SalesInvoice or code startswith 'in_') and status in (Committed, Saved)

Operators: eq ne gt ge lt le in contains startswith. Field names and text compare without case, dates as dates.
An unknown field or operator is an error, never ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from demo.simulators.tables import Record

Test = Callable[[Record], bool]
_TOKEN = re.compile(r"\s*(?:'((?:[^']|'')*)'|([(),])|([^\s(),']+))")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "gt": lambda a, b: a is not None and a > b,
    "ge": lambda a, b: a is not None and a >= b,
    "lt": lambda a, b: a is not None and a < b,
    "le": lambda a, b: a is not None and a <= b,
}


class FilterError(Exception):
    """A filter the vendor would refuse; the message says why."""


@dataclass(frozen=True)
class Filter:
    """A parsed filter: the test, and the fields it mentions (proper spelling)."""

    test: Test
    fields: frozenset[str]


def parse(text: str, kinds: Mapping[str, str]) -> Filter:
    """Parse a filter. `kinds` maps field name to `text`, `number`, `date` or `boolean`."""
    parser = _Parser(text, kinds)
    test = parser.either()
    if parser.next is not None:
        raise FilterError(f"Unexpected '{parser.next[1]}' in filter")
    return Filter(test, frozenset(parser.used))


def value_of(kind: str, value: Any) -> Any:
    """A field's or literal's value as its kind compares; None stays None."""
    if value is None:
        return None
    if kind == "date":
        try:
            moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        except ValueError as error:
            raise FilterError(f"'{value}' is not a date") from error
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if kind == "number":
        try:
            return Decimal(str(value))
        except InvalidOperation as error:
            raise FilterError(f"'{value}' is not a number") from error
    if kind == "boolean":
        return str(value).lower() == "true"
    return str(value).lower()


class _Parser:
    def __init__(self, text: str, kinds: Mapping[str, str]) -> None:
        self._kinds = kinds
        self._names = {name.lower(): name for name in kinds}
        self._tokens = _tokens(text)
        self._at = 0
        self.used: set[str] = set()

    @property
    def next(self) -> tuple[str, str] | None:
        """(kind, text) of the token ahead; kind is literal, sign or word."""
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _take(self) -> tuple[str, str]:
        token = self.next
        if token is None:
            raise FilterError("Filter ends too early")
        self._at += 1
        return token

    def _accept(self, kind: str, text: str) -> bool:
        if self.next is not None and self.next[0] == kind and self.next[1].lower() == text:
            self._at += 1
            return True
        return False

    def either(self) -> Test:
        """One or more conjunctions joined by `or`."""
        tests = [self._both()]
        while self._accept("word", "or"):
            tests.append(self._both())
        return lambda row: any(test(row) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self._accept("word", "and"):
            tests.append(self._one())
        return lambda row: all(test(row) for test in tests)

    def _one(self) -> Test:
        if self._accept("sign", "("):
            inner = self.either()
            if not self._accept("sign", ")"):
                raise FilterError("A ')' is missing in the filter")
            return inner
        kind, text = self._take()
        name = self._names.get(text.lower()) if kind == "word" else None
        if name is None:
            raise FilterError(f"'{text}' is not a field that can be filtered by")
        self.used.add(name)
        return self._comparison(name, self._kinds[name])

    def _comparison(self, name: str, kind: str) -> Test:
        operator = self._take()[1].lower()
        if operator == "in":
            wanted = self._literals(kind)
            return lambda row: value_of(kind, row.get(name)) in wanted
        if operator in _COMPARE:
            compare, literal = _COMPARE[operator], value_of(kind, self._literal())
            return lambda row: compare(value_of(kind, row.get(name)), literal)
        if operator in ("contains", "startswith") and kind == "text":
            part = self._literal().lower()
            if operator == "contains":
                return lambda row: part in str(row.get(name) or "").lower()
            return lambda row: str(row.get(name) or "").lower().startswith(part)
        raise FilterError(f"'{operator}' is not an operator for field '{name}'")

    def _literal(self) -> str:
        kind, text = self._take()
        if kind == "sign":
            raise FilterError(f"A value is missing before '{text}'")
        return text

    def _literals(self, kind: str) -> list[Any]:
        if not self._accept("sign", "("):
            raise FilterError("'in' needs a list in parentheses")
        values = [value_of(kind, self._literal())]
        while self._accept("sign", ","):
            values.append(value_of(kind, self._literal()))
        if not self._accept("sign", ")"):
            raise FilterError("A ')' is missing in the filter")
        return values


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise FilterError(f"Cannot read the filter at '{text[at : at + 10]}'")
        literal, sign, word = match.groups()
        if literal is not None:
            tokens.append(("literal", literal.replace("''", "'")))
        else:
            tokens.append(("sign", sign) if sign else ("word", word))
        at = match.end()
    return tokens
