"""A small, honest part of SOQL: what a data pipeline asks, with the vendor's errors for the rest.

    SELECT field, ... | COUNT() | FIELDS(ALL) FROM object [WHERE cond] [ORDER BY f [ASC|DESC] [NULLS FIRST|LAST], ...]
    [LIMIT n] [OFFSET n]

Conditions: = != <> < <= > >= LIKE IN, NOT IN, with AND, OR, NOT and parentheses. As with the vendor, AND and OR must
not be mixed without parentheses, strings compare without case, dates and datetimes stand without quotes. Relationship
paths, subqueries, grouping and date functions are refused, never ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from demo.simulators.salesforce_schema import SObject
from demo.simulators.soql_values import (
    NUMBER_TYPES,
    TEXT_TYPES,
    SoqlError,
    Test,
    comparable,
    compare,
    like_pattern,
    unquote,
)
from demo.simulators.tables import Record

OFFSET_MAX = 2000
_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:\\.|[^'\\])*')"
    r"|(?P<moment>\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2}))"
    r"|(?P<day>\d{4}-\d{2}-\d{2})"
    r"|(?P<number>[+-]?\d+(?:\.\d+)?)"
    r"|(?P<name>[A-Za-z_][\w.]*)"
    r"|(?P<sign><=|>=|!=|<>|[=<>(),]))",
    re.DOTALL,
)
_ORDERED = {"<", "<=", ">", ">="}
_CLAUSES = {"where", "order", "limit", "offset", "group", "having", "with", "for", "using"}


@dataclass
class Query:
    """A parsed query, bound to its sObject."""

    sobject: SObject
    fields: list[str]
    counts: bool = False
    test: Test = field(default=lambda _: True)
    order: list[tuple[str, bool, bool]] = field(default_factory=list)
    limit: int | None = None
    offset: int = 0

    def run(self, *, deleted: bool) -> list[Record]:
        """The matching records in order; soft-deleted ones only for queryAll."""
        rows = [row for row in self.sobject.records if (deleted or not row.get("IsDeleted")) and self.test(row)]
        for name, descending, nulls_first in reversed(self.order):
            kind = self.sobject.fields[name]
            nulls = [row for row in rows if row.get(name) is None]
            others = [row for row in rows if row.get(name) is not None]
            others.sort(key=_sort_key(name, kind), reverse=descending)
            rows = nulls + others if nulls_first else others + nulls
        stop = None if self.limit is None else self.offset + self.limit
        return rows[self.offset : stop]


def _sort_key(name: str, kind: str) -> Callable[[Record], Any]:
    return lambda row: comparable(row[name], kind)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


def parse(text: str, objects: dict[str, SObject]) -> Query:
    """Parse and bind a query, or raise `SoqlError`."""
    return _Parser(text, objects).query()


class _Parser:
    def __init__(self, text: str, objects: dict[str, SObject]) -> None:
        self._text = text
        self._objects = objects
        self._tokens = _tokens(text)
        self._next = 0

    # -- tokens

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        if token.kind != "end":
            self._next += 1
        return token

    def _is(self, *words: str) -> bool:
        return self._peek().text.lower() in words and self._peek().kind in ("name", "sign")

    def _accept(self, word: str) -> bool:
        if self._is(word):
            self._take()
            return True
        return False

    def _expect(self, word: str) -> _Token:
        if not self._is(word):
            raise self._unexpected()
        return self._take()

    def _name(self) -> _Token:
        if self._peek().kind != "name":
            raise self._unexpected()
        return self._take()

    def _unexpected(self) -> SoqlError:
        token = self._peek()
        if token.kind == "end":
            return SoqlError("MALFORMED_QUERY", "unexpected token: '<EOF>'")
        return malformed(self._text, token.at, f"unexpected token: '{token.text}'")

    # -- grammar

    def query(self) -> Query:
        self._expect("select")
        selected = self._selection()
        self._expect("from")
        named = self._name()
        sobject = self._objects.get(named.text.lower())
        if sobject is None:
            message = (
                f"sObject type '{named.text}' is not supported. If you are attempting to use a custom object, be sure "
                "to append the '__c' after the entity name. Please reference your WSDL or the describe call for the "
                "appropriate names."
            )
            raise SoqlError("INVALID_TYPE", _place(self._text, named.at, message))
        if self._peek().kind == "name" and not self._is(*_CLAUSES):
            self._take()  # an alias of the object
        query = Query(sobject, [], counts=selected == ["COUNT()"])
        if self._accept("where"):
            query.test = self._conditions(sobject)
        if self._accept("order"):
            self._expect("by")
            query.order = self._ordering(sobject)
        if self._accept("limit"):
            query.limit = self._whole()
        if self._accept("offset"):
            query.offset = self._whole()
            if query.offset > OFFSET_MAX:
                raise SoqlError("NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {OFFSET_MAX}")
        if self._peek().kind != "end":
            raise self._unexpected()
        if not query.counts:
            query.fields = self._bind_selection(sobject, selected, query.limit)
        return query

    def _selection(self) -> list[str]:
        fields = []
        while True:
            if self._is("("):
                raise malformed(self._text, self._peek().at, "subqueries are not served here")
            token = self._name()
            if self._accept("("):
                inner = "" if self._is(")") else self._name().text.upper()
                self._expect(")")
                function = f"{token.text.upper()}({inner})"
                if function not in ("COUNT()", "FIELDS(ALL)", "FIELDS(STANDARD)", "FIELDS(CUSTOM)"):
                    raise malformed(self._text, token.at, f"function {token.text} is not served here")
                fields.append(function)
            else:
                fields.append(token.text)
            if not self._accept(","):
                break
        if "COUNT()" in fields and len(fields) > 1:
            raise SoqlError("MALFORMED_QUERY", "count() must be the only element in the select list")
        return fields

    def _bind_selection(self, sobject: SObject, selected: list[str], limit: int | None) -> list[str]:
        names: list[str] = []
        for item in selected:
            if item.startswith("FIELDS("):
                if item != "FIELDS(STANDARD)" and (limit is None or limit > 200):
                    message = f"The SOQL {item} function must have a LIMIT of at most 200"
                    raise SoqlError("MALFORMED_QUERY", message)
                want = {"FIELDS(ALL)": (True, False), "FIELDS(STANDARD)": (False,), "FIELDS(CUSTOM)": (True,)}[item]
                names += [name for name in sobject.fields if name.endswith("__c") in want]
            else:
                names.append(self._field(sobject, item, self._text.lower().find(item.lower())))
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise SoqlError("INVALID_FIELD", f"duplicate field selected: {sorted(twice)[0]}")
        return names

    def _field(self, sobject: SObject, name: str, at: int) -> str:
        plain = name
        if "." in plain:
            head, _, plain = plain.partition(".")
            if head.lower() != sobject.name.lower():
                message = f"Didn't understand relationship '{head}' in field path."
                raise SoqlError("INVALID_FIELD", _place(self._text, at, message))
        found = sobject.names.get(plain.lower())
        if found is None:
            message = (
                f"No such column '{plain}' on entity '{sobject.name}'. If you are attempting to use a custom field, be "
                "sure to append the '__c' after the custom field name. Please reference your WSDL or the describe "
                "call for the appropriate names."
            )
            raise SoqlError("INVALID_FIELD", _place(self._text, at, message))
        return found

    def _conditions(self, sobject: SObject) -> Test:
        tests = [self._condition(sobject)]
        word = ""
        while self._is("and", "or"):
            token = self._take()
            if word and token.text.lower() != word:
                raise malformed(self._text, token.at, f"unexpected token: '{token.text}'")
            word = token.text.lower()
            tests.append(self._condition(sobject))
        if word == "or":
            return lambda row: any(test(row) for test in tests)
        return lambda row: all(test(row) for test in tests)

    def _condition(self, sobject: SObject) -> Test:
        if self._accept("not"):
            inner = self._condition(sobject)
            return lambda row: not inner(row)
        if self._accept("("):
            inner = self._conditions(sobject)
            self._expect(")")
            return inner
        token = self._name()
        name = self._field(sobject, token.text, token.at)
        return self._comparison(sobject, name)

    def _comparison(self, sobject: SObject, name: str) -> Test:
        kind = sobject.fields[name]
        negated = self._accept("not")
        if self._accept("in"):
            self._expect("(")
            values = [self._literal(sobject, name)]
            while self._accept(","):
                values.append(self._literal(sobject, name))
            self._expect(")")
            return lambda row: (comparable(row.get(name), kind) in values) is not negated
        if negated:
            raise self._unexpected()
        if self._accept("like"):
            if kind not in TEXT_TYPES or self._peek().kind != "string":
                raise SoqlError("INVALID_FIELD", f"invalid operator on {kind} field '{name}': LIKE")
            pattern = like_pattern(unquote(self._take().text))
            return lambda row: row.get(name) is not None and bool(pattern.fullmatch(str(row[name]).lower()))
        operator = self._take()
        if operator.kind != "sign" or operator.text not in _ORDERED | {"=", "!=", "<>"}:
            self._next -= operator.kind != "end"
            raise self._unexpected()
        if operator.text in _ORDERED and kind == "boolean":
            raise SoqlError("INVALID_FIELD", f"invalid operator on boolean field '{name}': {operator.text}")
        return compare(name, kind, operator.text, self._literal(sobject, name))

    def _literal(self, sobject: SObject, name: str) -> Any:
        kind = sobject.fields[name]
        token = self._take()
        word = token.text.lower()
        if token.kind == "name" and word == "null":
            return None
        wanted = {"date": "day", "datetime": "moment", "boolean": "name"}.get(kind)
        wanted = wanted or ("number" if kind in NUMBER_TYPES else "string")
        if token.kind != wanted or (kind == "boolean" and word not in ("true", "false")):
            if token.kind not in ("string", "moment", "day", "number", "name"):
                self._next -= token.kind != "end"
                raise self._unexpected()
            quotes = "should be enclosed in quotes" if wanted == "string" else "should not be enclosed in quotes"
            message = f"value of filter criterion for field '{name}' must be of type {kind} and {quotes}"
            raise SoqlError("INVALID_FIELD", _place(self._text, token.at, message))
        if wanted == "string":
            return comparable(unquote(token.text), kind)
        return word == "true" if kind == "boolean" else comparable(token.text, kind)

    def _ordering(self, sobject: SObject) -> list[tuple[str, bool, bool]]:
        order = []
        while True:
            token = self._name()
            name = self._field(sobject, token.text, token.at)
            descending = not self._accept("asc") and self._accept("desc")
            nulls_first = True
            if self._accept("nulls"):
                nulls_first = not self._accept("last")
                if nulls_first:
                    self._expect("first")
            order.append((name, descending, nulls_first))
            if not self._accept(","):
                return order

    def _whole(self) -> int:
        token = self._take()
        if token.kind != "number" or not token.text.isdigit():
            self._next -= token.kind != "end"
            raise self._unexpected()
        return int(token.text)


def malformed(text: str, at: int, message: str) -> SoqlError:
    """A syntax error with its place."""
    return SoqlError("MALFORMED_QUERY", _place(text, at, message))


def _place(text: str, at: int, message: str) -> str:
    at = max(at, 0)
    start, stop = max(0, at - 30), at + 30
    return f"\n{text[start:stop]}\n{' ' * (at - start)}^\nERROR at Row:1:Column:{at + 1}\n{message}"


def _tokens(text: str) -> list[_Token]:
    tokens, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise malformed(text, at, f"unexpected token: '{text[at]}'")
        kind = match.lastgroup or ""
        tokens.append(_Token(kind, match.group(kind), match.start(kind)))
        at = match.end()
    return [*tokens, _Token("end", "", end)]
