"""SuiteQL over the emulated books: SQLite under tables and columns named like NetSuite's analytics schema.

Like the real service: SELECT only, no bind parameters, no LIMIT, values as text, null columns missing from a row, dates
in the account's own format unless TO_CHAR says otherwise, and no order of rows that was not asked for.
"""

from __future__ import annotations

import datetime as dt
import random
import re
import sqlite3
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from demo.erp_emulators.ledger import EXPONENTS, Held
from demo.erp_emulators.netsuite_chart import LINE_FIELDS, Chart
from demo.erp_emulators.netsuite_invoices import links, open_amounts

_TABLES = {
    "transaction": "id type tranid externalid trandate createddate postingperiod currency exchangerate memo "
    "approvalstatus entity duedate otherrefnum custbody_ra_number foreignamountunpaid",
    "transactionline": "transaction id linesequencenumber mainline item subsidiary memo foreignamount "
    + " ".join(LINE_FIELDS),
    "transactionaccountingline": "transaction transactionline account accountingbook debit credit amount posting",
    "nexttransactionlinelink": "previousdoc previousline nextdoc nextline linktype foreignamount",
    "customer": "id externalid entityid companyname isinactive subsidiary",
    "item": "id externalid itemid incomeaccount isinactive",
    "customersubsidiaryrelationship": "entity subsidiary",
}
_INTEGERS = frozenset(
    "id transaction transactionline postingperiod linesequencenumber accountingbook entity subsidiary item previousdoc "
    "previousline nextdoc nextline".split()
)
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION}
# A text literal, or the table (and column) whose name is a keyword here.
_WORD = re.compile(r"'(?:[^']|'')*'|\btransaction\b", re.IGNORECASE)
_ISO = re.compile(r"\d{4}-\d\d-\d\d")


class QueryError(Exception):
    """A query that SuiteQL refuses."""


class _ExactSum:
    """SUM without a float."""

    def __init__(self) -> None:
        self.total: Decimal | None = None

    def step(self, value: Any) -> None:
        if value is not None:
            self.total = (self.total or Decimal(0)) + Decimal(str(value))

    def finalize(self) -> str | None:
        return None if self.total is None else format(self.total.normalize(), "f")


def run(
    sql: str, chart: Chart, masters: dict[str, list[dict[str, object]]], documents: Sequence[Held]
) -> list[dict[str, str]]:
    """All rows of the query over these documents. Raises QueryError."""
    if re.search(r"[?;]|\blimit\b", re.sub(r"'(?:[^']|'')*'", "''", sql), re.IGNORECASE):
        raise QueryError("Invalid or unsupported search")
    connection = sqlite3.connect(":memory:")
    try:
        connection.create_aggregate("sum", 1, _ExactSum)
        connection.create_function("to_char", 2, _to_char)
        for table, rows in {**masters, **_ledger(chart, documents)}.items():
            _fill(connection, table, rows)
        connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY)
        cursor = connection.execute(_WORD.sub(_quoted, sql))
        names = [column[0].lower() for column in cursor.description or ()]
        found = [dict(zip(names, row, strict=True)) for row in cursor]
    except sqlite3.Error as error:
        raise QueryError(f"Invalid search query. {error}") from error
    finally:
        connection.close()
    if not re.search(r"\border\s+by\b", sql, re.IGNORECASE):
        random.shuffle(found)
    return [{name: _shown(value) for name, value in row.items() if value is not None} for row in found]


def _quoted(match: re.Match[str]) -> str:
    return match[0] if match[0].startswith("'") else '"transaction"'


def _fill(connection: sqlite3.Connection, table: str, rows: Sequence[dict[str, object]]) -> None:
    columns = _TABLES[table].split() if table in _TABLES else list(rows[0])
    typed = ", ".join(f'"{c}" {"integer" if c in _INTEGERS else "text"}' for c in columns)
    connection.execute(f'create table "{table}" ({typed})')
    marks = ", ".join("?" for _ in columns)
    connection.executemany(f'insert into "{table}" values ({marks})', [[row.get(c) for c in columns] for row in rows])


def _ledger(chart: Chart, documents: Sequence[Held]) -> dict[str, list[dict[str, object]]]:
    heads: list[dict[str, object]] = []
    lines: list[dict[str, object]] = []
    ledger: list[dict[str, object]] = []
    unpaid = open_amounts(list(documents))
    for held in documents:
        entry, extra = held.entry, held.entry.extra
        heads.append(
            {
                "id": held.id, "type": extra.get("type", "Journal"), 
                "tranid": extra.get("tranid") or f"JE{int(held.id):05d}",
                "externalid": entry.key or None, "trandate": entry.date, "createddate": entry.date,
                "postingperiod": chart.periods.get(entry.date[:7]),
                "currency": chart.currencies[str(extra.get("currency", entry.currency))],
                "exchangerate": extra.get("rate", "1"), "memo": entry.text,
                "approvalstatus": "2" if held.state == "posted" else "1",
                **{name: extra.get(name) for name in ("entity", "duedate", "otherrefnum", "custbody_ra_number")},
                "foreignamountunpaid": _major(unpaid[held.id], extra["currency"]) if held.id in unpaid else None,
            }
        )  # fmt: skip
        sold = extra.get("sold", ())
        for number, line in enumerate(entry.lines):
            of = {"transaction": held.id}
            lines.append(
                {
                    **of, "id": number, "linesequencenumber": number, "memo": line.text or None,
                    "mainline": "T" if number == 0 and sold else "F",
                    "item": sold[number] if number < len(sold) else None,
                    "subsidiary": chart.subsidiaries[entry.company],
                    "foreignamount": _major(line.amount, line.currency), **line.dimensions,
                }
            )  # fmt: skip
            ledger.append(
                {
                    **of, "transactionline": number, "account": chart.accounts.get(line.account, "96"),
                    "accountingbook": 1, "debit": _major(line.debit, entry.currency) if line.debit else None,
                    "credit": _major(line.credit, entry.currency) if line.credit else None,
                    "amount": _major(line.debit - line.credit, entry.currency),
                    "posting": "T" if held.state == "posted" else "F",
                }
            )  # fmt: skip
    joined = [
        {**row, "foreignamount": _major(row["foreignamount"], row["currency"])}  # type: ignore[arg-type]
        for row in links(list(documents))
    ]
    return {
        "transaction": heads, "transactionline": lines, "transactionaccountingline": ledger,
        "nexttransactionlinelink": joined,
    }  # fmt: skip


def _major(minor: int, currency: str) -> str:
    """As the service shows numbers: no zeros at the end."""
    text = format(Decimal(minor).scaleb(-EXPONENTS[currency]), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _to_char(value: str | None, pattern: str) -> str | None:
    """A date as ISO text, marked so that the answer leaves it as it is."""
    if pattern != "YYYY-MM-DD":
        raise ValueError("only YYYY-MM-DD is emulated")
    return None if value is None else f"\x01{value}"


def _shown(value: object) -> str:
    text = str(value)
    if text.startswith("\x01"):
        return text[1:]
    if _ISO.fullmatch(text):
        day = dt.date.fromisoformat(text)
        return f"{day.month}/{day.day}/{day.year}"
    return text
