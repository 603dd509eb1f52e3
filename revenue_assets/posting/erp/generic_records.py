"""The form of the generic contracts (docs/erp-generic.md), to and from: amounts as text in major units, debits and
credits in the company's currency, each line with its own currency beside. Pure.

The REST contract carries these records as JSON, the file contract as one CSV row per line.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, get_args

from revenue_assets.domain.money import MoneyError, allocate, to_major, to_minor
from revenue_assets.posting.erp.documents import RECEIVABLE, receivable_lines
from revenue_assets.posting.erp.port import (
    AccountBalance,
    Application,
    DocumentKind,
    DocumentState,
    ErpError,
    ErpPeriod,
    Failure,
    Found,
    Journal,
    Line,
    PostedDocument,
)

Record = Mapping[str, Any]
_STATES: dict[str, DocumentState] = {"accepted": "accepted", "created": "created", "posted": "posted"}
_KINDS: dict[str, DocumentKind] = {kind: kind for kind in get_args(DocumentKind)}


class GenericRecords:
    """`exponents`: currency -> minor-unit digits."""

    def __init__(self, exponents: Mapping[str, int]) -> None:
        self._exponents = dict(exponents)

    def record(self, document: Journal) -> dict[str, Any]:
        """The document as the contract carries it. A line with a customer is an open item of his, or settles one."""
        functional = document.functional_currency
        customer = document.customer.id if document.customer is not None else None
        cut = settling(document)
        lines: list[dict[str, Any]] = [
            {
                "account": line.account_code,
                "debit": self.major(line.debit, functional),
                "credit": self.major(line.credit, functional),
                "currency": line.currency,
                "amount": self.major(line.amount_tc, line.currency),
                "text": line.text,
                "dimensions": dict(line.dimensions),
            }
            for line, _ in cut
        ]
        head = {
            "external_id": document.key,
            "date": document.accounting_date.isoformat(),
            "currency": functional,
            "text": document.text,
            "reverses": document.reverses,
        }
        if document.kind == "journal":
            return head | {"lines": lines}
        for row, (line, settles) in zip(lines, cut, strict=True):
            named = {"customer": customer if line.role == RECEIVABLE else None, "item": line.item, "settles": settles}
            row |= {name: value for name, value in named.items() if value is not None}
        due = None if document.due_date is None else document.due_date.isoformat()
        more = {"kind": document.kind, "customer": customer, "reference": document.reference, "due_date": due}
        return head | more | {"lines": lines}

    def found(self, record: Record) -> Found:
        """The record as the answer to a search. Raises ErpError if it is none."""
        try:
            key = record["external_id"] or ""
            return Found(key, str(record["id"]), record["number"] or None, _STATES[record["state"]])
        except (KeyError, TypeError) as error:
            raise ErpError(Failure("unavailable", f"The ledger's answer is no journal: {error}.")) from error

    def read(self, company: str, record: Record) -> PostedDocument:
        """The journal as the ledger holds it; what is odd about it is named in `defects`, because it is evidence."""
        defects: list[str] = []
        lines: list[Line] = []
        found = self.found(record)
        functional = str(record.get("currency"))
        applied: dict[tuple[str, str], int] = {}
        for number, row in enumerate(record.get("lines") or (), start=1):
            try:
                line = self._line(number, row, functional)
            except (MoneyError, KeyError, TypeError) as error:
                defects.append(f"line {number}: {error}")
                continue
            lines.append(line)
            if row.get("settles"):
                part = str(row["settles"]), line.currency
                applied[part] = applied.get(part, 0) - line.amount_tc
        try:
            date = dt.date.fromisoformat(record["date"])
            due = dt.date.fromisoformat(record["due_date"]) if record.get("due_date") else None
            kind = _KINDS[record.get("kind") or "journal"]
        except (KeyError, TypeError, ValueError) as error:
            words = f"Journal {found.document_id} has no kind or date of the contract: {error}."
            raise ErpError(Failure("unavailable", words)) from error
        return PostedDocument(
            key=found.key, document_id=found.document_id, number=found.number, state=found.state, company=company,
            accounting_date=date, period=str(record.get("period") or ""), functional_currency=functional,
            lines=tuple(lines), defects=tuple(defects), kind=kind, customer_id=record.get("customer"),
            reference=record.get("reference"), due_date=due,
            applies_to=tuple(Application(name, amount, currency) for (name, currency), amount in applied.items()),
        )  # fmt: skip

    def balance(self, company: str, period: str, record: Record) -> AccountBalance:
        """One row of the balances. Raises ErpError if it is no money."""
        try:
            currency = record["currency"]
            debit, credit = self.minor(record["debit"], currency), self.minor(record["credit"], currency)
            return AccountBalance(company, period, record["account"], currency, debit, credit)
        except (MoneyError, KeyError, TypeError) as error:
            words = f"A balance of {company} {period} is no money: {error}"
            raise ErpError(Failure("readback_mismatch", words)) from error

    def major(self, minor: int, currency: str) -> str:
        """Minor units as the contract's text."""
        return format(to_major(minor, self._exponents[currency]), "f")

    def _line(self, number: int, row: Record, functional: str) -> Line:
        debit, credit = self.minor(row["debit"], functional), self.minor(row["credit"], functional)
        currency = row["currency"]
        amount = self.minor(row["amount"], currency)
        role = RECEIVABLE if row.get("customer") else ""
        text = row.get("text") or ""
        return Line(
            number, row["account"], debit, credit, currency, amount, text, role=role, item=row.get("item") or None
        )

    def minor(self, text: Any, currency: str) -> int:
        """Text only: a JSON number may have been through a float on its way."""
        if not isinstance(text, str):
            raise MoneyError(f"{text!r} is not an amount in text")
        if currency not in self._exponents:
            raise MoneyError(f"the minor-unit digits of {currency} are not known")
        return to_minor(text, self._exponents[currency])


