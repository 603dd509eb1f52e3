"""Reading landed files back: the batches of an object, what their control totals promised, and their rows as a frame.

SQL reads landing through the dbt macro `landing()`; this is for checks and tools in Python.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.parquet as pq

from revenue_assets.landing.files import CONTROL_KEY, LatestVersions, ObjectFiles

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class LandedBatch:
    """One committed file: how many rows it holds and what was promised when it was written."""

    path: Path
    rows: int
    control: dict[str, Any]

    @property
    def day(self) -> str:
        return self.path.parent.name.removeprefix("day=")


def batches(landing: Path, source: str, object_name: str, newest: int | None = None) -> list[LandedBatch]:
    """The files of one object, oldest first; with `newest`, the youngest ones only. Reads footers, no rows."""
    paths = ObjectFiles(landing, source, object_name).paths()
    found: list[LandedBatch] = []
    for path in paths if newest is None else paths[-newest:]:
        metadata = pq.read_metadata(path)
        control = json.loads((metadata.metadata or {}).get(CONTROL_KEY, b"{}"))
        found.append(LandedBatch(Path(path), metadata.num_rows, control))
    return found


def missing_rows(landing: Path, source: str, object_name: str) -> int:
    """How many landed rows are gone: sequence numbers have no gap, so the last one is the number of rows ever landed.

    Negative if rows stand there twice. Reads footers only.
    """
    files = ObjectFiles(landing, source, object_name)
    return LatestVersions(files).sequence_max() - sum(pq.read_metadata(path).num_rows for path in files.paths())


def odd_rows(landing: Path, source: str, object_name: str, shown: int) -> list[str]:
    """Which rows are gone or stand there twice, in words; at most `shown`. Reads ids and sequence numbers."""
    paths = ObjectFiles(landing, source, object_name).paths()
    query = """
        with landed as (
            select _landing_seq as seq, any_value(_record_id) as id, count(*) as copies
            from read_parquet($paths, hive_partitioning = false) group by 1
        ),
        steps as (select *, lag(seq, 1, 0) over (order by seq) as before from landed)
        select seq, id || ' (sequence ' || seq || ') stands there ' || copies || ' times' from landed where copies > 1
        union all
        select
            before + 1,
            'sequence ' || (before + 1) || case when seq > before + 2 then ' to ' || (seq - 1) else '' end || ' is gone'
        from steps where seq > before + 1
        order by 1 limit $shown
    """
    with duckdb.connect() as connection:
        return [row[1] for row in connection.execute(query, {"paths": paths, "shown": shown}).fetchall()]


def fields_frame(found: list[LandedBatch], fields: list[str]) -> pd.DataFrame:
    """The rows of these files with the named top-level fields as text (None: absent or null).

    Columns: `_source`, `_record_id`, `_batch_id`, `_landing_seq`, `_hash_holds` (raw is the text its content hash was
    taken of), `_deleted` (tombstone), and one per field. Text all through: no amount passes a float.
    """
    paths = [str(batch.path) for batch in found if batch.rows]
    columns = ", ".join(f"f[{place}] as {_quoted(name)}" for place, name in enumerate(fields, 1))
    keys = [f"$.{_quoted(name)}" for name in [*fields, "deleted"]]
    query = f"""
        with landed as (
            select
                _source, _record_id, _batch_id, _landing_seq, _content_hash, raw,
                json_extract_string(raw, $keys) as f
            from read_parquet($paths, hive_partitioning = false)
        )
        select
            _source, _record_id, _batch_id, _landing_seq, _content_hash = sha256(raw) as _hash_holds,
            coalesce(f[{len(keys)}] = 'true', false) as _deleted
            {"," if columns else ""} {columns}
        from landed
        order by _source, _landing_seq
    """
    with duckdb.connect() as connection:
        return connection.execute(query, {"paths": paths, "keys": keys}).df()


def last_landed_at(landing: Path, source: str, object_name: str) -> dt.datetime | None:
    """When rows of the object last came in (UTC naive), None if it never landed. From the file's name alone."""
    paths = ObjectFiles(landing, source, object_name).paths()
    if not paths:
        return None
    return dt.datetime.strptime(Path(paths[-1]).name.split("-")[0], "%Y%m%dT%H%M%S%f")  # noqa: DTZ007 (naive UTC)


def _quoted(name: str) -> str:
    if '"' in name:
        raise ValueError("a field name with a quote cannot be asked for")
    return f'"{name}"'
