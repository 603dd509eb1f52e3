"""Builds the reconciliation and finance layers alone: the real models and macros over tables that a test wrote.

Upstream models are replaced by views on the `fixture` schema, so these tests say what the two layers do with given
tables, at the price of one dbt run per world. Whether upstream really has those columns is what the full build shows.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
from recon_books import AS_OF, UPSTREAM, Books

PROJECT = Path(__file__).parents[2] / "dbt_project"
# Stops a run before anything is booked on landed files that are not as they were written.
LANDING_IS_WHOLE = "assert_landing_is_whole"
OWN_CANONICAL = ("can_erp_documents", "can_erp_document_lines", "can_erp_balances")


def layer_project(folder: Path) -> Path:
    """A copy of the project with the two layers under test and views for everything above them."""
    folder.mkdir(parents=True)
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(PROJECT / name, folder)
    shutil.copytree(PROJECT / "macros", folder / "macros")
    for layer in ("reconciliation", "finance"):
        if (PROJECT / "models" / layer).exists():
            shutil.copytree(PROJECT / "models" / layer, folder / "models" / layer)
    (folder / "tests").mkdir()
    for test in (*PROJECT.glob("tests/assert_recon_*.sql"), PROJECT / "tests" / f"{LANDING_IS_WHOLE}.sql"):
        shutil.copy(test, folder / "tests")
    for model in OWN_CANONICAL:
        (folder / "models" / "canonical").mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / "models" / "canonical" / f"{model}.sql", folder / "models" / "canonical")
    for table, (schema, _) in UPSTREAM.items():
        path = folder / "models" / schema / f"{table}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{{ config(materialized='view') }}\nselect * from fixture." + table + "\n")
    return folder


def build(home: Path, books: Books, *arguments: str, as_of: str = AS_OF) -> duckdb.DuckDBPyConnection:
    """Writes `books` under `home`, runs `dbt build`, returns a read-only connection; dbt's words if it is red."""
    books.write(home)
    result = run_dbt(home, *(arguments or ("build",)), as_of=as_of)
    if result.returncode:
        raise AssertionError(result.stdout[-6000:] + result.stderr[-2000:])
    return duckdb.connect(str(home / "warehouse" / "revenue.duckdb"), read_only=True)


def run_dbt(home: Path, *arguments: str, as_of: str = AS_OF) -> subprocess.CompletedProcess[str]:
    project = home / "project"
    if not project.exists():
        layer_project(project)
    dbt = str(Path(sys.executable).with_name("dbt"))
    return subprocess.run(
        [dbt, *arguments, "--project-dir", str(project), "--profiles-dir", str(project)],
        env=os.environ | {
            "REVENUE_WAREHOUSE": str(home / "warehouse" / "revenue.duckdb"), "REVENUE_STATE": str(home / "state"),
            "REVENUE_JOURNAL": str(home / "journal"), "REVENUE_LANDING": str(home / "landing"), "REVENUE_AS_OF": as_of,
            "REVENUE_QUARANTINE": str(home / "quarantine"),
            "DBT_TARGET_PATH": str(home / "target"), "DBT_LOG_PATH": str(home / "logs"),
        },
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip


def signals(connection: duckdb.DuckDBPyConnection) -> set[tuple[str, str, str]]:
    """(recon, class, reference) of every variance that is not a rounding."""
    return set(connection.execute(
        "select recon_id, variance_class, reference from reconciliation.rec_items "
        "where variance_class is not null and variance_class <> 'rounding'"
    ).fetchall())  # fmt: skip
