"""Case files: one YAML document = one case = one or more legal entities that no other case uses.

Reads and names; it judges nothing but the shape. Compact events become CloudEvents here, so that the rest of the
platform meets nothing but the public event contract.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from revenue_assets.domain.calendars import MONTHS, Calendar, calendar

SECTIONS = (
    "activity", "balances", "schedule", "rollforward", "reconciliation", "exceptions", "allocation",
    "expected_charges", "postings",
)  # fmt: skip


class CaseError(ValueError):
    """A case file that cannot be read; the message names the file and says what is wrong."""


@dataclass(frozen=True)
class Case:
    """One worked example. `entities`, `policy` and `events` are as in the file; `expect` maps section to its table."""

    id: str
    code: str
    title: str
    path: Path
    entities: list[dict[str, Any]]
    policy: list[dict[str, Any]]
    fx_rates: list[dict[str, Any]]
    events: list[dict[str, Any]]
    expect: dict[str, dict[str, Any]]
    entity_ids: frozenset[str] = field(default_factory=frozenset)


def read_cases(directory: Path) -> list[Case]:
    """Every `*.yaml` of a folder, by file name. Raises CaseError for an empty folder, a bad file or shared entities."""
    paths = sorted(directory.glob("*.yaml")) if directory.is_dir() else []
    if not paths:
        raise CaseError(f"{directory} holds no case files (*.yaml).")
    cases = [read_case(path) for path in paths]
    owner: dict[str, str] = {}
    for case in cases:
        for entity in case.entity_ids:
            if entity in owner:
                raise CaseError(f"{case.path.name}: entity {entity} belongs to {owner[entity]} already.")
            owner[entity] = case.path.name
    ids = [case.id for case in cases]
    for case_id in ids:
        if ids.count(case_id) > 1:
            raise CaseError(f"Case id {case_id} is used by more than one file.")
    return cases


def read_case(path: Path) -> Case:
    """One file. Raises CaseError with the file's name when a required key is missing or a section is unknown."""
    try:
        raw = yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError as error:
        raise CaseError(f"{path.name}: not readable as YAML: {error}") from error
    if not isinstance(raw, dict):
        raise CaseError(f"{path.name}: a case is a mapping.")
    raw = _plain(raw)
    missing = [key for key in ("id", "code", "entities", "events", "expect") if key not in raw]
    if missing:
        raise CaseError(f"{path.name}: missing {', '.join(missing)}.")
    unknown = sorted(set(raw["expect"]) - set(SECTIONS))
    if unknown:
        raise CaseError(f"{path.name}: unknown section {', '.join(unknown)}.")
    return Case(
        id=raw["id"],
        code=str(raw["code"]),
        title=raw.get("title", ""),
        path=path,
        entities=raw["entities"],
        policy=raw.get("policy") or [],
        fx_rates=raw.get("fx_rates") or [],
        events=raw["events"],
        expect=raw["expect"],
        entity_ids=frozenset(str(entity["id"]) for entity in raw["entities"]),
    )


def _plain(value: Any) -> Any:
    """Dates that YAML made of unquoted text become text again; everything else stays."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dt.datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, dt.date) else value


def cloud_events(case: Case) -> list[dict[str, Any]]:
    """The case's events, in arrival order, in the public envelope; its rates first, one event per entity and rate."""
    source = f"/cases/{case.code}"
    zones = {entity["id"]: ZoneInfo(entity.get("time_zone", "UTC")) for entity in case.entities}
    envelopes = [
        _envelope(
            source, f"{case.code}-fx{number}-{entity['id']}", "fx_rate.published", entity["id"],
            f"{rate['date']}T00:00:00Z", rate["date"], f"{rate['date']}T00:00:00Z",
            {"from": rate["from"], "to": rate["to"], "rate": str(rate["rate"]), "rate_type": rate["type"]},
        )
        for number, rate in enumerate(case.fx_rates, 1)
        for entity in case.entities
    ]  # fmt: skip
    for event in case.events:
        entity = event.get("entity", case.entities[0]["id"])
        effective = event.get("effective") or _local_day(event["time"], zones.get(entity, ZoneInfo("UTC")))
        envelope = _envelope(
            event.get("source", source), f"{case.code}-{event['id']}", event["type"], entity, event["time"],
            effective, event.get("recorded", event["time"]), event["data"],
        )  # fmt: skip
        for name in ("subject", "correlationid", "causationid", "sequence"):
            if name in event:
                envelope[name] = event[name]
        if "supersedesid" in event:
            envelope["supersedesid"] = f"{case.code}-{event['supersedesid']}"
        envelopes.append(envelope)
    return envelopes


def _envelope(
    source: str, event_id: str, event_type: str, entity: str, time: str, effective: str, recorded: str, data: Any
) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": event_type,
        "time": time,
        "datacontenttype": "application/json",
        "dataschema": f"urn:revenue-assets:{event_type}:1",
        "entityid": entity,
        "effectivedate": effective,
        "recordedtime": recorded,
        "data": data,
    }


def _local_day(instant: str, zone: ZoneInfo) -> str:
    return dt.datetime.fromisoformat(instant.replace("Z", "+00:00")).astimezone(zone).date().isoformat()


def calendar_of(entity: dict[str, Any]) -> Calendar:
    """The calendar of a case's entity; ValueError in words if it is none."""
    return calendar(entity.get("calendar", "month"), entity.get("fiscal_year"))


def horizon(cases: list[Case]) -> dt.date:
    """End of the latest month that any case mentions, in its events or in what it expects.

    A period of weeks counts with its last day.
    """
    latest = dt.date(1970, 1, 1)
    for case in cases:
        calendars = {entity["id"]: calendar_of(entity) for entity in case.entities}
        days = [envelope["effectivedate"] for envelope in cloud_events(case)]
        for table in case.expect.values():
            for row in table.get("rows", []):
                own = calendars.get(row.get("entity", case.entities[0]["id"]), MONTHS)
                days += [own.last_day(row["period"]).isoformat()] if "period" in row else []
                days += [str(row[name]) for name in ("as_of", "service_start", "service_end") if name in row]
        latest = max(latest, *(dt.date.fromisoformat(day) for day in days)) if days else latest
    following = (latest.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
    return following - dt.timedelta(days=1)


def raw_text(envelope: dict[str, Any]) -> str:
    """The event as it would have been received: JSON text, keys in order of writing."""
    return json.dumps(envelope, ensure_ascii=False)
