"""Cases -> landed CloudEvents and state snapshots, in the layout every other source uses.

Nothing of a case reaches the warehouse by another way. Loading marks history as loaded in one go: landing times are
those of the event's own recorded time, so that no case depends on the day it is run.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from revenue_assets.conformance.cases import Case, calendar_of, cloud_events, horizon, raw_text
from revenue_assets.domain.periods import span
from revenue_assets.state import ENTITY_COLUMNS, currency_exponents, write_parquet
from revenue_assets.store.export import SCHEMAS
from revenue_assets.store.ledger import Journal

LANDING = pa.schema(
    [
        ("_source", pa.string()), ("_vendor", pa.string()), ("_object", pa.string()), ("_record_id", pa.string()),
        ("_content_hash", pa.string()), ("_landed_at", pa.timestamp("us")), ("_landing_seq", pa.int64()),
        ("_batch_id", pa.string()), ("_run_id", pa.string()), ("_entity_id", pa.string()), ("raw", pa.string()),
    ]
)  # fmt: skip
TEXT = pa.string()


def write_landing(cases: list[Case], landing: Path) -> int:
    """Writes all events of all cases as one landed batch in arrival order; returns the number of rows."""
    rows: list[dict] = []
    for case in cases:
        for envelope in cloud_events(case):
            raw = raw_text(envelope)
            digest = hashlib.sha256(raw.encode()).hexdigest()
            key = f"{envelope['source']}|{envelope['id']}|{digest}"
            rows.append(
                {
                    "_source": "events",
                    "_vendor": "cloudevents",
                    "_object": "cloud_event",
                    "_record_id": hashlib.sha256(key.encode()).hexdigest(),
                    "_content_hash": digest,
                    "_landed_at": dt.datetime.fromisoformat(envelope["recordedtime"]).replace(tzinfo=None),
                    "_landing_seq": len(rows) + 1,
                    "_batch_id": "conformance",
                    "_run_id": "conformance",
                    "_entity_id": envelope["entityid"],
                    "raw": raw,
                }
            )
    folder = landing / "events" / "cloud_event" / "day=1970-01-01"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=LANDING), folder / "conformance.parquet")
    return len(rows)


def write_empty_sources(project: Path, landing: Path, journal: Path) -> None:
    """What a company without these systems would have: every other landed object with no row, and an empty journal."""
    for declared in sorted((project / "models" / "staging").glob("*/*sources.yml")):
        for source in yaml.safe_load(declared.read_text("utf-8"))["sources"]:
            for table in source["tables"]:
                folder = landing / f"no_{source['name']}" / table["name"] / "day=1970-01-01"
                folder.mkdir(parents=True, exist_ok=True)
                pq.write_table(LANDING.empty_table(), folder / "empty.parquet")
    Journal(journal).prepare()


def write_state(cases: list[Case], state: Path) -> None:
    """Entities, policy, currencies and the masters that a company's config would give, empty where a case has none."""
    policy = [
        {
            "entity_id": row["entity"],
            "product_family": row.get("product_family"),
            "currency": row.get("currency"),
            "key": key,
            "value": value if isinstance(value, str) else json.dumps(value, sort_keys=True),
        }
        for case in cases
        for row in case.policy
        for key, value in row["set"].items()
    ]
    digest = hashlib.sha256(json.dumps(policy, sort_keys=True).encode()).hexdigest()
    _write(
        state,
        "entities",
        dict.fromkeys(ENTITY_COLUMNS, TEXT),
        [
            {
                "entity_id": entity["id"],
                "name": case.title or case.id,
                "functional_currency": entity["functional_currency"],
                "time_zone": entity.get("time_zone", "UTC"),
                "calendar": entity.get("calendar", "month"),
                "fiscal_year": json.dumps(entity["fiscal_year"]) if entity.get("fiscal_year") else None,
                "erp_company": entity["id"],
            }
            for case in cases
            for entity in case.entities
        ],
    )
    _write(
        state,
        "policy",
        dict.fromkeys(("entity_id", "product_family", "currency", "key", "value", "policy_hash"), TEXT),
        [{**row, "policy_hash": digest} for row in policy],
    )
    _write(
        state,
        "currencies",
        {"currency": TEXT, "exponent": pa.int32()},
        [{"currency": code, "exponent": digits} for code, digits in sorted(currency_exponents().items())],
    )
    for name, schema in SCHEMAS.items():
        write_parquet(state / f"{name}.parquet", schema, [])
    write_parquet(state / "periods.parquet", SCHEMAS["periods"], _months(cases))
    for name, columns in EMPTY.items():
        _write(state, name, columns, [])


EMPTY: dict[str, dict[str, pa.DataType]] = {
    "accounts": dict.fromkeys(("entity_id", "account_role", "product_family", "account_code", "account_name"), TEXT),
    "recon_policy": {
        **dict.fromkeys(("recon_id", "name", "area", "owner_team", "source_label", "target_label"), TEXT),
        "tolerance_share": TEXT,
        **dict.fromkeys(("tolerance_absolute", "tolerance_days", "materiality_floor"), pa.int64()),
        "gates_close": pa.bool_(),
    },
    "class_owner": dict.fromkeys(("variance_class", "owner_team"), TEXT),
    "sources": dict.fromkeys(("source", "vendor", "entity_id", "lead_entity_id", "role"), TEXT),
    "landing_files": {"path": TEXT},
}  # fmt: skip


def _write(state: Path, name: str, columns: dict[str, pa.DataType], rows: list[dict]) -> None:
    write_parquet(state / f"{name}.parquet", pa.schema(list(columns.items())), rows)


def _months(cases: list[Case]) -> list[dict]:
    """Open periods of every entity up to the horizon; closings come from the cases' own period events."""
    last = horizon(cases)
    rows = []
    for case in cases:
        first = min((dt.date.fromisoformat(envelope["effectivedate"]) for envelope in cloud_events(case)), default=last)
        for entity in case.entities:
            own = calendar_of(entity)
            rows += [
                {"entity_id": entity["id"], "book": "main", "period": period, "start_date": own.first_day(period),
                 "end_date_exclusive": own.end(period), "status": "open"}
                for period in span(own.of(first), own.of(last))
            ]  # fmt: skip
    return rows
