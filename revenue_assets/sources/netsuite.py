"""Read-back of an ERP run on NetSuite: what its general ledger holds of our companies, by SuiteQL.

Everything that posts is read, whoever made it: journals of ours and of people, invoices, payments. Open periods are
read each time; closed ones too when the last full reading is a day old, because a right to override them exists.

With `options.details` the receivables are open items: an invoice's names its customer and due date, and what a payment
or credit memo credits is cut up by the invoices that it settles, as NetSuite keeps one line for all of them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from itertools import groupby
from typing import Any

import httpx

from revenue_assets.domain.config_erp import NetSuiteOptions
from revenue_assets.sources import netsuite_tables
from revenue_assets.sources.base import Cursor, ObjectContract, Page, Record, SourceError, SourceUnavailable
from revenue_assets.sources.netsuite_auth import Certificate
from revenue_assets.sources.netsuite_client import NetSuiteClient, Row
from revenue_assets.sources.netsuite_faults import NetSuiteFault
from revenue_assets.sources.netsuite_open_items import (
    SETTLING,
    Settled,
    document_kind,
    invoice_states,
    open_item_lines,
    settled_parts,
)
from revenue_assets.sources.netsuite_tables import Period, applied
from revenue_assets.sources.read_back import CONTRACTS, OBJECTS, decimal_text, text_of

FULL_EVERY = dt.timedelta(hours=24)


class NetSuiteSource:
    """One account. `companies`: entity id -> name of the company in NetSuite; others are not read. `transport` and
    `page_rows` serve tests."""

    vendor = "netsuite"
    OBJECTS: tuple[str, ...] = OBJECTS
    CONTRACTS: Mapping[str, ObjectContract] = CONTRACTS

    def __init__(
        self,
        name: str,
        base_url: str,
        certificate: Certificate,
        options: NetSuiteOptions,
        companies: Mapping[str, str],
        *,
        page_rows: int = 1000,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.name = name
        self.entity_id: str | None = None
        self._companies, self._configured = dict(companies), dict(options.subsidiaries)
        self._client = NetSuiteClient(
            base_url, certificate, read_seconds=options.read_seconds, page_rows=page_rows, transport=transport
        )
        book = options.accounting_book
        self._book = f" AND tal.accountingbook = {int(book)}" if book else ""
        self._details = options.details

    def pull(self, object_name: str, cursor: Cursor | None, now: dt.datetime) -> Iterator[Page]:
        """See `Source.pull`. Only `move` has a cursor: the last full reading."""
        if object_name not in self.OBJECTS:
            raise SourceError(f"{self.name}: no object {object_name!r}")
        with self._readable(object_name):
            currencies = {c.id: c.code for c in netsuite_tables.currencies(self._client)}
            books = self._books(currencies)
            periods = netsuite_tables.periods(self._client)
            if object_name == "move":
                yield from self._moves(books, periods, currencies, dict(cursor or {}), now)
            elif object_name == "period":
                records = [_period(book["entity_id"], period) for book in books.values() for period in periods]
                yield Page("period", records, {}, {"expected_rows": len(records)}, complete=True)
            else:
                yield Page("account_balance", self._balances(books, periods), {}, complete=True)

    def _books(self, currencies: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """Subsidiary id -> entity_id, company, currency. A configured company that NetSuite does not show is an error,
        not an empty book."""
        known = netsuite_tables.subsidiaries(self._client)
        found: dict[str, dict[str, str]] = {}
        for entity, company in self._companies.items():
            number = self._configured.get(company)
            mine = [s for s in known if (s.id == number if number else s.name == company)]
            if len(mine) != 1:
                raise SourceError(f"{self.name}: NetSuite shows {len(mine)} subsidiaries for {company!r}")
            code = currencies.get(mine[0].currency, "")
            found[mine[0].id] = {"entity_id": entity, "company": company, "currency": code}
        return found

    # -- journals and everything else that posts ---------------------------------------------------------------

    def _moves(
        self,
        books: Mapping[str, Mapping[str, str]],
        periods: Sequence[Period],
        currencies: Mapping[str, str],
        cursor: Cursor,
        now: dt.datetime,
    ) -> Iterator[Page]:
        """One page per period: open ones, closed ones with an invoice that is settled in an open one, or all."""
        last_full = dt.datetime.fromisoformat(cursor["full_at"]) if cursor.get("full_at") else None
        is_full = last_full is None or now - last_full >= FULL_EVERY
        read = [period for period in periods if is_full or period.is_open]
        settled: set[str] = set()
        for period in read:
            records, periods_settled = self._of_period(books, period, currencies)
            settled |= periods_settled
            yield Page("move", records, {})
        # What was paid now may lie in a closed period, and is no longer open there.
        for period in [p for p in periods if p.id in settled and p not in read]:
            yield Page("move", self._of_period(books, period, currencies)[0], {})
        full_at = now if is_full else last_full
        yield Page("move", [], {"full_at": full_at.isoformat() if full_at else None}, complete=is_full)

    def _of_period(
        self, books: Mapping[str, Mapping[str, str]], period: Period, currencies: Mapping[str, str]
    ) -> tuple[list[Record], set[str]]:
        """The moves of a period, and the internal ids of the periods whose invoices they settle."""
        more, joins = "", ""
        if self._details is not None:
            more = (
                f", t.{self._details.number_column} AS number, TO_CHAR(t.duedate, 'YYYY-MM-DD') AS duedate, "
                "t.foreignamountunpaid, c.externalid AS customer, a.accttype"
            )
            joins = "LEFT JOIN customer c ON c.id = t.entity "
        rows = self._client.query(
            "SELECT t.id, t.type, t.tranid, t.externalid, t.memo, t.currency, "
            "TO_CHAR(t.trandate, 'YYYY-MM-DD') AS trandate, TO_CHAR(t.createddate, 'YYYY-MM-DD') AS createddate, "
            "tl.subsidiary, tl.foreignamount, tl.memo AS linememo, tal.transactionline, tal.account, tal.debit, "
            f"tal.credit, a.acctnumber{more} FROM transaction t "
            "JOIN transactionaccountingline tal ON tal.transaction = t.id "
            "JOIN transactionline tl ON tl.transaction = tal.transaction AND tl.id = tal.transactionline "
            f"LEFT JOIN account a ON a.id = tal.account {joins}"
            f"WHERE tal.posting = 'T'{self._book} AND t.postingperiod = {int(period.id)} "
            f"AND tl.subsidiary IN ({', '.join(str(int(number)) for number in books)}) "
            "ORDER BY t.id, tl.subsidiary, tal.transactionline, tal.account"
        )
        settled, periods_settled = self._settled(rows)
        records = []
        for number, of_one in groupby(rows, key=lambda row: str(row["id"])):
            parts = [(s, list(part)) for s, part in groupby(of_one, key=lambda row: str(row["subsidiary"]))]
            for subsidiary, lines in parts:
                # A transaction between companies is one move in each of them.
                record_id = number if len(parts) == 1 else f"{number}-{subsidiary}"
                move = _move(record_id, lines, books[subsidiary], period, currencies, settled.get(number, ()))
                records.append(Record(record_id, text_of(move)))
        return records, periods_settled

    def _settled(self, rows: Sequence[Row]) -> tuple[dict[str, list[Settled]], set[str]]:
        """What payments and credit memos among the rows settle, by document, and the periods of those invoices."""
        if self._details is None:
            return {}, set()
        settling = {str(row["id"]) for row in rows if row["type"] in SETTLING}
        parts = applied(self._client, settling, self._details.number_column)
        states = invoice_states(self._client, {part.invoice for part in parts})
        return settled_parts(parts, states), {state.period for state in states.values()}

    # -- balances ----------------------------------------------------------------------------------------------

    def _balances(self, books: Mapping[str, Mapping[str, str]], periods: Sequence[Period]) -> list[Record]:
        """What moved in each period, by account: NetSuite's own sums."""
        names = {period.id: period.name for period in periods}
        rows = self._client.query(
            "SELECT t.postingperiod, tl.subsidiary, tal.account, a.acctnumber, SUM(tal.debit) AS debit, "
            "SUM(tal.credit) AS credit FROM transactionaccountingline tal "
            "JOIN transaction t ON t.id = tal.transaction "
            "JOIN transactionline tl ON tl.transaction = tal.transaction AND tl.id = tal.transactionline "
            "LEFT JOIN account a ON a.id = tal.account "
            f"WHERE tal.posting = 'T'{self._book} "
            f"AND tl.subsidiary IN ({', '.join(str(int(number)) for number in books)}) "
            "GROUP BY t.postingperiod, tl.subsidiary, tal.account, a.acctnumber "
            "ORDER BY t.postingperiod, tl.subsidiary, tal.account"
        )
        records = []
        for row in rows:
            debit, credit = _amount(row.get("debit")), _amount(row.get("credit"))
            book = books[str(row["subsidiary"])]
            period = names.get(str(row["postingperiod"]), str(row["postingperiod"]))
            values = {
                "entity_id": book["entity_id"],
                "period": period,
                "account_code": _account(row),
                "currency": book["currency"],
                "debit": decimal_text(debit),
                "credit": decimal_text(credit),
                "balance": decimal_text(debit - credit),
            }
            if debit or credit:
                records.append(Record(f"{book['entity_id']}:{row['postingperiod']}:{row['account']}", text_of(values)))
        return records

    @contextmanager
    def _readable(self, object_name: str) -> Iterator[None]:
        try:
            yield
        except NetSuiteFault as fault:
            message = f"{self.name}: {object_name} cannot be read ({fault})"
            if fault.kind in ("throttled", "unavailable"):
                raise SourceUnavailable(message, fault.retry_after) from fault
            raise SourceError(message) from fault


