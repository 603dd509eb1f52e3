"""Builds staging and the canonical models above it from landing files that a test wrote; one dbt run per home."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
from world_to_landing import write_landing

from revenue_assets.domain.config import load_company
from revenue_assets.state import write_config_state

REPOSITORY = Path(__file__).parents[2]
PROJECT = REPOSITORY / "dbt_project"
SELECTION = (
    "path:models/staging event_deliveries events event_exceptions can_sales_lines can_subscription_sales "
    "can_tax_documents can_tax_document_lines can_customers can_products links"
).split()


def write_state(home: Path) -> None:
    """Entities, currencies and policy of the demo company, as product code writes them."""
    write_config_state(load_company(REPOSITORY / "config" / "demo"), home / "state")


def land(
    home: Path,
    source: str,
    vendor: str,
    records: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    entity_id: str | None = None,
    **how: Any,
) -> None:
    """Lands hand-made vendor records, {object: [record, ...]}, under their `id` (or `Id`)."""
    for object_name, found in records.items():
        pairs = [(str(r.get("id", r.get("Id"))), json.dumps(r)) for r in found]
        write_landing(home / "landing", source, object_name, pairs, vendor=vendor, entity_id=entity_id, **how)


def build(home: Path, *, as_of: str = "2026-10-31") -> duckdb.DuckDBPyConnection:
    """Runs `dbt build` on staging and its canonical models. AssertionError with dbt's words if anything is red."""
    (home / "warehouse").mkdir(parents=True, exist_ok=True)
    warehouse = home / "warehouse" / "revenue.duckdb"
    result = subprocess.run(
        [
            str(Path(sys.executable).with_name("dbt")),
            "build",
            "--project-dir",
            str(PROJECT),
            "--profiles-dir",
            str(PROJECT),
            "--indirect-selection",
            "cautious",
            "--select",
            *SELECTION,
        ],
        env=os.environ
        | {
            "REVENUE_WAREHOUSE": str(warehouse),
            "REVENUE_LANDING": str(home / "landing"),
            "REVENUE_QUARANTINE": str(home / "quarantine"),
            "REVENUE_STATE": str(home / "state"),
            "REVENUE_JOURNAL": str(home / "journal"),
            "REVENUE_AS_OF": as_of,
            "DBT_TARGET_PATH": str(home / "target"),
            "DBT_LOG_PATH": str(home / "logs"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise AssertionError(result.stdout[-6000:] + result.stderr[-2000:])
    return duckdb.connect(str(warehouse), read_only=True)
