"""The journal of record as files: booked lines and posting members, append-only Parquet under `journal/`.

A file counts only if the store's manifest (`store.manifest`) has a row for it. Writers hold the `journal` lease: write
the file whole, fsync, rename, then commit the row. A crash in between leaves an orphan, which the next writer removes
before it starts; readers by glob see it only until then.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from revenue_assets.store.engine import StoreError

# Columns of one journal line as the subledger computes it (`subledger.journal_lines`). Debit positive, minor units.
JOURNAL_LINE_COLUMNS: dict[str, str] = {
    "line_key": "varchar", "entry_key": "varchar", "entry_hash": "varchar", "line_no": "integer", "book": "varchar",
    "entity_id": "varchar", "accounting_date": "date", "period": "varchar", "service_period": "varchar",
    "event_key": "varchar", "event_type": "varchar", "document_type": "varchar", "document_id": "varchar",
    "document_line_id": "varchar", "account_role": "varchar", "currency": "varchar", "amount_tc": "bigint",
    "functional_currency": "varchar", "amount_fc": "bigint", "product_family": "varchar", "customer_id": "varchar",
    "jurisdiction": "varchar", "tax_code": "varchar", "correlation_id": "varchar", "policy_hash": "varchar",
}  # fmt: skip
# One row = one booked line. `generation` counts how often the same entry content was booked; amounts carry the sign.
BOOKED_COLUMNS: dict[str, str] = {
    "booked_line_id": "varchar", "booking_id": "varchar", "booked_at": "timestamp", "reverses_booking_id": "varchar",
    "sign": "integer", "generation": "integer", "posting_period": "varchar", "posting_date": "date",
    "prior_period": "boolean",
} | JOURNAL_LINE_COLUMNS  # fmt: skip
# One row = one booked line in its one line of one posting batch.
MEMBER_COLUMNS: dict[str, str] = {
    "booked_line_id": "varchar", "batch_key": "varchar", "batch_line_no": "integer", "cut_id": "varchar",
}  # fmt: skip
EMPTY = "_empty.parquet"
_BESIDE = ".beside"


@dataclass(frozen=True)
class FileStamp:
    """What the manifest remembers of a file."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Journal:
    """The folder of the journal of record."""

    root: Path

    @property
    def lines(self) -> Path:
        return self.root / "lines"

    @property
    def members(self) -> Path:
        return self.root / "members"

    @property
    def shadow(self) -> Path:
        """Members of shadow batches, apart: whoever reads the members reads what is posted."""
        return self.root / "shadow"

    def prepare(self) -> None:
        """Makes the folders and an empty typed file in each, so that a glob always finds a schema."""
        of = {self.lines: BOOKED_COLUMNS, self.members: MEMBER_COLUMNS, self.shadow: MEMBER_COLUMNS}
        for folder, columns in of.items():
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / EMPTY).exists():
                casts = ", ".join(f"null::{kind} as {name}" for name, kind in columns.items())
                with duckdb.connect() as connection:
                    write_file(connection, f"select {casts} limit 0", folder / EMPTY)

    def remove_orphans(self, folder: Path, known: Iterable[str]) -> list[str]:
        """Deletes files of `folder` that no manifest row names; returns their names. Only under the journal lease."""
        keep = {f"{name}.parquet" for name in known} | {EMPTY}
        orphans = sorted(path for path in folder.iterdir() if path.name not in keep)
        for path in orphans:
            path.unlink()
        return [path.name for path in orphans]

    def check_files(self, folder: Path, manifest: Mapping[str, FileStamp], *, deep: bool = False) -> None:
        """Raises StoreError naming the first manifest file that is missing or changed (`deep`: by hash, else
        by size)."""
        for name, stamp in manifest.items():
            path = folder / f"{name}.parquet"
            if not path.is_file():
                raise StoreError(
                    f"journal file {path.name} is in the manifest but not on disk; restore it from backup."
                )
            found = stamp_of(path) if deep else FileStamp(stamp.sha256, path.stat().st_size)
            if found != stamp:
                raise StoreError(
                    f"journal file {path.name} is not the file that was committed; restore it from backup."
                )


def write_file(connection: duckdb.DuckDBPyConnection, query: str, target: Path) -> FileStamp:
    """Writes the rows of `query` to `target`: whole and on disk, or not at all. Returns its stamp."""
    beside = target.with_name(target.name + _BESIDE)
    connection.execute(
        f"copy ({query}) to '{str(beside).replace(chr(39), chr(39) * 2)}' (format parquet, compression zstd)"
    )
    with open(beside, "rb") as file:
        os.fsync(file.fileno())
    stamp = stamp_of(beside)
    os.replace(beside, target)
    fsync_folder(target.parent)
    return stamp


def stamp_of(path: Path) -> FileStamp:
    with open(path, "rb") as file:
        return FileStamp(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)


def fsync_folder(folder: Path) -> None:
    """Makes a rename in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_files(folder: Path, names: Iterable[str]) -> str:
    """SQL that reads exactly the named files (never a glob: an orphan must not count), and the empty one for
    its schema."""
    files = [folder / EMPTY, *(folder / f"{name}.parquet" for name in sorted(names))]
    quoted = ", ".join("'" + str(path).replace("'", "''") + "'" for path in files)
    return f"read_parquet([{quoted}], union_by_name = true)"
