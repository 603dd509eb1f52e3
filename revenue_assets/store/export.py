"""Snapshots of the operational store under `state/`, as Parquet that SQL reads. Always all columns, also when empty.

Each file is swapped in whole: a reader sees the old or the new snapshot. Money is BIGINT minor units, instants are
naive UTC. Contents depend on the store alone, so the same store gives the same files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Select, select

from revenue_assets.state import calendars
from revenue_assets.store import outbox, periods
from revenue_assets.store.engine import Store
from revenue_assets.store.ledger import fsync_folder
from revenue_assets.store.tables import exceptions, landing_batches, posting_batch_lines, posting_batches, publish_log

_TEXT, _WHOLE, _INT, _FLAG, _DAY, _AT = pa.string(), pa.int64(), pa.int32(), pa.bool_(), pa.date32(), pa.timestamp("us")


def _columns(**kinds: str) -> dict[pa.DataType, list[str]]:
    types = {"text": _TEXT, "whole": _WHOLE, "int": _INT, "flag": _FLAG, "day": _DAY, "at": _AT}
    return {types[kind]: names.split() for kind, names in kinds.items()}


SCHEMAS: dict[str, pa.Schema] = {
    name: pa.schema([(column, kind) for kind, columns in kinds.items() for column in columns])
    for name, kinds in {
        "posting_batches": _columns(
            text="batch_key entity_id erp_company book period event_class currency_set functional_currency "
            "rule_hash status mode cut_id "
            "erp_document_id erp_document_number last_error_class last_error document_json",
            whole="member_count debit_fc credit_fc",
            int="line_count attempts",
            day="accounting_date",
            at="created_at sent_at posted_at verified_at next_attempt_at",
        ),
        "posting_batch_lines": _columns(
            text="batch_key account_role account_code currency functional_currency product_family dimensions",
            whole="amount_tc debit_fc credit_fc member_count",
            int="line_no",
            flag="prior_period",
        ),
        # Batches that are compared and never sent, with their lines.
        "shadow_batch_lines": _columns(
            text="batch_key entity_id erp_company period event_class account_role account_code currency "
            "functional_currency product_family",
            whole="amount_tc debit_fc credit_fc member_count",
            int="line_no",
            day="accounting_date",
        ),
        # Rewritten by each cut; here only so that it is always there.
        "unposted_lines": _columns(
            text="booked_line_id entity_id period event_class currency waits owner_team explanation", whole="amount_fc"
        ),
        "periods": _columns(
            text="entity_id book period status changed_by approver reason snapshot_hash",
            day="start_date end_date_exclusive",
            at="changed_at closed_at",
        ),
        "exceptions": _columns(
            text="exception_id origin recon_id category severity entity_id period currency owner_team assignee "
            "status source_reference "
            "customer_id correlation_id source_event_id idempotency_key erp_document error_code error_message "
            "next_action resolution "
            "resolution_note resolved_by",
            whole="amount",
            int="attempts reopened",
            flag="blocks_close",
            at="last_attempt_at first_seen_at opened_at last_seen_at cleared_at resolved_at",
        ),
        "landing_batches": _columns(
            text="source object batch_id path sha256 control_totals run_id",
            whole="row_count quarantined seq_from seq_to",
            at="landed_at committed_at",
        ),
        "landing_totals": _columns(text="batch_id field currency amount unit currency_field"),
        "publish_log": _columns(
            text="publish_id status run_id code_version rules_version content_hash table_rows table_hashes "
            "dbt_invocation_id fx_rate_set source_cut_offs",
            whole="seq",
            day="as_of",
            at="at",
        ),
    }.items()
}  # fmt: skip


def export_state(store: Store, folder: Path) -> dict[str, int]:
    """Writes the snapshots of the store into `folder`; returns file name -> rows. Posting batches are the live ones."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "posting_batches": (posting_batches, ("period", "seq")),
        "posting_batch_lines": (posting_batch_lines, ("batch_key", "line_no")),
        "exceptions": (exceptions, ("exception_id",)),
        "landing_batches": (landing_batches, ("landed_at", "batch_id")),
        "publish_log": (publish_log, ("seq",)),
    }
    counts = {"periods": _write(folder, "periods", periods.all_periods(store, calendars=calendars(folder)))}
    with store.read() as connection:
        for name, (table, order) in tables.items():
            query = select(table).order_by(*(table.c[c] for c in order))
            if table is posting_batches:
                query = query.where(table.c.mode == outbox.LIVE)
            elif table is posting_batch_lines:
                query = query.where(table.c.batch_key.in_(_keys(outbox.LIVE)))
            rows: Any = connection.execute(query).mappings().all()
            counts[name] = _write(folder, name, rows)
            if name == "landing_batches":
                counts["landing_totals"] = _write(folder, "landing_totals", control_totals(rows))
        rows = connection.execute(_SHADOW).mappings().all()
        counts["shadow_batch_lines"] = _write(folder, "shadow_batch_lines", rows)
    if not (folder / "unposted_lines.parquet").exists():
        counts["unposted_lines"] = _write(folder, "unposted_lines", ())
    fsync_folder(folder)
    return counts


def _keys(mode: str) -> Select[Any]:
    return select(posting_batches.c.batch_key).where(posting_batches.c.mode == mode)


_SHADOW = (
    select(
        posting_batch_lines,
        *(posting_batches.c[name] for name in ("entity_id", "erp_company", "period", "event_class", "accounting_date")),
    )
    .join(posting_batches, posting_batches.c.batch_key == posting_batch_lines.c.batch_key)
    .where(posting_batches.c.mode == outbox.SHADOW)
    .order_by(posting_batch_lines.c.batch_key, posting_batch_lines.c.line_no)
)


def control_totals(batches: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The control totals of the batches, one row per money field and currency, as decimal text in the field's unit."""
    for batch in batches:
        control = json.loads(batch["control_totals"])
        same = {"batch_id": batch["batch_id"], **{name: control.get(name) for name in ("unit", "currency_field")}}
        for field, sums in sorted(control.get("amounts", {}).items()):
            for currency, amount in sorted(sums.items()):
                yield same | {"field": field, "currency": currency, "amount": amount}


def _write(folder: Path, name: str, rows: Iterable[Mapping[str, Any]]) -> int:
    schema = SCHEMAS[name]
    table = pa.Table.from_pylist([{column: row[column] for column in schema.names} for row in rows], schema=schema)
    beside = folder / f".{name}.parquet.{os.getpid()}"
    pq.write_table(table, beside)
    os.replace(beside, folder / f"{name}.parquet")
    return table.num_rows
