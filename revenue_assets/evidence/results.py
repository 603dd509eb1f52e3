"""What the checks of the last build said, and the reconciliations of the period as they were published."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import dagster as dg

from revenue_assets.evidence.books import Files, Rows
from revenue_assets.publish.read import open_published
from revenue_assets.settings import Settings

CHECKS = ("asset", "check", "result", "severity", "at", "run_id", "description")


def add_checks(files: Files, definitions: dg.Definitions, instance: dg.DagsterInstance) -> Rows:
    """Adds the newest result of every check there is; one that Dagster has no result of says so."""
    keys = sorted(definitions.resolve_asset_graph().asset_check_keys, key=str)
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    rows: Rows = []
    for key in keys:
        record = found.get(key)
        row = dict.fromkeys(CHECKS) | {
            "asset": key.asset_key.to_user_string(),
            "check": key.name,
            "result": "no result",
        }
        if record is not None:
            row |= {"result": record.status.value.lower(), "run_id": record.run_id}
            row["at"] = dt.datetime.fromtimestamp(record.create_timestamp, dt.UTC).replace(tzinfo=None)
            event = record.event.dagster_event if record.event else None
            if event is not None and event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                evaluation = event.asset_check_evaluation_data
                row |= {"severity": evaluation.severity.value.lower(), "description": evaluation.description}
        rows.append(row)
    files.table("checks/asset_checks.csv", CHECKS, rows)
    return rows


def add_reconciliations(files: Files, settings: Settings, period: str, entities: Sequence[str]) -> Rows:
    """Adds the statements of the period as readers of the published file see them."""
    with open_published(settings.published) as connection:
        cursor = connection.execute(
            "select * from finance.recon_statement where period = ? and entity_code in (select unnest(?)) order by all",
            [period, list(entities)],
        )
        names = [column[0] for column in cursor.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    files.table("checks/reconciliations.csv", names, rows)
    return rows
