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


def money_paths(kind: EventType) -> dict[str, list[str]]:
    """Where the payload of a type holds money, as JSON paths: `plain`, and `lists` for required money of list elements.

    SQL looks at the same places (`event_money_fields` of the dbt project), as the second wall.
    """
    schema = kind.model.model_json_schema()
    found: dict[str, list[str]] = {"plain": [], "lists": []}
    for name, field in schema["properties"].items():
        inner = next((option for option in field.get("anyOf", [field]) if option.get("type") != "null"), field)
        many = inner.get("type") == "array"
        inner = inner["items"] if many else inner
        if _is_money(inner):
            found["plain"].append(f"$.{name}")
        elif "$ref" in inner:
            part = schema["$defs"][inner["$ref"].rsplit("/", 1)[1]]
            for below, what in part.get("properties", {}).items():
                if many and below in part.get("required", []) and _is_money(what):
                    found["lists"].append(f"$.{name}[*].{below}")
                elif not many and any(_is_money(option) for option in what.get("anyOf", [what])):
                    found["plain"].append(f"$.{name}.{below}")
    return {key: paths for key, paths in found.items() if paths}


def _is_money(field: dict[str, Any]) -> bool:
    return field.get("type") == "integer" and field.get("minimum", 0) < 0
