"""From summarised lines to outbox rows: the document of each batch, its key and its lines."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from typing import Any

import duckdb

from revenue_assets.domain import posting_state
from revenue_assets.domain.calendars import MONTHS, Calendar
from revenue_assets.posting import batches_sql as sql
from revenue_assets.posting import details
from revenue_assets.posting.erp.open_items import ORDER
from revenue_assets.store import outbox
from revenue_assets.store.audit import canonical
from revenue_assets.store.engine import StoreError

_DIMENSIONS = {
    "accounting_date": "line_date", "tax_code": "line_tax_code", "jurisdiction": "line_jurisdiction",
    "customer_id": "line_customer", "entry": "line_entry",
}  # fmt: skip
_LINE = (
    "line_no", "account_role", "account_code", "currency", "amount_tc", "debit_fc", "credit_fc", "product_family",
    "prior_period", "member_count", "members_hash",
)  # fmt: skip
# Only in the document: the outbox's lines have no column for them.
_DOCUMENT_ONLY = frozenset({"members_hash", "item", "origins"})


def documents(
    connection: duckdb.DuckDBPyConnection, tenant: str, as_of: dt.date, own: Mapping[str, Calendar], mode: str
) -> list[dict[str, Any]]:
    """One dict per document of `summarised`: the outbox row (`row`), its `lines`, and its `document_no` there."""
    grouped: dict[int, list[dict[str, Any]]] = {}
    for row in _dicts(connection, sql.DOCUMENT_LINES):
        grouped.setdefault(row["document_no"], []).append(row)
    heads: dict[str, dict[str, Any]] = {}
    if any(rows[0]["detail_id"] for rows in grouped.values()):
        heads = {row["entry_id"]: row | {"applies_to": []} for row in _dicts(connection, details.DOCUMENTS)}
        for row in _dicts(connection, details.APPLICATIONS):
            heads[row.pop("entry_id")]["applies_to"].append(row)
    # What settles is sent after what it settles, so it is also stored after it: batches go in the order of the outbox.
    in_order = sorted(grouped.items(), key=lambda item: ORDER.index(item[1][0]["kind"]))
    return [
        {"document_no": number, **_document(rows, heads.get(rows[0]["detail_id"]), tenant, as_of, own, mode)}
        for number, rows in in_order
    ]


def _document(
    rows: list[dict[str, Any]], detail: dict[str, Any] | None, tenant: str, as_of: dt.date,
    own: Mapping[str, Calendar], mode: str,
) -> dict[str, Any]:  # fmt: skip
    head = rows[0]
    date = own.get(head["entity_id"], MONTHS).document_date(head["posting_period"], as_of)
    if detail is not None:
        date = detail["document_date"]
    lines = [_line(row) for row in rows]
    debit, credit = sum(line["debit_fc"] for line in lines), sum(line["credit_fc"] for line in lines)
    if debit != credit:
        raise StoreError(
            f"document of {head['entity_id']} {head['posting_period']} {head['event_class']} does not balance: "
            f"{debit} against {credit} minor units {head['functional_currency']}."
        )
    document_json = canonical(
        {
            "tenant": tenant,
            "entity_id": head["entity_id"],
            "erp_company": head["erp_company"],
            "book": head["book"],
            "period": head["posting_period"],
            "date": date,
            "event_class": head["event_class"],
            "rule_hash": head["rule_hash"],
            "functional_currency": head["functional_currency"],
            "lines": lines,
            **_as_document(head["kind"], detail),
        }
    )
    # The key of a shadow batch is never that of the live one with the same content: that one is yet to be sent.
    parts = [tenant, head["entity_id"], head["posting_period"], head["rule_hash"] or "", document_json]
    parts += [] if mode == outbox.LIVE else [mode]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
    row = {
        "batch_key": key,
        "content_hash": outbox.content_hash(document_json),
        "tenant": tenant,
        "entity_id": head["entity_id"],
        "erp_company": head["erp_company"],
        "book": head["book"],
        "period": head["posting_period"],
        "event_class": head["event_class"],
        "rule_hash": head["rule_hash"] or "",
        "functional_currency": head["functional_currency"],
        "currency_set": ",".join(sorted({line["currency"] for line in lines})),
        "accounting_date": date,
        "line_count": len(lines),
        "member_count": sum(line["member_count"] for line in lines),
        "debit_fc": debit,
        "credit_fc": credit,
        "document_json": document_json,
        "mode": mode,
        "status": posting_state.PLANNED,
    }
    return {"row": row, "lines": [_batch_line(key, line, head["functional_currency"]) for line in lines]}


def _as_document(kind: str, detail: dict[str, Any] | None) -> dict[str, Any]:
    """What a document that is no journal says besides its lines."""
    if kind == "journal" or detail is None:
        return {}
    return {
        "kind": kind,
        "customer": {"id": detail["customer_id"], "name": detail["customer_name"]},
        "reference": detail["reference"],
        "due_date": detail["due_date"],
        "applies_to": detail["applies_to"] if kind != "invoice" else [],
    }


def _line(row: dict[str, Any]) -> dict[str, Any]:
    found = {name: row[column] for name, column in _DIMENSIONS.items() if row[column] is not None}
    found |= {extra["name"]: extra["value"] for extra in row["line_extra"] or ()}
    line = {name: row[name] for name in _LINE} | {"dimensions": found}
    if row["kind"] != "journal":
        line["item"] = row["line_item"]
    if row["origins"]:
        line["origins"] = row["origins"]
    return line


def _batch_line(key: str, line: dict[str, Any], functional_currency: str) -> dict[str, Any]:
    kept = {name: value for name, value in line.items() if name not in _DOCUMENT_ONLY}
    dimensions = canonical(line["dimensions"]) if line["dimensions"] else None
    return kept | {"batch_key": key, "functional_currency": functional_currency, "dimensions": dimensions}


def _dicts(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    cursor = connection.execute(query)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
