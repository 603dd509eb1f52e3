"""`journalEntry` bodies to neutral entries and back, with what NetSuite does on the way without a word.

It rounds an amount to its currency, derives base amounts from transaction amount times rate, changes the first line
where the rounded lines do not balance, and drops a field that it does not know unless the request forbids it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from demo.erp_emulators.core import Refused
from demo.erp_emulators.ledger import EXPONENTS, Entry, EntryLine, Held
from demo.erp_emulators.netsuite_chart import LINE_FIELDS, Chart, key_of, ref

HEAD_FIELDS = frozenset(
    {
        "externalId", "tranDate", "memo", "subsidiary", "currency", "exchangeRate", "postingPeriod", "line", "tranId",
        "approvalStatus", "approved", "custbody_ra_reverses",
    }
)  # fmt: skip
_LINE_KEYS = frozenset({"account", "debit", "credit", "memo", *LINE_FIELDS})


class BadBody(Exception):
    """A body that is refused before any accounting. `code` is NetSuite's, `path` where it stands."""

    def __init__(self, code: str, detail: str, path: str = "") -> None:
        super().__init__(detail)
        self.code, self.path = code, path


def body_of(body: bytes) -> dict[str, Any]:
    """The fields of a record's body. Raises BadBody."""
    try:
        values = json.loads(body, parse_float=Decimal)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise BadBody("INVALID_CONTENT", "Invalid content in the request body.")
    return values


def entry_of(values: dict[str, Any], chart: Chart, *, strict_names: bool, posts: bool) -> Entry:
    """The entry that NetSuite would make of a journal. `posts`: the account posts what is not marked as pending."""
    try:
        items = values["line"]["items"]
    except (KeyError, TypeError):
        raise BadBody("INVALID_CONTENT", "Invalid content in the request body.") from None
    unknown = sorted(set(values) - HEAD_FIELDS) + sorted({k for item in items for k in item} - _LINE_KEYS)
    if unknown and strict_names:
        raise BadBody("INVALID_CONTENT", f"Unknown reference or field: {unknown[0]}.", unknown[0])
    entry, rate = head_of(values, chart, posts=posts)
    currency = entry.extra["currency"]
    lines = [_line(n, item, chart, currency) for n, item in enumerate(items)]
    extra = dict(entry.extra)
    for name in ("tranId", "custbody_ra_reverses"):
        if values.get(name):
            extra[name.lower()] = str(ref(values[name]) or values[name])
    return replace(entry, lines=tuple(in_base(lines, currency, entry.currency, rate)), extra=extra)


def head_of(values: dict[str, Any], chart: Chart, *, posts: bool) -> tuple[Entry, Decimal]:
    """The entry without its lines, and the exchange rate. `posts`: what is not marked as pending counts at once."""
    company = key_of(chart.subsidiaries, ref(values.get("subsidiary")))
    if company is None:
        raise BadBody("INVALID_KEY_OR_REF", "Invalid subsidiary reference key.", "subsidiary")
    base = chart.bases[company]
    currency = key_of(chart.currencies, ref(values.get("currency"))) if "currency" in values else base
    if currency is None:
        raise BadBody("INVALID_KEY_OR_REF", "Invalid currency reference key.", "currency")
    rate = Decimal(str(values.get("exchangeRate", 1)))
    status, approved = ref(values.get("approvalStatus")), values.get("approved")
    pending = status == "1" or approved is False or (not posts and status != "2" and approved is not True)
    entry = Entry(
        key=str(values.get("externalId") or ""),
        company=company,
        date=str(values.get("tranDate", "")),
        currency=base,
        lines=(),
        text=str(values.get("memo", "")),
        state="created" if pending else "posted",
        extra={"currency": currency, "rate": format(rate, "f"), "status": "pending" if pending else "approved"},
    )
    return entry, rate


def record_of(held: Held, chart: Chart) -> dict[str, Any]:
    """The record as GET shows it: header fields, no ledger impact, sub-lists as links."""
    entry = held.entry
    record = "journalentry" if entry.kind == "journal" else entry.kind
    path = f"/services/rest/record/v1/{record}/{held.id}"
    return {
        "links": [{"rel": "self", "href": path}],
        "id": held.id,
        "externalId": entry.key,
        "tranId": entry.extra.get("tranid") or f"JE{int(held.id):05d}",
        "tranDate": entry.date,
        "memo": entry.text,
        "approved": entry.state == "posted",
        "subsidiary": {"id": chart.subsidiaries[entry.company], "refName": entry.company},
        "line": {"links": [{"rel": "self", "href": f"{path}/line"}]},
    }


def _line(number: int, item: dict[str, Any], chart: Chart, currency: str) -> EntryLine:
    """The line in the journal's currency; debit and credit follow."""
    path = f"line.items[{number}]"
    account = key_of(chart.accounts, ref(item.get("account")))
    if account is None:
        detail = f"Invalid account reference key {ref(item.get('account'))}."
        raise BadBody("INVALID_KEY_OR_REF", detail, f"{path}.account")
    sides = [item.get(side) for side in ("debit", "credit")]
    if sum(value is not None for value in sides) != 1:
        raise BadBody("USER_ERROR", "Please enter a debit or a credit.", path)
    signed = rounded(Decimal(str(sides[0])) if sides[0] is not None else -Decimal(str(sides[1])), currency)
    fields = {name: str(ref(item[name]) or item[name]) for name in LINE_FIELDS if item.get(name) is not None}
    return EntryLine(account, 0, 0, currency, signed, str(item.get("memo", "")), fields)


def in_base(lines: list[EntryLine], currency: str, base: str, rate: Decimal) -> list[EntryLine]:
    scale = Decimal(10) ** -EXPONENTS[currency]
    amounts = [rounded(line.amount * scale * (rate if currency != base else 1), base) for line in lines]
    if amounts and sum(line.amount for line in lines) == 0:
        amounts[0] -= sum(amounts)
    return [
        EntryLine(x.account, max(a, 0), max(-a, 0), currency, x.amount, x.text, x.dimensions)
        for x, a in zip(lines, amounts, strict=True)
    ]


def rounded(value: Decimal, currency: str) -> int:
    return int(value.scaleb(EXPONENTS[currency]).quantize(Decimal(1), ROUND_HALF_UP))


def refusal_code(error: Refused) -> str:
    """What NetSuite calls a refusal of its books: nearly everything is a USER_ERROR."""
    return {"unknown_account": "INVALID_KEY_OR_REF", "unknown_document": "NONEXISTENT_ID"}.get(error.code, "USER_ERROR")
