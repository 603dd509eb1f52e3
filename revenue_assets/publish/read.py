"""Reading the published finance schema: read-only, and a sentence when there is none yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from revenue_assets.store.engine import StoreError


@contextmanager
def open_published(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published file in a connection of its own memory; temporary tables are allowed, writing is not."""
    if not path.exists():
        raise StoreError(
            f"nothing has been published at {path} yet; run `revenue demo`, `revenue refresh` or a close first."
        )
    with duckdb.connect() as connection:
        connection.execute(f"attach '{str(path).replace(chr(39), chr(39) * 2)}' as published (read_only)")
        connection.execute("create schema finance")
        names = connection.execute(
            "select table_name from duckdb_tables() where database_name = 'published' and schema_name = 'finance'"
        ).fetchall()
        for (name,) in names:
            connection.execute(f'create view finance."{name}" as select * from published.finance."{name}"')
        yield connection
