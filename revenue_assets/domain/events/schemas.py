"""JSON Schemas (2020-12) of the events, one per type and version: the contract for senders that do not speak Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from revenue_assets.domain.events.envelope import SCHEMA_VERSION, Envelope, dataschema
from revenue_assets.domain.events.registry import EVENT_TYPES, EventType


def json_schema(kind: EventType) -> dict[str, Any]:
    """The schema of a whole event of this type, envelope and payload."""
    payload = kind.model.model_json_schema()
    envelope = Envelope.model_json_schema()
    parts = payload.pop("$defs", {})
    properties = envelope["properties"] | {
        "type": {"const": kind.name},
        "dataschema": {"const": dataschema(kind.name)},
        "data": payload,
    }
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": dataschema(kind.name),
        "title": kind.name,
        "description": kind.effect,
        "type": "object",
        "properties": properties,
        "required": envelope["required"],
        "$defs": parts,
    }
    plain = _without_titles(schema, top=True)
    assert isinstance(plain, dict)
    return plain


def file_name(kind: EventType) -> str:
    return f"{kind.name}.{SCHEMA_VERSION}.json"


def schema_text(kind: EventType) -> str:
    """The file's content."""
    return json.dumps(json_schema(kind), indent=2, ensure_ascii=False) + "\n"


def export(folder: Path) -> list[Path]:
    """Writes every schema into the folder; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for kind in EVENT_TYPES.values():
        path = folder / file_name(kind)
        path.write_text(schema_text(kind), encoding="utf-8")
        written.append(path)
    return written


def _without_titles(value: Any, *, top: bool = False, names: bool = False) -> Any:
    """Drops the titles that pydantic makes of names (`names`: the keys of this object are field names)."""
    if isinstance(value, list):
        return [_without_titles(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _without_titles(item, names=key in ("properties", "$defs") and not names)
        for key, item in value.items()
        if names or top or key not in ("title", "default", "additionalProperties")
    }
