"""A landed feed for the tests of landing's own reconciliation: real files by the real writer, and damage to them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import duckdb

from revenue_assets.landing.files import inventory
from revenue_assets.landing.run import land
from revenue_assets.landing.writer import LandingWriter
from revenue_assets.sources.base import Cursor, ObjectContract, Page, Record
from revenue_assets.store.export import control_totals
from revenue_assets.store.landing import LandedBatch

NOW = dt.datetime(2026, 9, 3, 6, 30, tzinfo=dt.UTC)
OBJECTS = ("gone", "lacking", "doubled", "altered", "rehashed", "foreign", "plain", "empty")
ROWS = 9
Row = dict[str, Any]


class Feed:
    """Nine records of 1.00 to 9.00 GBP per object; `plain` has no money, `empty` no rows."""

    name, vendor, entity_id = "billing", "feed", "UK"
    OBJECTS = OBJECTS
    CONTRACTS: ClassVar = {
        name: ObjectContract(("id",))
        if name == "plain"
        else ObjectContract(("id",), amounts=("total",), amount_kind="major", currency="currency")
        for name in OBJECTS
    }

    def pull(self, object_name: str, cursor: Cursor | None, now: dt.datetime) -> Iterator[Page]:
        numbers = range(1, 1 + (0 if object_name == "empty" else ROWS))
        records = [
            Record(
                f"{object_name}_{n}", json.dumps({"id": f"{object_name}_{n}", "total": f"{n}.00", "currency": "gbp"})
            )
            for n in numbers
        ]
        bad = [Record("bad", '{"id":"bad","total":NaN}')] if object_name == "plain" else []
        yield Page(object_name, records + bad, {})


class Cursors:
    """Every landing reads from the start."""

    def get(self, source: str, object_name: str) -> Cursor | None:
        return None

    def set(self, source: str, object_name: str, cursor: Cursor) -> None:
        pass


class Batches(list[LandedBatch]):
    """The register as a list."""

    def announce(self, batch: LandedBatch) -> None:
        self.append(batch)

    def commit(self, batch_id: str) -> None:
        self[:] = [b._replace(committed_at=b.landed_at) if b.batch_id == batch_id else b for b in self]

    def settle(self, source: str, object_name: str, stands: Callable[[str], bool]) -> None:
        pass


def land_feed(home: Path, damage: Callable[[Path, dict[str, str]], None] | None = None) -> dict[str, list[Row]]:
    """Lands the feed under `home`, damages it, and returns the rows of the state files of landing by name."""
    register = Batches()
    land(
        Feed(), OBJECTS, LandingWriter(home / "landing", home / "quarantine", "run", register=register), Cursors(), NOW
    )
    rows = [batch._asdict() | {"control_totals": json.dumps(batch.control_totals)} for batch in register]
    if damage is not None:
        damage(home, {b.object: b.path or "" for b in register if not b.quarantined})
    # Announced by a run that died before its file: nothing is lost.
    never = rows[0] | {
        "batch_id": "never",
        "path": "landing/billing/gone/day=2026-09-04/never.parquet",
        "committed_at": None,
    }
    keep = ("batch_id", "source", "object", "row_count", "quarantined", "control_totals", "landed_at", "path",
            "seq_from", "seq_to", "committed_at")  # fmt: skip
    return {
        "state/sources": [
            {"source": "billing", "vendor": "feed", "role": "source", "entity_id": "UK", "lead_entity_id": "US"}
        ],
        "state/landing_files": [{"path": path} for path in inventory(home / "landing", home / "quarantine")],
        "state/landing_batches": [{name: row[name] for name in keep} for row in [*rows, never]],
        "state/landing_totals": list(control_totals(rows)),
    }


def rewrite(path: Path, query: str) -> None:
    """Replaces a Parquet file by what `query` selects of it (named `landed`)."""
    with duckdb.connect() as connection:
        connection.execute(f"create table landed as select * from read_parquet('{path}', hive_partitioning = false)")
        connection.execute(f"copy ({query}) to '{path}' (format parquet)")


def damage(home: Path, paths: dict[str, str]) -> None:
    """One fault per object: a file gone; a row gone, doubled, altered, altered with its hash; a file of nobody."""
    (home / paths["gone"]).unlink()
    rewrite(home / paths["lacking"], "select * from landed where _landing_seq <> 4")
    rewrite(home / paths["doubled"], "select * from landed union all select * from landed where _landing_seq = 5")
    text = "replace(raw, '6.00', '600.00')"
    rewrite(home / paths["altered"], f"select * replace ({text} as raw) from landed")
    rewrite(home / paths["rehashed"], f"select * replace ({text} as raw, sha256({text}) as _content_hash) from landed")
    copy = home / "landing" / "billing" / "foreign" / "day=2026-09-03" / "stray.parquet"
    copy.write_bytes((home / paths["foreign"]).read_bytes())


def findings(register: list[Row]) -> set[tuple[str, str, str, int, str]]:
    """What has to be found: (class, reference, rows named, minor units, of which entity)."""
    batch = {row["object"]: f"billing/{row['object']}/{row['batch_id']}" for row in register
             if row["batch_id"] != "never" and not row["quarantined"]}  # fmt: skip
    stray = "landing/billing/foreign/day=2026-09-03/stray.parquet"
    return {
        ("missing_right", batch["gone"], "The file of 9 rows is gone", 4500, "UK"),
        ("missing_right", batch["lacking"], "1 of 9 rows are gone: sequence 4.", 400, "UK"),
        ("duplicate", batch["doubled"], "doubled_5 (sequence 5)", -500, "UK"),
        ("amount", batch["altered"], "altered_6 (sequence 6)", 600 - 60000, "UK"),
        ("amount", batch["rehashed"], "together with its hash: rehashed_6 (sequence 6)", 600 - 60000, "UK"),
        ("missing_left", stray, "9 rows stand in a file that no landing announced", 0, "US"),
    }
