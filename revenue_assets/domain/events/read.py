"""The one reader of events: a line of JSON becomes a typed event, or a list of faults that say how to mend it.

Refusal is by the contract alone: a strict JSON text, a CloudEvents envelope, a known type in its schema version, a
payload that is what its type says. Nothing is cast, nothing repaired, and no message holds a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from revenue_assets.domain import strict_json
from revenue_assets.domain.events.envelope import Envelope, dataschema
from revenue_assets.domain.events.fields import Part
from revenue_assets.domain.events.registry import EVENT_TYPES, UNKNOWN_OWNER

LINE_CHARACTERS_MAX = 1024 * 1024
FAULTS_MAX = 5  # named in one reason
FAULT_CLASS = "schema_invalid"


class EventRefused(ValueError):
    """The line is no event of the contract. `faults`: one sentence per field; `owner`: the team that clears it."""

    def __init__(self, faults: list[str], owner: str = UNKNOWN_OWNER) -> None:
        self.faults, self.owner = faults, owner
        more = len(faults) - FAULTS_MAX
        super().__init__("; ".join(faults[:FAULTS_MAX]) + (f"; and {more} more" if more > 0 else ""))


@dataclass(frozen=True, slots=True)
class Event:
    """An event as read: the value of its JSON text, the envelope and the payload as typed models."""

    value: dict[str, Any]
    envelope: Envelope
    data: Part


def parse_event(text: str) -> Event:
    """The event of one line. Raises EventRefused with every fault found."""
    if len(text) > LINE_CHARACTERS_MAX:
        raise EventRefused([f"the line is longer than {LINE_CHARACTERS_MAX} characters; send less in one event"])
    try:
        value = strict_json.loads_object(text)
    except strict_json.StrictJsonError as error:
        raise EventRefused([str(error)]) from None
    return validate_event(value)


def validate_event(value: dict[str, Any]) -> Event:
    """The event of a JSON object read by `strict_json`. Raises EventRefused with every fault found."""
    stated = value.get("type")
    kind = EVENT_TYPES.get(stated) if isinstance(stated, str) else None
    owner = kind.owner if kind else UNKNOWN_OWNER
    faults: list[str] = []
    envelope: Envelope | None = None
    # The payload is judged by its own type below, so that its faults come with their full path.
    known = {name: item for name, item in value.items() if item is not None and name != "data"}
    if isinstance(stated, str) and stated and kind is None:
        faults.append("type is unknown; the types are listed in docs/events.md")
    try:
        envelope = Envelope.model_validate({**known, "data": {}})
    except ValidationError as error:
        faults += _sentences(error, Envelope, "")
    if kind is not None and isinstance(value.get("dataschema"), str) and value["dataschema"] != dataschema(kind.name):
        faults.append(f"dataschema is not {dataschema(kind.name)}, the version that is read")
    payload = value.get("data")
    data: Part | None = None
    if payload is None:
        faults.append("data is missing")
    elif not isinstance(payload, dict):
        faults.append("data is not an object")
    elif kind is not None:
        try:
            data = kind.model.model_validate(payload)
        except ValidationError as error:
            faults += _sentences(error, kind.model, "data")
    if faults or envelope is None or data is None:
        raise EventRefused(faults, owner)
    return Event(value, envelope, data)


def owner_of(text: str) -> str:
    """The team that answers for a refused line, as far as its type can be told."""
    try:
        stated = strict_json.loads_object(text[:LINE_CHARACTERS_MAX]).get("type")
    except strict_json.StrictJsonError:
        return UNKNOWN_OWNER
    return EVENT_TYPES[stated].owner if isinstance(stated, str) and stated in EVENT_TYPES else UNKNOWN_OWNER


def _sentences(error: ValidationError, model: Any, root: str) -> list[str]:
    return [_sentence(item, root) for item in error.errors(include_url=False, include_input=False)]


def _sentence(item: Mapping[str, Any], root: str) -> str:
    place = root
    for part in item["loc"]:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else str(part)
    place = place or "the event"
    kind, context = item["type"], item.get("ctx", {})
    if kind == "event_field":
        return f"{place} {context['fix']}"
    if kind == "missing":
        return f"{place} is missing"
    if kind == "literal_error":
        return f"{place} is not {context['expected'].replace(chr(39), '')}"
    if kind == "list_type":
        return f"{place} must be a list"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"{place} must be an object"
    return f"{place} is not as the contract says ({kind})"
