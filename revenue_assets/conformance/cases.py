"""Case files: one YAML document = one case = one or more legal entities that no other case uses.

Reads and names; it judges nothing but the shape. Compact events become CloudEvents here, so that the rest of the
platform meets nothing but the public event contract.
"""

from __future__ import annotations

import datetime as dt
import json
import re
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


@dataclass(frozen=True)
class Refused:
    """A file of the folder that is no case: its id (the file's name if it has none that can be read) and the reason."""

    id: str
    path: Path
    reason: str


def load_cases(directory: Path) -> tuple[list[Case], list[Refused]]:
    """Every `*.yaml` and `*.yml` of a folder and its sub-folders by path: the cases, and the files that are none.

    Of two files that share an entity, a code or a case id the later one is refused. Raises CaseError for a folder
    without any such file.
    """
    paths = sorted(
        path
        for path in (directory.rglob("*.y*ml") if directory.is_dir() else ())
        if path.suffix in (".yaml", ".yml")
        and not any(part.startswith(".") for part in path.relative_to(directory).parts)
    )
    if not paths:
        raise CaseError(f"{directory} holds no case files (*.yaml).")
    cases: list[Case] = []
    refused: list[Refused] = []
    owner: dict[tuple[str, str], str] = {}
    for path in paths:
        try:
            case = read_case(path)
            names = [("Case id", case.id), ("code", case.code), *(("entity", entity) for entity in case.entity_ids)]
            for kind, name in names:
                if (kind, name) in owner:
                    raise CaseError(f"{path.name}: {kind} {name} belongs to {owner[kind, name]} already.")
        except CaseError as error:
            refused.append(Refused(_id_of(path), path, str(error)))
            continue
        owner |= dict.fromkeys(names, path.name)
        cases.append(case)
    return cases, refused


def read_cases(directory: Path) -> list[Case]:
    """All cases of a folder. Raises CaseError for an empty folder and for the first file that `load_cases` refuses."""
    cases, refused = load_cases(directory)
    if refused:
        raise CaseError(refused[0].reason)
    return cases


def _id_of(path: Path) -> str:
    """The id that a refused file gives itself, as far as one can be read; else its name."""
    try:
        found = re.search(r"^id:[ \t]*['\"]?([^\s'\"#]+)", path.read_text("utf-8"), re.MULTILINE)
    except (OSError, UnicodeDecodeError):
        found = None
    return found.group(1) if found else path.stem


def read_case(path: Path) -> Case:
    """One file. Raises CaseError with the file's name for anything that keeps the case from being run or compared."""
    try:
        raw = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, OSError, ValueError) as error:
        raise CaseError(f"{path.name}: not readable as YAML: {error}") from error
    if not isinstance(raw, dict):
        raise CaseError(f"{path.name}: a case is a mapping.")
    raw = _plain(raw)
    missing = [key for key in ("id", "code", "entities", "events", "expect") if key not in raw]
    if missing:
        raise CaseError(f"{path.name}: missing {', '.join(missing)}.")
    try:
        case = Case(
            id=str(raw["id"]),
            code=str(raw["code"]),
            title=str(raw.get("title") or ""),
            path=path,
            entities=raw["entities"],
            policy=raw.get("policy") or [],
            fx_rates=raw.get("fx_rates") or [],
            events=raw["events"] or [],
            expect=raw["expect"] or {},
            entity_ids=frozenset(str(entity["id"]) for entity in raw["entities"]),
        )
        _check(case)
    except CaseError as error:
        raise CaseError(f"{path.name}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        what = f"missing {error}" if isinstance(error, KeyError) else str(error)
        raise CaseError(f"{path.name}: not a case as the format says: {what}.") from error
    return case


def _check(case: Case) -> None:
    """Raises CaseError (or what a wrong shape raises by itself) if the case cannot be loaded and compared as it is."""
    unknown = sorted(set(case.expect) - set(SECTIONS))
    if unknown:
        raise CaseError(f"unknown section {', '.join(unknown)}.")
    if not case.entities or any("functional_currency" not in entity for entity in case.entities):
        raise CaseError("every entity needs an id and a functional_currency, and a case at least one entity.")
    for policy in case.policy:
        if policy["entity"] not in case.entity_ids or not isinstance(policy["set"], dict):
            raise CaseError(f"a policy row of {policy['entity']}, which is no entity of this case, or without `set`.")
    for envelope in cloud_events(case):
        if envelope["entityid"] not in case.entity_ids:
            raise CaseError(f"event {envelope['id']}: {envelope['entityid']} is no entity of this case.")
        for instant in (envelope["time"], envelope["recordedtime"]):
            dt.datetime.fromisoformat(instant.replace("Z", "+00:00"))
    for table in case.expect.values():
        for row in table.get("rows") or []:
            if row.get("entity", case.entities[0]["id"]) not in case.entity_ids:
                raise CaseError(f"a row expects figures of {row['entity']}, which is no entity of this case.")
    horizon([case])


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
    ids = {str(event["id"]) for event in case.events}
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
            effective, event.get("recorded", event["time"]), event.get("data"),
        )  # fmt: skip
        for name in ("subject", "correlationid", "causationid", "sequence"):
            if name in event:
                envelope[name] = event[name]
        if "supersedesid" in event:
            given = str(event["supersedesid"])
            # the short id of an event of this file, or a whole one
            envelope["supersedesid"] = f"{case.code}-{given}" if given in ids else given
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
            for row in table.get("rows") or []:
                own = calendars.get(row.get("entity", case.entities[0]["id"]), MONTHS)
                days += [own.last_day(row["period"]).isoformat()] if "period" in row else []
                days += [str(row[name]) for name in ("as_of", "service_start", "service_end") if name in row]
        latest = max(latest, *(dt.date.fromisoformat(day) for day in days)) if days else latest
    following = (latest.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
    return following - dt.timedelta(days=1)


def raw_text(envelope: dict[str, Any]) -> str:
    """The event as it would have been received: JSON text, keys in order of writing."""
    return json.dumps(envelope, ensure_ascii=False)
