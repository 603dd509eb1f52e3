"""CloudEvents of home-grown systems: JSON-lines files in a drop folder, one event a line, read strictly.

The envelope is checked here, the payload in SQL. A bad line goes to quarantine with its line number; the good lines of
the same file land. An event's record id covers what it says, so that a second delivery is ignored and two different
events of one identity both survive, for the platform to call a conflict.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from revenue_assets.domain import strict_json
from revenue_assets.sources.base import Cursor, ObjectContract, Page, Record, Rejected, SourceError
from revenue_assets.sources.drop import DroppedFile, new_files, refusal

LINE_CHARACTERS_MAX = 1024 * 1024
ROWS_PER_PAGE = 10_000
SCHEMA_VERSION = "1"

_REQUIRED = ("specversion", "id", "source", "type", "time", "dataschema", "data", "entityid", "recordedtime")
_TEXTS = (
    *("specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema", "entityid"),
    *("effectivedate", "recordedtime", "sequence", "correlationid", "causationid", "supersedesid"),
)
_INSTANT = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?"
    r"([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)"
)
_TYPE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_VISIBLE = re.compile(r"[\x21-\x7e]{1,512}")  # ids and addresses: ASCII without spaces
_ATTRIBUTE = re.compile(r"[a-z0-9]{1,20}")

CONTRACT = ObjectContract(required=_REQUIRED, stamps=("time", "recordedtime"), stamp_kind="iso", immutable=True)


class EnvelopeError(ValueError):
    """The line is JSON but no event of the contract; the message is a plain reason."""


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
                yield from self._pages(found)
            else:
                yield Page(object_name, [], {}, rejected=[found])
        yield Page(object_name, [], {"files": sorted(seen)})

    def _pages(self, file: DroppedFile) -> Iterator[Page]:
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
                except (EnvelopeError, strict_json.StrictJsonError) as error:
                    page.rejected.append(Rejected(f"file {file.name} line {number}: {error}", raw))
            yield page


def read_event(raw: str, zones: Mapping[str, ZoneInfo]) -> Record:
    """One event line as a record. Raises EnvelopeError or StrictJsonError.

    A missing `effectivedate` is set to the calendar date of `time` in the entity's zone and added to the raw text.
    """
    if len(raw) > LINE_CHARACTERS_MAX:
        raise EnvelopeError(f"the line is longer than {LINE_CHARACTERS_MAX} characters")
    event = strict_json.loads_object(raw)
    _check(event)
    raw = raw.strip()
    if "effectivedate" not in event:
        zone = zones.get(event["entityid"])
        if zone is None:
            raise EnvelopeError("effectivedate is missing and the time zone of entityid is not known")
        event["effectivedate"] = _instant(event["time"], "time").astimezone(zone).date().isoformat()
        raw = f'{raw[:-1].rstrip()},"effectivedate":"{event["effectivedate"]}"}}'
    said = _canonical(
        [event["source"], event["id"], *(event[k] for k in ("type", "entityid", "effectivedate", "data"))]
    )
    return Record(hashlib.sha256(said.encode("utf-8")).hexdigest(), raw, event)


def _check(event: Mapping[str, Any]) -> None:
    for name in _REQUIRED:
        if event.get(name) is None:
            raise EnvelopeError(f"{name} is missing")
    for name, value in event.items():
        if name in _TEXTS and not isinstance(value, str):
            raise EnvelopeError(f"{name} is not a text")
        if name in _TEXTS and not value:
            raise EnvelopeError(f"{name} is empty")
        if (
            name not in _TEXTS
            and name != "data"
            and (not _ATTRIBUTE.fullmatch(name) or isinstance(value, (dict, list)))
        ):
            raise EnvelopeError("an attribute is not one of CloudEvents")
    if event["specversion"] != "1.0":
        raise EnvelopeError("specversion is not 1.0")
    if not isinstance(event["data"], dict):
        raise EnvelopeError("data is not an object")
    for name in ("id", "source", "entityid", "subject", "correlationid", "causationid", "supersedesid"):
        if name in event and not _VISIBLE.fullmatch(event[name]):
            raise EnvelopeError(f"{name} is not plain ASCII without spaces")
    if not _TYPE.fullmatch(event["type"]):
        raise EnvelopeError("type is not a dotted lower-case name")
    if event["dataschema"] != f"urn:revenue-assets:{event['type']}:{SCHEMA_VERSION}":
        raise EnvelopeError(f"dataschema is not urn:revenue-assets:<type>:{SCHEMA_VERSION}")
    if event.get("datacontenttype", "application/json") != "application/json":
        raise EnvelopeError("datacontenttype is not application/json")
    if "sequence" in event and not re.fullmatch(r"\d{1,64}", event["sequence"]):
        raise EnvelopeError("sequence is not a text of digits")
    _instant(event["time"], "time")
    _instant(event["recordedtime"], "recordedtime")
    if "effectivedate" in event:
        _date(event["effectivedate"])


def _instant(text: str, name: str) -> dt.datetime:
    """An RFC 3339 instant; an offset is required, since without one it is no instant."""
    if not _INSTANT.fullmatch(text):
        raise EnvelopeError(f"{name} is not an RFC 3339 instant with an offset")
    short = re.sub(r"\.(\d{1,6})\d*", r".\1", text.upper())
    try:
        return dt.datetime.fromisoformat(short)
    except ValueError:
        raise EnvelopeError(f"{name} is not an RFC 3339 instant with an offset") from None


def _date(text: str) -> None:
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            dt.date.fromisoformat(text)
            return
    except ValueError:
        pass
    raise EnvelopeError("effectivedate is not a date YYYY-MM-DD")


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
