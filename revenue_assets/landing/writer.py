"""The one write path into landing: lineage, deduplication, quarantine and control totals, alike for every source.

A record is written again only if its content differs from the latest landed version of its id, so re-reading an
overlap, a replay after a crash or a second delivery adds no row. Bad input never stops the good rows of its page: it
goes to quarantine with a reason. Rows read = rows landed + unchanged + quarantined, always.

Personal data: `raw` may hold names and e-mail addresses. Encryption of fields plugs in here, as the writer's
`transform`; content hashes are taken before it, so that a rotated key does not look like a changed record.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from revenue_assets.domain import strict_json
from revenue_assets.landing.control import AmountError, ControlTotals, amounts_of, rows_digest
from revenue_assets.landing.files import QUARANTINE_SCHEMA, SCHEMA, LatestVersions, ObjectFiles
from revenue_assets.sources.base import ObjectContract, Page, Record, Rejected, Source
from revenue_assets.store.landing import LandedBatch

ROWS_PER_FILE = 100_000
CHARACTERS_PER_FILE = 256 * 1024 * 1024
QUARANTINE_RAW_CHARACTERS_MAX = 1024 * 1024
# A full listing that suddenly lacks this much is taken for a broken listing, not for deletions.
DELETED_COUNT_FREE = 25
DELETED_SHARE_MAX = 0.2

Transform = Callable[[str, str, str, str], str]  # (source, object, record id, raw) -> raw as stored


class LandingError(RuntimeError):
    """Nothing more is written for this object; what was committed before stays and is deduplicated next time."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One committed file."""

    batch_id: str
    path: Path
    row_count: int
    quarantined: bool
    control_totals: dict[str, Any]
    landed_at: dt.datetime


@dataclass(slots=True)
class LandingResult:
    """What one landing of one object did. Counts are rows; `batches` are the files written, quarantine included."""

    source: str
    object: str
    landed_at: dt.datetime
    rows_read: int = 0
    rows_landed: int = 0
    rows_unchanged: int = 0
    rows_quarantined: int = 0
    rows_deleted: int = 0
    batches: list[Batch] = field(default_factory=list)
    cursor: dict[str, Any] | None = None

    @property
    def control_totals(self) -> dict[str, dict[str, Any]]:
        """Batch id -> control totals of the landed files."""
        return {batch.batch_id: batch.control_totals for batch in self.batches if not batch.quarantined}


def content_hash(raw: str) -> str:
    """sha256 of the record's text as received, hexadecimal."""
    return hashlib.sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()


def tombstone(record_id: str) -> str:
    """The record that says: the source no longer has this id."""
    return json.dumps({"id": record_id, "deleted": True}, separators=(",", ":"))


class Register(Protocol):
    """Where every file is announced before it appears and marked once it stands there (the operational store)."""

    def announce(self, batch: LandedBatch) -> None: ...

    def commit(self, batch_id: str) -> None: ...

    def settle(self, source: str, object_name: str, stands: Callable[[str], bool]) -> None: ...


class LandingWriter:
    """Writes landing and quarantine files of one run.

    `run_id` is the orchestrator's run, for lineage only. `transform` changes what is stored of a record (encryption);
    it must keep the text JSON. Without a `register` the files are written, but nobody could tell if one got lost.
    """

    def __init__(
        self,
        landing: Path,
        quarantine: Path,
        run_id: str,
        transform: Transform | None = None,
        register: Register | None = None,
    ) -> None:
        self.landing = landing
        self.quarantine = quarantine
        self.run_id = run_id
        self.transform = transform
        self.register = register

    @contextmanager
    def open(self, source: Source, object_name: str, now: dt.datetime) -> Iterator[ObjectLanding]:
        """The landing of one object; files are committed on the way and when the block ends without an error.

        Holds the object's lock, so a second run of the same object waits.
        """
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", source.name) or not re.fullmatch(r"[a-z][a-z0-9_]*", object_name):
            raise LandingError(f"{source.name!r}/{object_name!r} cannot be folder names")
        files = ObjectFiles(self.landing, source.name, object_name)
        with files.lock():
            if self.register is not None:
                home = self.landing.parent
                self.register.settle(source.name, object_name, lambda path: (home / path).exists())
            landing = ObjectLanding(self, source, object_name, files, now)
            yield landing
            landing.finish()


