"""Read-back of an in-house ledger by one of the generic contracts (docs/erp-generic.md): what both ways have in common.

Everything that stands in the books is read, whoever entered it. Open periods are read each time; closed ones too when
the last full reading is a day old, because somebody with rights on the ledger can change them. What cannot be read to
the last digit is an error with a sentence: an empty or shortened book would pass for a ledger that lost our journals.
"""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from revenue_assets.posting.erp.generic_records import GenericRecords
from revenue_assets.posting.erp.port import AccountBalance, ErpError, ErpPeriod, Line
from revenue_assets.sources.base import (
    Cursor,
    ObjectContract,
    Page,
    PaginationError,
    Record,
    SourceError,
    SourceUnavailable,
)
from revenue_assets.sources.read_back import CONTRACTS, OBJECTS, text_of

FULL_EVERY = dt.timedelta(hours=24)
Row = Mapping[str, Any]


class GenericSource(ABC):
    """One ledger. `companies`: entity id -> the ledger's name of its company (others are not read); `exponents`:
    currency -> minor-unit digits."""

    vendor = "generic"
    OBJECTS: tuple[str, ...] = OBJECTS
    CONTRACTS: Mapping[str, ObjectContract] = CONTRACTS

    def __init__(self, name: str, companies: Mapping[str, str], exponents: Mapping[str, int]) -> None:
        self.name = name
        self.entity_id: str | None = None
        self._entities = dict(companies)
        self._records = GenericRecords(exponents)

    # What a contract must say; each may raise ErpError.

    @abstractmethod
    def _companies(self) -> dict[str, str]:
        """Name -> currency of every company of the ledger."""

    @abstractmethod
    def _periods(self, company: str) -> tuple[ErpPeriod, ...]:
        """All accounting periods of a company."""

    @abstractmethod
    def _journals(self, company: str, period: str) -> Iterator[Sequence[Row]]:
        """All journals of a period in the contract's form, in parts; the last part comes only if none is missing."""

    @abstractmethod
    def _balances(self, company: str, period: str) -> Sequence[AccountBalance]:
        """What moved on each account in a period."""

    # What follows from it.

    def pull(self, object_name: str, cursor: Cursor | None, now: dt.datetime) -> Iterator[Page]:
        """See `Source.pull`. Only `move` has a cursor: the last full reading."""
        if object_name not in self.OBJECTS:
            raise SourceError(f"{self.name}: no object {object_name!r}")
        with self._readable(object_name):
            currencies = self._checked_companies()
            periods = {entity: self._periods(company) for entity, company in self._entities.items()}
            if object_name == "move":
                yield from self._moves(currencies, periods, dict(cursor or {}), now)
            elif object_name == "period":
                records = [_period(entity, period) for entity, known in periods.items() for period in known]
                yield Page("period", records, {}, {"expected_rows": len(records)}, complete=True)
            else:
                records = [
                    record
                    for entity, known in periods.items()
                    for period in known
                    for record in self._balance_records(entity, period.name, currencies)
                ]
                yield Page("account_balance", records, {}, {"expected_rows": len(records)}, complete=True)

    def _checked_companies(self) -> dict[str, str]:
        """A company of the config that the ledger does not show is an error, not an empty book."""
        known = self._companies()
        missing = sorted(set(self._entities.values()) - set(known))
        if missing:
            raise SourceError(
                f"{self.name}: the ledger shows no company {', '.join(missing)}. Correct erp_company in entities.yaml, "
                "or let the robot see it there."
            )
        return known

    def _moves(
        self,
        currencies: Mapping[str, str],
        periods: Mapping[str, Sequence[ErpPeriod]],
        cursor: Cursor,
        now: dt.datetime,
    ) -> Iterator[Page]:
        last_full = dt.datetime.fromisoformat(cursor["full_at"]) if cursor.get("full_at") else None
        is_full = last_full is None or now - last_full >= FULL_EVERY
        for entity, known in periods.items():
            seen: set[str] = set()
            for period in known:
                if is_full or period.state == "open":
                    for rows in self._journals(period.company, period.name):
                        records = [self._move(entity, period, row, currencies[period.company]) for row in rows]
                        twice = [r.record_id for r in records if r.record_id in seen]
                        if twice or len({r.record_id for r in records}) < len(records):
                            words = f"the ledger lists one journal twice in {period.company} {period.name}"
                            raise PaginationError(f"{self.name}: {words}; nothing of it was taken. Read it again.")
                        seen.update(r.record_id for r in records)
                        yield Page("move", records, {})
        full_at = now if is_full else last_full
        yield Page("move", [], {"full_at": full_at.isoformat() if full_at else None}, complete=is_full)

    def _move(self, entity: str, period: ErpPeriod, row: Row, currency: str) -> Record:
        """One journal with its lines as it lands. Ids are a company's own, so the record's has the entity before it."""
        document = self._records.read(period.company, row)
        where = f"journal {document.number or document.document_id} of {period.company} {period.name}"
        problems = [defect.rstrip(".") for defect in document.defects]
        if document.functional_currency != currency:
            problems.append(f"it is in {document.functional_currency}, the company's books are in {currency}")
        if document.period != period.name:
            problems.append(f"it says that it is of period {document.period or 'none'}")
        if problems:
            raise SourceError(
                f"{self.name}: {where} cannot be read: {'; '.join(problems)}. Nothing was taken; correct it in the "
                "ledger, or what the ledger shows of it."
            )
        major = self._records.major
        values = {
            "id": document.document_id,
            "number": document.number,
            "description": document.key or row.get("text") or "",
            "document_kind": None if document.kind == "journal" else document.kind,
            "reference": document.reference,
            "state": document.state,
            "date": document.accounting_date.isoformat(),
            "post_date": None,
            "period": period.name,
            "entity_id": entity,
            "company": period.company,
            "currency": currency,
            "journal": document.kind,
            "origin": row.get("reverses"),
            "create_date": None,
            "total_debit": major(sum(x.debit for x in document.lines), currency),
            "total_credit": major(sum(x.credit for x in document.lines), currency),
            "lines": [
                self._line(line, part, currency, row.get("due_date"))
                for line, part in zip(document.lines, row["lines"], strict=True)
            ],
        }
        return Record(f"{entity}:{document.document_id}", text_of(values))

    def _line(self, line: Line, row: Row, currency: str, due_date: str | None) -> dict[str, Any]:
        """`row`: the same line in the contract's form, which says whose open item it is and whether it is cleared."""
        customer, is_foreign = row.get("customer") or None, line.currency != currency
        return {
            "id": str(line.line_no),
            "account_code": line.account_code,
            "debit": self._records.major(line.debit, currency),
            "credit": self._records.major(line.credit, currency),
            "description": line.text,
            "amount_second_currency": self._records.major(line.amount_tc, line.currency) if is_foreign else None,
            "second_currency": line.currency if is_foreign else None,
            "customer_id": customer,
            "maturity_date": due_date if customer else None,
            "is_reconciled": bool(row.get("cleared")),
            "settles": row.get("settles") or None,
        }

    def _balance_records(self, entity: str, period: str, currencies: Mapping[str, str]) -> list[Record]:
        company = self._entities[entity]
        balances = self._balances(company, period)
        accounts = {balance.account_code for balance in balances}
        if len(accounts) < len(balances) or {b.currency for b in balances} - {currencies[company]}:
            raise SourceError(
                f"{self.name}: the balances of {company} {period} are not one row per account in "
                f"{currencies[company]}. Nothing was taken; correct what the ledger shows."
            )
        major = self._records.major
        return [
            Record(
                f"{entity}:{period}:{b.account_code}",
                text_of({
                    "entity_id": entity,
                    "period": period,
                    "account_code": b.account_code,
                    "currency": b.currency,
                    "debit": major(b.debit, b.currency),
                    "credit": major(b.credit, b.currency),
                    "balance": major(b.balance, b.currency),
                }),
            )
            for b in balances
            if b.debit or b.credit
        ]  # fmt: skip

    @contextmanager
    def _readable(self, object_name: str) -> Iterator[None]:
        try:
            yield
        except ErpError as error:
            message = f"{self.name}: {object_name} cannot be read ({error})"
            if error.failure.failure_class in ("throttled", "unavailable"):
                raise SourceUnavailable(message, error.failure.retry_after) from error
            raise SourceError(message) from error


def _period(entity: str, period: ErpPeriod) -> Record:
    values = {
        "id": period.name,
        "entity_id": entity,
        "name": period.name,
        "type": "standard",
        "state": period.state,
        "start_date": period.start_date.isoformat(),
        "end_date": period.end_date.isoformat(),
    }
    return Record(f"{entity}:{period.name}", text_of(values))
