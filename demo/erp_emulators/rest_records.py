"""Records of the generic contracts (docs/erp-generic.md) to documents of the emulated books, and back."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from demo.erp_emulators.core import Refused
from demo.erp_emulators.ledger import EXPONENTS, Entry, EntryLine, Held, Period

_KINDS = ("journal", "invoice", "credit_note", "cash_application")
_NAMED = ("customer", "settles", "item")


def entry_of(company: str, body: dict[str, Any], functional: str) -> Entry:
    """What a poster sent. Raises Refused for what is no document of the contract."""
    try:
        if body["currency"] != functional:
            raise Refused("invalid", f"{company} keeps its books in {functional}.")
        kind = body.get("kind", "journal")
        if kind not in _KINDS:
            raise Refused("invalid", f"{kind!r} is no kind of document.")
        lines = tuple(
            EntryLine(
                account=line["account"],
                debit=minor(line["debit"], functional),
                credit=minor(line["credit"], functional),
                currency=line["currency"],
                amount=minor(line["amount"], line["currency"]),
                text=line.get("text", ""),
                dimensions=line.get("dimensions", {}),
                customer=line.get("customer"),
                settles=line.get("settles"),
                item=line.get("item"),
            )
            for line in body["lines"]
        )
        return Entry(
            key=body["external_id"],
            company=company,
            date=body["date"],
            currency=functional,
            lines=lines,
            text=body.get("text", ""),
            reverses=body.get("reverses"),
            kind=kind,
            extra={name: body[name] for name in ("customer", "reference", "due_date") if body.get(name)},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise Refused("invalid", f"The journal lacks or has a wrong {error}.") from error


def journal_record(held: Held, cleared: Sequence[bool | None] = ()) -> dict[str, Any]:
    """A document as the contract shows it; `cleared` of each line, where the books keep open items."""
    entry = held.entry
    flags = cleared or [None] * len(entry.lines)
    detail = {} if entry.kind == "journal" else {"kind": entry.kind, **entry.extra}
    return detail | {
        "id": held.id,
        "number": held.number,
        "state": held.state,
        "external_id": entry.key,
        "date": entry.date,
        "period": held.period,
        "currency": entry.currency,
        "text": entry.text,
        "reverses": entry.reverses,
        "lines": [
            {
                "account": line.account,
                "debit": major(line.debit, entry.currency),
                "credit": major(line.credit, entry.currency),
                "currency": line.currency,
                "amount": major(line.amount, line.currency),
                "text": line.text,
                "dimensions": dict(line.dimensions),
                **{name: value for name in _NAMED if (value := getattr(line, name)) is not None},
                **({} if line.customer is None or flag is None else {"cleared": flag}),
            }
            for line, flag in zip(entry.lines, flags, strict=True)
        ],
    }


def period_record(period: Period) -> dict[str, str]:
    return {
        "name": period.name,
        "start_date": period.start_date,
        "end_date": period.end_date,
        "state": period.state,
    }


def minor(text: Any, currency: str) -> int:
    """Refuses numbers that are not text, unknown currencies and digits beyond the currency's."""
    if not isinstance(text, str) or currency not in EXPONENTS:
        raise Refused("invalid", f"{text!r} {currency} is not an amount.")
    try:
        minor = Decimal(text).scaleb(EXPONENTS[currency])
    except InvalidOperation as error:
        raise Refused("invalid", f"{text!r} is not an amount.") from error
    if minor != minor.to_integral_value():
        raise Refused("invalid", f"{text} has more digits than {currency}.")
    return int(minor)


def major(minor: int, currency: str) -> str:
    return format(Decimal(minor).scaleb(-EXPONENTS[currency]), "f")
