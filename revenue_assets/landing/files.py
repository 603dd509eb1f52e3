"""Parquet files of the landing zone: their schema, how one is committed, and what the existing ones already hold.

Layout: `<root>/<source>/<object>/day=YYYY-MM-DD/<batch_id>.parquet`. Files are never changed. A file appears under its
name only when it is whole and on disk: it is written under a name that no reader's glob matches, synced, and renamed.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from revenue_assets.state import write_parquet

CONTROL_KEY = b"revenue.control_totals"

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
QUARANTINE_SCHEMA = SCHEMA.append(pa.field("reason", pa.string()))


class ObjectFiles:
    """The files of one object of one source under one root (landing or quarantine)."""

    def __init__(self, root: Path, source: str, object_name: str) -> None:
        self.folder = root / source / object_name

    def paths(self) -> list[str]:
        """Every committed file, in order of name."""
        return sorted(str(path) for path in self.folder.glob("day=*/*.parquet"))

    def path(self, day: str, batch_id: str) -> Path:
        """Where the file of a batch stands."""
        return self.folder / f"day={day}" / f"{batch_id}.parquet"

    def commit(self, columns: dict[str, list[Any]], schema: pa.Schema, day: str, batch_id: str, control: Any) -> Path:
        """Writes one batch durably and returns its path. Existing batches are never overwritten."""
        final = self.path(day, batch_id)
        folder = final.parent
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / f".{batch_id}.part"
        if final.exists():
            raise FileExistsError(f"batch {batch_id} of {self.folder.parent.name}/{self.folder.name} exists already")
        table = pa.Table.from_pydict(columns, schema=schema)
        table = table.replace_schema_metadata({CONTROL_KEY: json.dumps(control, sort_keys=True).encode()})
        pq.write_table(table, beside, compression="zstd")
        _sync(beside)
        os.rename(beside, final)
        _sync(folder)
        return final

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One writer per object: sequence numbers stay monotone even if two runs overlap. Freed by a crash."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / ".lock", "w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            for leftover in self.folder.glob("day=*/.*.part"):
                leftover.unlink()  # half a file of a killed run; nobody else writes while we hold the lock
            yield


class LatestVersions:
    """What the committed files of one object say about given ids. One set-based query per batch, not per record."""

    def __init__(self, files: ObjectFiles) -> None:
        self._paths = files.paths()

    def sequence_max(self) -> int:
        """The highest `_landing_seq` so far, 0 if there is none. Read from the files' footers alone."""
        found = 0
        for path in self._paths:
            metadata = pq.read_metadata(path)
            column = metadata.schema.names.index("_landing_seq")
            for group in range(metadata.num_row_groups):
                statistics = metadata.row_group(group).column(column).statistics
                if statistics is not None and statistics.has_min_max:
                    found = max(found, statistics.max)
        return found

    def hashes(self, record_ids: Iterable[str]) -> dict[str, str]:
        """Content hash of the latest landed version of each of these ids; ids never landed are absent."""
        wanted = pa.table({"record_id": pa.array(sorted(set(record_ids)), pa.string())})
        if not self._paths or not wanted.num_rows:
            return {}
        with duckdb.connect() as connection:
            connection.register("wanted", wanted)
            return dict(
                connection.execute(
                    """
                    select _record_id, arg_max(_content_hash, _landing_seq)
                    from read_parquet($paths, hive_partitioning = false)
                    where _record_id in (select record_id from wanted)
                    group by _record_id
                    """,
                    {"paths": self._paths},
                ).fetchall()
            )

    def all_hashes(self) -> dict[str, str]:
        """Like `hashes`, for every id ever landed."""
        if not self._paths:
            return {}
        with duckdb.connect() as connection:
            return dict(
                connection.execute(
                    """
                    select _record_id, arg_max(_content_hash, _landing_seq)
                    from read_parquet($paths, hive_partitioning = false)
                    group by _record_id
                    """,
                    {"paths": self._paths},
                ).fetchall()
            )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def inventory(landing: Path, quarantine: Path) -> list[str]:
    """Paths of the committed files of both roots, relative to the home, in order."""
    home = landing.parent
    return sorted(
        str(path.relative_to(home)) for root in (landing, quarantine) for path in root.glob("*/*/*/*.parquet")
    )


def write_inventory(paths: list[str], state: Path) -> None:
    """Writes `state/landing_files.parquet` (`path`). The files are listed before the register of batches is read and
    written after it: what is on the list and not in the register was announced by nobody."""
    write_parquet(state / "landing_files.parquet", pa.schema([("path", pa.string())]), [{"path": p} for p in paths])


def ensure_readable(landing: Path, objects: Iterable[str]) -> None:
    """An empty, typed file for every object that no source has landed: SQL then reads no rows instead of failing."""
    for name in objects:
        if not any(landing.glob(f"*/{name}/*/*.parquet")):
            folder = landing / "_none" / name / "day=1970-01-01"
            folder.mkdir(parents=True, exist_ok=True)
            pq.write_table(SCHEMA.empty_table(), folder / "empty.parquet")
