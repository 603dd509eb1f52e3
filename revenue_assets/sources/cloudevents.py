"""CloudEvents of home-grown systems: JSON-lines files in a drop folder, one event a line, read strictly.

`revenue_assets.domain.events` decides what an event is. A bad line goes to quarantine with its line number, its owner
and what to mend; the good lines of the same file land. An event's record id covers what it says, so that a second
delivery is ignored and two different events of one identity both survive, for the platform to call a conflict.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from revenue_assets.domain import strict_json
from revenue_assets.domain.events import EVENT_TYPES, EventRefused, parse_event
from revenue_assets.domain.events.read import FAULT_CLASS
from revenue_assets.sources.base import Cursor, ObjectContract, Page, Record, Rejected, SourceError
from revenue_assets.sources.drop import DroppedFile, new_files, refusal

ROWS_PER_PAGE = 10_000

_REQUIRED = ("specversion", "id", "source", "type", "time", "dataschema", "data", "entityid", "recordedtime")

CONTRACT = ObjectContract(required=_REQUIRED, stamps=("time", "recordedtime"), stamp_kind="iso", immutable=True)


class CloudEventsSource:
    """The drop folder of CloudEvents. `options`: `drop` (folder), `time_zones` (entity id -> IANA zone)."""

    vendor = "cloudevents"
    OBJECTS: tuple[str, ...] = ("cloud_event",)
    CONTRACTS: Mapping[str, ObjectContract] = {"cloud_event": CONTRACT}

    def __init__(
        self,
        name: str,
        entity_id: str | None,
        base_url: str | None = None,
        credentials: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.name, self.entity_id = name, entity_id
        options = options or {}
        if base_url or not options.get("drop"):
            raise SourceError(f"source {name}: a file drop needs the option 'drop' (a folder) and no base_url")
        self._folder = Path(str(options["drop"]))
        self._zones = {str(entity): ZoneInfo(str(zone)) for entity, zone in options.get("time_zones", {}).items()}

    def pull(self, object_name: str, cursor: Cursor | None, now: dt.datetime) -> Iterator[Page]:
        """See `Source.pull`. The cursor holds what files were read, by content."""
        if object_name != "cloud_event":
            raise SourceError(f"{self.name}: no object {object_name!r}")
        seen = set((cursor or {}).get("files", []))
        for found in new_files(self._folder, r".*\.(?:jsonl|ndjson)", seen):
            if isinstance(found, DroppedFile):
                yield from self.pages_of(found)
            else:
                yield Page(object_name, [], {}, rejected=[found])
        yield Page(object_name, [], {"files": sorted(seen)})

    def pages_of(self, file: DroppedFile) -> Iterator[Page]:
        """The lines of one file as pages; a file that breaks its manifest is refused whole."""
        lines = file.text.split("\n")
        filled = sum(1 for line in lines if line.strip())
        if file.manifest is not None and file.manifest.rows != filled:
            reason = f"it has {filled} lines, its manifest promises {file.manifest.rows}"
            yield Page("cloud_event", [], {}, rejected=[refusal(file.name, reason, file.text)])
            return
        for start in range(0, len(lines), ROWS_PER_PAGE):
            page = Page("cloud_event", [], {})
            for number, line in enumerate(lines[start : start + ROWS_PER_PAGE], start + 1):
                raw = line.rstrip("\r")
                if not raw.strip():
                    continue
                try:
                    page.records.append(read_event(raw, self._zones))
                except EventRefused as refused:
                    reason = f"file {file.name} line {number}: {refused} [{FAULT_CLASS}; owner: {refused.owner}]"
                    page.rejected.append(Rejected(reason, raw, dead_letter_id(raw)))
            yield page


def read_event(raw: str, zones: Mapping[str, ZoneInfo]) -> Record:
    """One event line as a record. Raises EventRefused.

    A missing `effectivedate` is set to the calendar date of `time` in the entity's zone and added to the raw text.
    """
    event = parse_event(raw)
    value, raw = event.value, raw.strip()
    if event.envelope.effectivedate is None:
        owner = EVENT_TYPES[value["type"]].owner
        if "effectivedate" in value:  # a second one behind it would be a repeated key
            raise EventRefused(["effectivedate is null; leave it out or give a date"], owner)
        zone = zones.get(value["entityid"])
        if zone is None:
            raise EventRefused(["effectivedate is missing and the time zone of entityid is not known"], owner)
        value["effectivedate"] = event.envelope.time.astimezone(zone).date().isoformat()
        raw = f'{raw[:-1].rstrip()},"effectivedate":"{value["effectivedate"]}"}}'
    return Record(_record_id(value), raw, value)


def dead_letter_id(raw: str) -> str | None:
    """The id under which a refused line is kept: that of the event if source and id can be told, so that it stays the
    same however often and in whatever file the line comes."""
    try:
        value = strict_json.loads_object(raw)
    except strict_json.StrictJsonError:
        return None
    named = all(isinstance(value.get(name), str) for name in ("source", "id"))
    return _record_id(value) if named else None


def _record_id(value: Mapping[str, Any]) -> str:
    said = [value.get(name) for name in ("source", "id", "type", "entityid", "effectivedate", "data")]
    return hashlib.sha256(_canonical(said).encode("utf-8")).hexdigest()


def _canonical(value: Any) -> str:
    """JSON with sorted keys and without spaces; numbers that are equal are written alike (1, 1.0, 1e0)."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        whole = value == value.to_integral_value()
        return int(value) if whole else {"\0decimal": format(value.normalize(), "f")}
    return value
