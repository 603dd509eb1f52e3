"""No column anywhere that could hold money is a binary float: operational store, Parquet, the built warehouse, SQL."""

from __future__ import annotations

import re

import duckdb
import pyarrow as pa
from open_cases import Built
from sqlalchemy import Float, Numeric

from revenue_assets.conformance.run import PROJECT
from revenue_assets.store import export, ledger
from revenue_assets.store.tables import metadata

INEXACT = ("DOUBLE", "FLOAT", "REAL")
# A cast to a float, an exponent literal, or a column declared as one.
FLOAT_SQL = re.compile(r"::\s*(double|float|real)\b|\bas\s+(double|float|real)\b|\b\d+(\.\d+)?e[+-]?\d+\b", re.I)
COMMENT = re.compile(r"\{#.*?#\}", re.S)


def test_the_store_has_no_float_and_no_numeric_column() -> None:
    """SQLAlchemy hands a NUMERIC to SQLite as a float."""
    found = [str(c) for table in metadata.tables.values() for c in table.columns if isinstance(c.type, Numeric | Float)]
    assert found == []


def test_no_parquet_file_of_ours_has_a_float_column() -> None:
    snapshots = [
        f"{name}.{field.name}"
        for name, schema in export.SCHEMAS.items()
        for field in schema
        if pa.types.is_floating(field.type)
    ]
    journal = {**ledger.JOURNAL_LINE_COLUMNS, **ledger.BOOKED_COLUMNS, **ledger.MEMBER_COLUMNS}
    assert snapshots == []
    assert not [name for name, kind in journal.items() if kind.upper() in INEXACT]


def test_the_built_warehouse_has_no_float_column(built: Built) -> None:
    """A division of whole numbers is a double in DuckDB; one that reaches a column shows here."""
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        columns = connection.execute(
            "select table_schema, table_name, column_name, data_type from information_schema.columns"
        ).fetchall()
    assert len(columns) > 1000
    assert [column for column in columns if any(kind in column[3] for kind in INEXACT)] == []


def test_no_model_or_macro_casts_to_a_float() -> None:
    found = []
    for folder in ("models", "macros", "tests"):
        for file in sorted((PROJECT / folder).rglob("*.sql")):
            text = COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), file.read_text())
            for number, line in enumerate(text.splitlines(), 1):
                if FLOAT_SQL.search(line.partition("--")[0]):
                    found.append(f"{file.relative_to(PROJECT)}:{number}: {line.strip()}")
    assert found == []