def settling(document: Journal) -> list[tuple[Line, str | None]]:
    """The document's lines, each with the number of the invoice that it settles, if it settles one.

    Its receivable is cut by what it settles: a line that is just as large as one invoice's part takes it, with its own
    amount in functional currency; the others are shared out, and what settles nothing stays on the customer's account.
    """
    others = [(line, None) for line in document.lines if line.role != RECEIVABLE]
    if not document.applies_to:
        return [(line, None) for line in document.lines]
    left = list(document.applies_to)
    cut: list[tuple[Line, str | None]] = []
    loose: list[Line] = []
    for line in receivable_lines(document):
        part = next((p for p in left if p.amount_tc == -line.amount_tc and p.currency == line.currency), None)
        if part is None:
            loose.append(line)
            continue
        left.remove(part)
        cut.append((line, part.reference))
    return [*others, *cut, *_shared(loose, left)]


def _shared(lines: list[Line], parts: list[Application]) -> list[tuple[Line, str | None]]:
    """The lines as one, cut into the parts and a rest; minor units of both currencies sum to what they were."""
    if not parts:
        return [(line, None) for line in lines]
    owed, owed_fc = -sum(x.amount_tc for x in lines), sum(x.credit - x.debit for x in lines)
    rest = owed - sum(part.amount_tc for part in parts)
    wanted = [(part.amount_tc, part.reference) for part in parts] + ([(rest, None)] if rest else [])
    shares = allocate(owed_fc, [amount for amount, _ in wanted])
    return [
        (replace(lines[0], debit=0, credit=share, amount_tc=-amount), reference)
        for (amount, reference), share in zip(wanted, shares, strict=True)
    ]


def periods_of(company: str, rows: Iterable[Record]) -> tuple[ErpPeriod, ...]:
    """Periods by start date. Anything but `open` takes no posting. Raises ErpError for rows that are no periods."""
    try:
        made = [
            ErpPeriod(
                company, row["name"], dt.date.fromisoformat(row["start_date"]), dt.date.fromisoformat(row["end_date"]),
                "open" if row["state"] == "open" else "closed",
            )
            for row in rows
        ]  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise ErpError(Failure("unavailable", f"The periods of {company} cannot be read: {error}.")) from error
    return tuple(sorted(made, key=lambda period: period.start_date))
