"""From booked lines back to what landed: events of the build, and the landed records that tell of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb

from revenue_assets.evidence.books import Files, Rows
from revenue_assets.store.engine import StoreError

EVENTS = ("event_key", "type", "source", "id", "time", "entity_id", "subject", "vendor_record", "content_hash")
RECORDS = ("vendor_record", "batch_id", "landing_seq", "landed_at", "content_hash", "file")
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


def add_lineage(files: Files, warehouse: Path, landing: Path, lines: Rows) -> None:
    """Adds the events that `lines` name, and every landed version of their records: ids and hashes, no content."""
    keys = sorted({x["event_key"] for x in lines if x["event_key"]})
    with open_warehouse(warehouse) as connection:
        query = f"select {', '.join(EVENTS)} from canonical.events where event_key in (select unnest(?)) order by all"
        events = _rows(connection, query, [keys])
    files.table("sources/events.csv", EVENTS, events)
    # <source>/<object>/<record>: the folder of the record, and its id there.
    of_folder: dict[tuple[str, str], list[str]] = {}
    for record in sorted({e["vendor_record"] for e in events if e["vendor_record"]}):
        source, object_name, identifier = [*record.split("/", 2), "", ""][:3]
        of_folder.setdefault((source, object_name), []).append(identifier)
    found: Rows = []
    with duckdb.connect() as connection:
        for (source, object_name), ids in of_folder.items():
            folder = landing / source / object_name
            if _PLAIN.fullmatch(source) and _PLAIN.fullmatch(object_name) and any(folder.glob("*/*.parquet")):
                found += _records(connection, folder, landing.parent, ids)
    found.sort(key=lambda row: (row["vendor_record"], row["landing_seq"], row["batch_id"]))
    files.table("sources/records.csv", RECORDS, found)


def open_warehouse(path: Path) -> duckdb.DuckDBPyConnection:
    """The warehouse to read; StoreError with the next step if it is not there or a run writes it."""
    if not path.exists():
        raise StoreError(f"there is no warehouse at {path}; run `revenue refresh` first, it builds it again.")
    try:
        return duckdb.connect(str(path), read_only=True)
    except duckdb.IOException:
        raise StoreError("a run is writing the warehouse; try again when it has ended.") from None


def _records(connection: duckdb.DuckDBPyConnection, folder: Path, home: Path, ids: list[str]) -> Rows:
    query = """
        select _source || '/' || _object || '/' || _record_id as vendor_record, _batch_id as batch_id,
            _landing_seq as landing_seq, _landed_at as landed_at, _content_hash as content_hash, filename as file
        from read_parquet(?, filename = true, hive_partitioning = false, union_by_name = true)
        where _record_id in (select unnest(?))
    """
    rows = _rows(connection, query, [[str(path) for path in sorted(folder.glob("*/*.parquet"))], ids])
    return [row | {"file": Path(row["file"]).relative_to(home).as_posix()} for row in rows]


def _rows(connection: duckdb.DuckDBPyConnection, query: str, parameters: list[Any]) -> Rows:
    cursor = connection.execute(query, parameters)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
