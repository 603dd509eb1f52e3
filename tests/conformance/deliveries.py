"""The same events as other deliveries: shuffled, repeated, in several landed batches, late."""

from __future__ import annotations

import datetime as dt
import json
import random
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from revenue_assets.conformance.load import LANDING

# Everything that a section of a worked example reads, and all that booking reads.
FIGURES = (
    "subledger.journal_lines", "subledger.revenue_schedule", "subledger.posting_exceptions",
    "subledger.obligation_prices", "subledger.rollforwards", "subledger.posting_summaries",
    "subledger.expected_charges",
)  # fmt: skip


def deliver_otherwise(landing: Path, seed: int, batches: int = 4) -> int:
    """Rewrites the landed events of a folder; returns how many deliveries there are now.

    A third of the events comes twice, once more in another batch; all land two decades later. Which of two conflicting
    deliveries came first is a fact, so those keep their order.
    """
    (file,) = (landing / "events" / "cloud_event").glob("*/*.parquet")
    table = pq.read_table(file)
    rows = table.to_pylist()
    dice = random.Random(seed)
    keys = [(json.loads(row["raw"]).get("source"), json.loads(row["raw"]).get("id")) for row in rows]
    seen: dict[tuple, int] = {}
    for key in keys:
        seen[key] = seen.get(key, 0) + 1
    fixed = [row for row, key in zip(rows, keys, strict=True) if seen[key] > 1]
    loose = [row for row, key in zip(rows, keys, strict=True) if seen[key] == 1]
    loose += dice.sample(loose, len(loose) // 3)
    dice.shuffle(loose)
    later = dt.datetime(2040, 1, 1)  # noqa: DTZ001
    mixed = [
        {**row, "_landing_seq": number, "_landed_at": later + dt.timedelta(seconds=number)}
        for number, row in enumerate(loose + fixed, 1)
    ]
    file.unlink()
    for batch in range(batches):
        part = [{**row, "_batch_id": f"batch{batch}"} for row in mixed[batch::batches]]
        folder = landing / "events" / "cloud_event" / f"day=2040-01-0{batch + 1}"
        folder.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(part, schema=LANDING), folder / f"batch{batch}.parquet")
    return len(mixed)


def fingerprints(warehouse: Path) -> dict[str, tuple[int, str]]:
    """Per table of FIGURES: its number of rows and a digest over all of them, in no order."""
    found = {}
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        for table in FIGURES:
            rows, digest = connection.execute(
                f"select count(*), md5(string_agg(line, '#' order by line))"
                f" from (select cast(t as varchar) as line from {table} as t)"
            ).fetchall()[0]
            found[table] = (rows, digest)
    return found
