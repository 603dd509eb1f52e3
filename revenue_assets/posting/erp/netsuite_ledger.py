"""What NetSuite's general ledger holds, read with SuiteQL: documents by key, their lines, balances of a period.

The ledger is `transactionaccountingline` (base currency of the subsidiary, `posting` = it counts); `transactionline`
has the transaction currency, the subsidiary and the dimensions. REST itself shows no ledger impact, so nothing is
called posted that these tables do not show.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any

from revenue_assets.domain.config_erp import NetSuiteOptions
from revenue_assets.domain.money import MoneyError, to_minor
from revenue_assets.posting.erp.netsuite_documents import DETAIL_TYPES
from revenue_assets.posting.erp.netsuite_masters import Masters, Period
from revenue_assets.posting.erp.netsuite_settlement import Settlement
from revenue_assets.posting.erp.port import AccountBalance, Application, DocumentKind, Found, Line, PostedDocument
from revenue_assets.sources.netsuite_client import NetSuiteClient, Row, literal
from revenue_assets.sources.netsuite_tables import chunks


class Ledger:
    """Reads only. Raises NetSuiteFault for a query without an answer; what is odd in a journal is a defect, not an
    error: it is evidence."""

    def __init__(
        self, client: NetSuiteClient, masters: Masters, exponents: Mapping[str, int], options: NetSuiteOptions,
        settlement: Settlement | None = None,
    ) -> None:  # fmt: skip
        self._client, self._masters = client, masters
        self._exponents, self._options = dict(exponents), options
        book = options.accounting_book
        self._book = f" AND tal.accountingbook = {int(book)}" if book else ""
        self._settlement = settlement
        types = ("Journal", *DETAIL_TYPES.values()) if settlement is not None else ("Journal",)
        self._types = f"t.type IN ({', '.join(literal(name) for name in types)})"

    def by_key(self, keys: Sequence[str]) -> dict[str, tuple[Found, ...]]:
        """Documents that carry one of the keys; absent keys have no entry."""
        found: dict[str, tuple[Found, ...]] = {}
        for chunk in chunks(keys):
            rows = self._client.query(
                "SELECT t.id, t.tranid, t.externalid, MIN(tal.posting) AS posting FROM transaction t "
                f"LEFT JOIN transactionaccountingline tal ON tal.transaction = t.id{self._book} "
                f"WHERE {self._types} AND t.externalid IN ({', '.join(literal(key) for key in chunk)}) "
                "GROUP BY t.id, t.tranid, t.externalid ORDER BY t.id"
            )
            for row in rows:
                state = "posted" if row.get("posting") == "T" else "created"
                hit = Found(row["externalid"], str(row["id"]), row.get("tranid"), state)  # type: ignore[arg-type]
                found[hit.key] = (*found.get(hit.key, ()), hit)
        return found

    def documents(self, document_ids: Sequence[str]) -> dict[str, PostedDocument]:
        """Documents with their lines, by internal id, as they are now."""
        rows: dict[str, list[Row]] = {}
        for chunk in chunks([str(int(document_id)) for document_id in document_ids]):
            for row in self._client.query(self._lines_query(chunk)):
                rows.setdefault(str(row["id"]), []).append(row)
        periods = {period.id: period for period in self._masters.periods()} if rows else {}
        found = {number: self._document(lines, periods) for number, lines in rows.items()}
        return self._settling(found)

    def balances(self, company: str, subsidiary: str, period: Period, currency: str) -> tuple[AccountBalance, ...]:
        """Every account that moved in the period. Raises MoneyError for a sum that is no money."""
        rows = self._client.query(
            "SELECT a.acctnumber, SUM(tal.debit) AS debit, SUM(tal.credit) AS credit "
            "FROM transactionaccountingline tal JOIN transaction t ON t.id = tal.transaction "
            "JOIN transactionline tl ON tl.transaction = tal.transaction AND tl.id = tal.transactionline "
            "JOIN account a ON a.id = tal.account "
            f"WHERE tal.posting = 'T'{self._book} AND t.postingperiod = {int(period.id)} "
            f"AND tl.subsidiary = {int(subsidiary)} GROUP BY a.acctnumber ORDER BY a.acctnumber"
        )
        balances = (
            AccountBalance(
                company,
                period.name,
                row.get("acctnumber", ""),
                currency,
                self._minor(row.get("debit"), currency),
                self._minor(row.get("credit"), currency),
            )
            for row in rows
        )
        return tuple(b for b in balances if b.debit or b.credit)

    def _lines_query(self, ids: Sequence[str]) -> str:
        extra = [f"tl.{d.field}" for d in self._masters.dimensions.values()]
        if self._options.foreign_fields is not None:
            extra += [f"tl.{self._options.foreign_fields.currency}", f"tl.{self._options.foreign_fields.amount}"]
        more = "".join(f", {column}" for column in dict.fromkeys(extra))
        joins = ""
        if self._settlement is not None:
            more += (
                f", TO_CHAR(t.duedate, 'YYYY-MM-DD') AS duedate, t.{self._settlement.number_column} AS number, "
                "c.externalid AS customer, i.externalid AS item"
            )
            joins = "LEFT JOIN customer c ON c.id = t.entity LEFT JOIN item i ON i.id = tl.item "
        # From the accounting lines outwards, so that a line which has no transaction line cannot hide.
        return (
            "SELECT t.id, t.type, t.tranid, t.externalid, TO_CHAR(t.trandate, 'YYYY-MM-DD') AS trandate, "
            "t.postingperiod, t.currency, tal.transactionline, tal.debit, tal.credit, tal.posting, a.acctnumber, "
            f"tl.subsidiary, tl.foreignamount, tl.memo{more} FROM transaction t "
            f"LEFT JOIN transactionaccountingline tal ON tal.transaction = t.id{self._book} "
            "LEFT JOIN transactionline tl ON tl.transaction = tal.transaction AND tl.id = tal.transactionline "
            f"LEFT JOIN account a ON a.id = tal.account {joins}"
            f"WHERE {self._types} AND t.id IN ({', '.join(ids)}) ORDER BY t.id, tal.transactionline, tal.account"
        )

    def _document(self, rows: Sequence[Row], periods: Mapping[str, Period]) -> PostedDocument:
        head, defects = rows[0], []
        lines_of = [row for row in rows if row.get("transactionline") is not None]
        subsidiaries = sorted({str(row.get("subsidiary", "")) for row in lines_of})
        if len(subsidiaries) > 1:
            defects.append(f"its lines are of several subsidiaries: {', '.join(subsidiaries)}")
        subsidiary = subsidiaries[0] if subsidiaries else ""
        functional = self._masters.functional_currency(subsidiary)
        journal_currency = self._masters.currency_code(str(head.get("currency", "")))
        lines: list[Line] = []
        for number, row in enumerate(lines_of, start=1):
            try:
                lines.append(self._line(number, row, functional, journal_currency))
            except (MoneyError, KeyError) as error:
                defects.append(f"line {number}: {error}")
        date = dt.date.fromisoformat(head["trandate"])
        period = periods.get(str(head.get("postingperiod")))
        if period is None or not period.start_date <= date <= period.end_date:
            name = period.name if period else head.get("postingperiod")
            defects.append(f"its date {date} is not in its period {name}")
        posting = {row.get("posting") for row in lines_of}
        return PostedDocument(
            key=head.get("externalid", ""),
            document_id=str(head["id"]),
            number=head.get("tranid"),
            state="posted" if posting == {"T"} else "created",
            company=self._masters.company(subsidiary),
            accounting_date=date,
            period=period.name if period else "",
            functional_currency=functional,
            lines=tuple(lines),
            defects=tuple(defects),
            **_detail(head),
        )

    def _settling(self, documents: Mapping[str, PostedDocument]) -> dict[str, PostedDocument]:
        """The documents with what they settle; NetSuite keeps it in the currency of both, which is the company's."""
        applied: dict[str, tuple[Application, ...]] = {}
        by_currency: dict[str, list[str]] = {}
        for number, document in documents.items():
            if document.kind in ("credit_note", "cash_application"):
                by_currency.setdefault(document.functional_currency, []).append(number)
        if self._settlement is not None:
            for currency, ids in by_currency.items():
                applied |= self._settlement.settled_by(ids, currency)
        return {number: replace(d, applies_to=applied.get(number, ())) for number, d in documents.items()}

    def _line(self, number: int, row: Row, functional: str, journal_currency: str) -> Line:
        debit, credit = self._minor(row.get("debit"), functional), self._minor(row.get("credit"), functional)
        fields = self._options.foreign_fields
        stated = row.get(fields.currency) if fields is not None else None
        if fields is not None and stated:
            currency, amount = stated, self._minor(row.get(fields.amount), stated)
        elif journal_currency != functional:
            currency, amount = journal_currency, self._minor(row.get("foreignamount"), journal_currency)
        else:
            currency, amount = functional, debit - credit
        dimensions = {
            name: self._masters.dimension_value(name, str(row[dimension.field]))
            for name, dimension in self._masters.dimensions.items()
            if row.get(dimension.field) is not None
        }
        account, text = row.get("acctnumber", ""), row.get("memo", "")
        return Line(number, account, debit, credit, currency, amount, text, dimensions, item=row.get("item"))

    def _minor(self, value: Any, currency: str) -> int:
        """Whole minor units of an amount as SuiteQL shows it: text or number, `120`, `120.5`, `1.0E7`, null.

        Raises MoneyError for what is no exact amount, KeyError for an unknown currency.
        """
        if value is None or value == "":
            return 0
        try:
            return to_minor(format(Decimal(str(value)), "f"), self._exponents[currency])
        except InvalidOperation:
            raise MoneyError(f"{value!r} is not an amount.") from None


def _detail(head: Row) -> dict[str, Any]:
    """What a document besides a journal says of itself. A credit memo without a number carries a payment."""
    if head["type"] == "Journal":
        return {}
    number = head.get("number")
    kind: DocumentKind = "cash_application"
    if head["type"] == "CustInvc":
        kind = "invoice"
    elif head["type"] == "CustCred" and number:
        kind = "credit_note"
    due = head.get("duedate")
    return {
        "kind": kind,
        "customer_id": head.get("customer"),
        "reference": number if kind != "cash_application" else None,
        "due_date": dt.date.fromisoformat(due) if due and kind == "invoice" else None,
    }