def _move(
    record_id: str, rows: Sequence[Row], book: Mapping[str, str], period: Period, currencies: Mapping[str, str],
    settled: Sequence[Settled],
) -> dict[str, Any]:  # fmt: skip
    head = rows[0]
    currency = currencies.get(str(head.get("currency")), "")
    lines = [_line(row, currency if currency != book["currency"] else None) for row in rows]
    lines = [part for line, row in zip(lines, rows, strict=True) for part in open_item_lines(line, row, settled)]
    kind = document_kind(head)
    return {
        "id": record_id,
        "number": head.get("tranid"),
        "description": head.get("externalid") or head.get("memo"),
        "document_kind": kind,
        "reference": head.get("number") if kind else None,
        "state": "posted",
        "date": head["trandate"],
        "post_date": None,
        "period": period.name,
        **book,
        "journal": head["type"],
        "origin": None,
        "create_date": head.get("createddate") or head["trandate"],
        "total_debit": decimal_text(sum((Decimal(line["debit"]) for line in lines), Decimal(0))),
        "total_credit": decimal_text(sum((Decimal(line["credit"]) for line in lines), Decimal(0))),
        "lines": lines,
    }


def _line(row: Row, second_currency: str | None) -> dict[str, Any]:
    return {
        "id": str(row["transactionline"]),
        "account_code": _account(row),
        "debit": decimal_text(_amount(row.get("debit"))),
        "credit": decimal_text(_amount(row.get("credit"))),
        "description": row.get("linememo"),
        "amount_second_currency": decimal_text(_amount(row.get("foreignamount"))) if second_currency else None,
        "second_currency": second_currency,
        "customer_id": None,
        "maturity_date": None,
        "is_reconciled": False,
        "settles": None,
    }


def _period(entity_id: str, period: Period) -> Record:
    values = {
        "id": period.id,
        "entity_id": entity_id,
        "name": period.name,
        "type": "adjustment" if period.is_adjustment else "standard",
        "state": "open" if period.is_open else "closed",
        "start_date": period.start_date.isoformat(),
        "end_date": period.end_date.isoformat(),
    }
    return Record(f"{entity_id}:{period.id}", text_of(values))


def _account(row: Row) -> str:
    """The account's number; an account without one is told by its internal id."""
    return row.get("acctnumber") or f"id {row['account']}"


def _amount(value: Any) -> Decimal:
    """Text or number as SuiteQL shows it; never a float on the way."""
    return Decimal(str(value or 0))
