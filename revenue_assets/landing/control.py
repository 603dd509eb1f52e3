"""Control totals of a batch: what must come out at the other end of every later hop.

Exact by construction: integers and Decimal, written as text. Never a float.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any

from revenue_assets.sources.base import ObjectContract

_EXACT = Context(prec=100, traps=[Inexact, InvalidOperation])  # the strict reader lets no number need more
_DECIMAL = re.compile(r"-?\d{1,28}(\.\d{1,12})?")


class AmountError(ValueError):
    """A money field that is not money of the stated kind; the message names the field, not the value."""


def amount(data: Mapping[str, Any], name: str, contract: ObjectContract) -> Decimal | None:
    """The money field exactly, or None if it is absent or null. Raises AmountError for any other type.

    A bool, a fraction where minor units are due, or a text that is no plain decimal is refused, not cast.
    """
    value = data.get(name)
    if value is None:
        return None
    if contract.amount_kind == "minor":
        if isinstance(value, bool) or not isinstance(value, int):
            raise AmountError(f"money field {name} is not an integer in minor units")
        return Decimal(value)
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Decimal(value)
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return Decimal(value)
    raise AmountError(f"money field {name} is not a decimal number")


def stamp(value: Any, kind: str) -> dt.datetime | None:
    """A stamp as naive UTC, or None if it cannot be one. Dates count as midnight UTC."""
    try:
        if kind == "unix":
            if isinstance(value, bool) or not isinstance(value, int):
                return None
            return dt.datetime.fromtimestamp(value, dt.UTC).replace(tzinfo=None)
        moment = dt.datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        return None
    return moment.astimezone(dt.UTC).replace(tzinfo=None) if moment.tzinfo else moment


class ControlTotals:
    """Row count, sum per money field and currency, earliest and latest stamp of the rows added."""

    def __init__(self, contract: ObjectContract) -> None:
        self._contract = contract
        self.rows = 0
        self._sums: dict[str, dict[str, Decimal]] = {}
        self._stamps: dict[str, tuple[dt.datetime, dt.datetime]] = {}

    def add(self, data: Mapping[str, Any], amounts: Mapping[str, Decimal]) -> None:
        """Counts one row; `amounts` are its money fields as `amounts_of` gave them."""
        self.rows += 1
        currency = str(data.get(self._contract.currency) or "-").lower() if self._contract.currency else "-"
        for name, value in amounts.items():
            per_currency = self._sums.setdefault(name, {})
            per_currency[currency] = _EXACT.add(per_currency.get(currency, Decimal(0)), value)
        for name in self._contract.stamps:
            moment = stamp(data[name], self._contract.stamp_kind) if data.get(name) is not None else None
            if moment is not None:
                first, last = self._stamps.get(name, (moment, moment))
                self._stamps[name] = (min(first, moment), max(last, moment))

    def as_json(self) -> dict[str, Any]:
        """`{"rows": n, "amounts": {field: {currency: "decimal"}}, "stamps": {field: [first, last]}}`, and what the
        amounts are: `unit` (minor, major) and `currency_field`."""
        return {
            "rows": self.rows,
            "unit": self._contract.amount_kind,
            "currency_field": self._contract.currency,
            "amounts": {f: {c: format(v, "f") for c, v in sorted(s.items())} for f, s in sorted(self._sums.items())},
            "stamps": {f: [a.isoformat(), b.isoformat()] for f, (a, b) in sorted(self._stamps.items())},
        }


DIGEST_COLUMNS = ("_source", "_vendor", "_object", "_record_id", "_content_hash", "_landing_seq", "_entity_id")


LOCATORS = 17  # bits of a row's place in its file; more rows than that no file has


def rows_digest(columns: Mapping[str, list[Any]]) -> dict[str, Any]:
    """What proves, and finds, the rows of a file: `{"digest": hex, "locators": [hex, ...]}`.

    `columns` as the file has them. A row's number is the first 60 bits of sha256 over its DIGEST_COLUMNS joined by `|`
    (null as empty). The digest is the XOR of all of them; locator k that of the rows whose place has bit k set: where
    one row was changed, the locators that differ spell its place. SQL computes the same (`landed_row_number`).
    """
    digest, locators = 0, [0] * LOCATORS
    for place, row in enumerate(zip(*(columns[name] for name in DIGEST_COLUMNS), strict=True)):
        text = "|".join("" if value is None else str(value) for value in row)
        number = int(hashlib.sha256(text.encode("utf-8")).hexdigest()[:15], 16)
        digest ^= number
        for bit in range(place.bit_length()):
            if place >> bit & 1:
                locators[bit] ^= number
    return {"digest": f"{digest:015x}", "locators": [f"{value:015x}" for value in locators]}


def amounts_of(data: Mapping[str, Any], contract: ObjectContract) -> dict[str, Decimal]:
    """All money fields of a record. Raises AmountError for the first that is not money."""
    found: dict[str, Decimal] = {}
    for name in contract.amounts:
        try:
            value = amount(data, name, contract)
        except InvalidOperation:
            raise AmountError(f"money field {name} is not a decimal number") from None
        if value is not None:
            found[name] = value
    return found
