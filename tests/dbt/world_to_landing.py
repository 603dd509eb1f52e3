"""Turns a generated world into landing files, so that dbt is tested without HTTP.

Rows have the columns of the landing contract; nothing is typed or cleaned here, for that is what the models under
test do. Payloads keep the text they have in the world's files.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

LANDED_AT = dt.datetime(2026, 11, 1, 6, 0)  # noqa: DTZ001  landing times are naive UTC by contract
SCHEMA = pa.schema(
    [
        ("_source", pa.string()),
        ("_vendor", pa.string()),
        ("_object", pa.string()),
        ("_record_id", pa.string()),
        ("_content_hash", pa.string()),
        ("_landed_at", pa.timestamp("us")),
        ("_landing_seq", pa.int64()),
        ("_batch_id", pa.string()),
        ("_run_id", pa.string()),
        ("_entity_id", pa.string()),
        ("raw", pa.string()),
    ]
)

INSTANCES: dict[str, tuple[str, str | None]] = {
    "crm": ("salesforce", None),
    "billing_us": ("stripe", "US"),
    "billing_uk": ("stripe", "UK"),
    "billing_de": ("stripe", "DE"),
    "tax": ("avalara", None),
    "treasury": ("treasury", None),
    "events": ("cloudevents", None),
    "erp": ("tryton", None),
}
# Objects every instance of a vendor lands, even when it has none of them.
OBJECTS: dict[str, tuple[str, ...]] = {
    "salesforce": (
        "account",
        "opportunity",
        "opportunity_line_item",
        "product2",
        "pricebook_entry",
        "contract",
        "quote",
        "quote_line",
    ),
    "stripe": (
        "customer",
        "product",
        "price",
        "tax_rate",
        "subscription",
        "subscription_schedule",
        "invoice",
        "invoice_payment",
        "credit_note",
        "charge",
        "refund",
        "dispute",
        "payout",
        "payout_member",
        "balance_transaction",
        "meter",
        "meter_event_summary",
        "balance_report",
        "event",
    ),
    "avalara": ("transaction",),
    "treasury": ("fx_rate", "bank_line"),
    "cloudevents": ("cloud_event",),
    "tryton": ("move", "account_balance", "period"),
}


def write_landing(
    landing: Path,
    source: str,
    object_name: str,
    records: Iterable[tuple[str, str]],
    *,
    vendor: str,
    entity_id: str | None = None,
    landed_at: dt.datetime = LANDED_AT,
    first_seq: int = 1,
    batch_id: str = "test",
) -> int:
    """Writes (record id, raw text) pairs as one landing file, maybe with 0 rows. Returns the number of rows."""
    rows = [
        {
            "_source": source,
            "_vendor": vendor,
            "_object": object_name,
            "_record_id": record_id,
            "_content_hash": hashlib.sha256(raw.encode()).hexdigest(),
            "_landed_at": landed_at,
            "_landing_seq": first_seq + position,
            "_batch_id": batch_id,
            "_run_id": "test",
            "_entity_id": entity_id,
            "raw": raw,
        }
        for position, (record_id, raw) in enumerate(records)
    ]
    path = landing / source / object_name / f"day={landed_at:%Y-%m-%d}" / f"{batch_id}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path)
    return len(rows)


def record_id_of(vendor: str, object_name: str, record: Mapping[str, Any]) -> str:
    """The record identity of the landing contract for a vendor-shaped record."""
    if vendor == "salesforce":
        return str(record["Id"])
    if vendor == "avalara":
        company = record.get("companyCode") or record["companyId"]
        return f"{company}:{record['code']}:{record['type']}:{record['version']}"
    if vendor == "cloudevents":
        content = {key: record.get(key) for key in ("type", "entityid", "effectivedate", "data")}
        text = json.dumps([record["source"], record["id"], content], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
    if object_name == "fx_rate":
        keys = ("entity_id", "from_currency", "to_currency", "rate_date", "rate_type")
        return ":".join(record[key] for key in keys)
    if object_name == "bank_line":
        return f"{record['entity_id']}:{record['bank_line_id']}"
    if object_name == "payout_member":
        return f"{record['payout']}:{record['balance_transaction']}"
    if object_name == "balance_report":
        return f"{record['period']}:{record['currency']}"
    return str(record["id"])


def raw_records(world: Path, instance: str) -> dict[str, list[tuple[str, str]]]:
    """(record id, raw text) pairs of every object that an instance lands, in the order of the world's files."""
    vendor, _ = INSTANCES[instance]
    return {
        object_name: [
            (record_id_of(vendor, object_name, json.loads(text)), text)
            for text in _texts(world / instance, object_name)
        ]
        for object_name in OBJECTS[vendor]
    }


def world_to_landing(world: Path, landing: Path) -> dict[str, int]:
    """Lands a whole world. Returns rows per `<instance>/<object>`; objects without a file get an empty landing file."""
    counts: dict[str, int] = {}
    for instance, (vendor, entity_id) in INSTANCES.items():
        for object_name, records in raw_records(world, instance).items():
            counts[f"{instance}/{object_name}"] = write_landing(
                landing, instance, object_name, records, vendor=vendor, entity_id=entity_id
            )
    return counts


def _texts(folder: Path, object_name: str) -> Iterable[str]:
    """Raw JSON texts of one object: lines of a .jsonl file, or rows of a .csv file as {column: text}."""
    lines, table = folder / f"{object_name}.jsonl", folder / f"{object_name}.csv"
    if lines.exists():
        yield from (line for line in lines.read_text().splitlines() if line.strip())
    elif table.exists():
        with table.open(newline="") as handle:
            yield from (json.dumps(row) for row in csv.DictReader(handle))