class ObjectLanding:
    """One object of one source being landed; made by `LandingWriter.open`."""

    def __init__(
        self, writer: LandingWriter, source: Source, object_name: str, files: ObjectFiles, now: dt.datetime
    ) -> None:
        self._writer, self._source, self._object, self._files = writer, source, object_name, files
        self._contract: ObjectContract = source.CONTRACTS[object_name]
        self._landed_at = now.astimezone(dt.UTC).replace(tzinfo=None)
        self._records: list[Record] = []
        self._rejected: list[Rejected] = []
        self._characters = 0
        self._seen: set[str] = set()
        self._nameless = 0  # rejected input whose id could not be told
        self._sequence: int | None = None
        self.result = LandingResult(source.name, object_name, self._landed_at)

    def add(self, page: Page) -> None:
        """Takes one page in; writes a file when enough rows wait."""
        for record in page.records:
            self._take(record)
        for rejected in page.rejected:
            self.result.rows_read += 1
            self._nameless += rejected.record_id is None
            if rejected.record_id is not None:
                self._seen.add(rejected.record_id)
            self._rejected.append(rejected)
        for record_id in page.deleted:
            self._take(Record(record_id, tombstone(record_id), {"id": record_id, "deleted": True}))
        if len(self._records) >= ROWS_PER_FILE or self._characters >= CHARACTERS_PER_FILE:
            self._flush()

    def mark_missing_deleted(self) -> None:
        """Call after a listing of everything there is: lands a tombstone for each live id that was not in it.

        Does nothing if some input of the listing was unreadable: its record may be there all the same. Raises
        LandingError if so much is missing that the listing itself must be wrong.
        """
        if self._nameless:
            return
        self._flush()
        latest = LatestVersions(self._files).all_hashes()
        live = {i for i, digest in latest.items() if digest != content_hash(tombstone(i))}
        gone = sorted(live - self._seen)
        if len(gone) > max(DELETED_COUNT_FREE, DELETED_SHARE_MAX * len(live)):
            raise LandingError(
                f"{self._source.name}/{self._object}: a full listing lacks {len(gone)} of {len(live)} known records; "
                "taken for a broken listing, nothing was marked as deleted"
            )
        for record_id in gone:
            self._take(Record(record_id, tombstone(record_id), {"id": record_id, "deleted": True}))

    def finish(self) -> None:
        """Commits what waits. The very first landing of an object leaves a file even if there are no rows."""
        self._flush()
        if not self._files.paths():
            self._commit([], ControlTotals(self._contract))

    def _take(self, record: Record) -> None:
        self.result.rows_read += 1
        self._seen.add(record.record_id)
        self._records.append(record)
        self._characters += len(record.raw)

    def _flush(self) -> None:
        records, self._records, self._characters = self._records, [], 0
        latest = LatestVersions(self._files).hashes(record.record_id for record in records)
        fresh: list[tuple[Record, str]] = []
        totals = ControlTotals(self._contract)
        for record in records:
            digest = content_hash(record.raw)
            known = latest.get(record.record_id)
            if known == digest or (known is not None and self._contract.immutable):
                self.result.rows_unchanged += 1
                continue
            try:
                data = self._checked(record)
                amounts = {} if data.get("deleted") is True else amounts_of(data, self._contract)
            except (strict_json.StrictJsonError, AmountError, UnicodeEncodeError) as error:
                reason = "text is not valid Unicode" if isinstance(error, UnicodeEncodeError) else str(error)
                self._rejected.append(Rejected(reason, record.raw, record.record_id))
                continue
            latest[record.record_id] = digest
            totals.add(data, amounts)
            self.result.rows_deleted += data.get("deleted") is True
            fresh.append((record, digest))
        if fresh:
            self._commit(fresh, totals)
        self._flush_rejected()

    def _checked(self, record: Record) -> Any:
        if not re.fullmatch(self._contract.id_pattern, record.record_id):
            raise strict_json.StrictJsonError("the record id is not plain ASCII of at most 128 characters")
        record.raw.encode("utf-8")
        return strict_json.loads_object(record.raw) if record.data is None else record.data

    def _commit(self, fresh: list[tuple[Record, str]], totals: ControlTotals) -> None:
        if self._sequence is None:
            self._sequence = LatestVersions(self._files).sequence_max()
        first, self._sequence = self._sequence + 1, self._sequence + len(fresh)
        transform = self._writer.transform
        source, name = self._source.name, self._object
        stored = [r.raw if transform is None else transform(source, name, r.record_id, r.raw) for r, _ in fresh]
        columns = self._lineage([r.record_id for r, _ in fresh], [digest for _, digest in fresh], first) | {
            "raw": stored
        }
        control = totals.as_json() | ({} if transform is None else {"transformed": True})
        self._write(self._files, columns, SCHEMA, control, quarantined=False)
        self.result.rows_landed += len(fresh)

    def _flush_rejected(self) -> None:
        """Quarantine is deduplicated by content and reason: an overlap re-read each hour adds one row, not many."""
        rejected, self._rejected = self._rejected, []
        if not rejected:
            return
        self.result.rows_quarantined += len(rejected)
        files = ObjectFiles(self._writer.quarantine, self._source.name, self._object)
        digests = [content_hash(f"{item.reason}\n{item.raw}") for item in rejected]
        known = LatestVersions(files)
        existing = known.hashes(item.record_id or digest for item, digest in zip(rejected, digests, strict=True))
        new: dict[str, Rejected] = {}
        for item, digest in zip(rejected, digests, strict=True):
            if existing.get(item.record_id or digest) != digest:
                new.setdefault(digest, item)
        if not new:
            return
        items = list(new.values())
        columns = self._lineage(
            [_clean(item.record_id or digest) for digest, item in new.items()], list(new), known.sequence_max() + 1
        ) | {"raw": [_clean(item.raw) for item in items], "reason": [_clean(item.reason) for item in items]}
        self._write(files, columns, QUARANTINE_SCHEMA, {"rows": len(items)}, quarantined=True)

    def _lineage(self, record_ids: list[str], digests: list[str], first: int) -> dict[str, list[Any]]:
        rows = len(record_ids)
        return {
            "_source": [self._source.name] * rows,
            "_vendor": [self._source.vendor] * rows,
            "_object": [self._object] * rows,
            "_record_id": list(record_ids),
            "_content_hash": list(digests),
            "_landed_at": [self._landed_at] * rows,
            "_landing_seq": list(range(first, first + rows)),
            "_run_id": [self._writer.run_id] * rows,
            "_entity_id": [self._source.entity_id] * rows,
        }

    def _write(
        self, files: ObjectFiles, columns: dict[str, Any], schema: Any, control: Any, *, quarantined: bool
    ) -> None:
        rows = len(columns["raw"])
        # Sorts by time, then by sequence; the random end keeps two runs of one instant apart.
        first = columns["_landing_seq"][0] if rows else 0
        batch_id = f"{self._landed_at:%Y%m%dT%H%M%S%f}-{first:010d}-{secrets.token_hex(3)}"
        whole = {name: columns.get(name, [batch_id] * rows) for name in schema.names}
        control = control | rows_digest(columns)
        day, register = f"{self._landed_at:%Y-%m-%d}", self._writer.register
        if register is not None:
            register.announce(
                LandedBatch(
                    batch_id=batch_id,
                    source=self._source.name,
                    object=self._object,
                    row_count=0 if quarantined else rows,
                    quarantined=rows if quarantined else 0,
                    control_totals=control,
                    landed_at=self._landed_at,
                    path=str(files.path(day, batch_id).relative_to(self._writer.landing.parent)),
                    seq_from=first if rows else None,
                    seq_to=first + rows - 1 if rows else None,
                    run_id=self._writer.run_id,
                )
            )
        path = files.commit(whole, schema, day, batch_id, control)
        if register is not None:
            register.commit(batch_id)
        self.result.batches.append(Batch(batch_id, path, rows, quarantined, control, self._landed_at))


def _clean(text: str) -> str:
    """Text that any store can hold, of bounded length; only for quarantine, where the text is evidence, not data."""
    text = text[:QUARANTINE_RAW_CHARACTERS_MAX].replace("\0", "\\0")
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
