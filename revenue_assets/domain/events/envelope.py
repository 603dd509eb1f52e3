"""The envelope of an event: CloudEvents 1.0 in JSON, with the attributes the platform needs."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from revenue_assets.domain.events.fields import Day, Part, refuse

SCHEMA_VERSION = "1"
VISIBLE_PATTERN = r"[\x21-\x7e]{1,512}"  # ids and addresses: ASCII without spaces
ENTITY_PATTERN = r"[A-Za-z0-9_-]{1,32}"
INSTANT_PATTERN = (
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?"
    r"([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)"
)
_ATTRIBUTE = re.compile(r"[a-z0-9]{1,20}")


def instant(value: Any) -> Any:
    """An aware instant of an RFC 3339 text; an offset is required, since without one it is no instant."""
    if isinstance(value, str) and re.fullmatch(INSTANT_PATTERN, value):
        try:
            return dt.datetime.fromisoformat(re.sub(r"\.(\d{1,6})\d*", r".\1", value.upper()))
        except ValueError:
            pass
    raise refuse("is not an RFC 3339 instant with an offset, such as 2026-10-31T16:00:00Z")


def _visible(value: Any) -> Any:
    if not isinstance(value, str):
        raise refuse("is not a text; put it in quotes")
    if not value:
        raise refuse("is empty")
    if not re.fullmatch(VISIBLE_PATTERN, value):
        raise refuse("is not plain ASCII without spaces, of at most 512 characters")
    return value


def _sequence(value: Any) -> Any:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,64}", value):
        raise refuse('is not a text of digits, such as "000042"')
    return value


Instant = Annotated[dt.datetime, BeforeValidator(instant), WithJsonSchema({"type": "string", "format": "date-time"})]
Visible = Annotated[
    str, BeforeValidator(_visible), WithJsonSchema({"type": "string", "pattern": r"^[\x21-\x7e]{1,512}$"})
]
Sequence = Annotated[str, BeforeValidator(_sequence), WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,64}$"})]


class Envelope(BaseModel):
    """One event. Identity is (`source`, `id`). Attributes not named here are extensions: kept and ignored."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    specversion: Literal["1.0"] = Field(description="Version of CloudEvents")
    id: Visible = Field(description="Unique within source, never changed")
    source: Visible = Field(description="System and tenant that say it, such as /billing/emea")
    type: Visible = Field(description="Event type")
    time: Instant = Field(description="When it happened in the source, with an offset")
    subject: Visible | None = Field(None, description="Id of the business object")
    datacontenttype: Literal["application/json"] | None = Field(None, description="application/json")
    dataschema: Visible = Field(description="`urn:revenue-assets:<type>:1`")
    data: Part = Field(description="The payload")
    entityid: Visible = Field(description="Legal entity that books it")
    effectivedate: Day | None = Field(
        None, description="Document or contractual date (the day of time in the entity's time zone)"
    )
    recordedtime: Instant = Field(description="When the sender learned it; a re-delivery keeps it")
    sequence: Sequence | None = Field(None, description="Zero-padded digits: order inside one source")
    correlationid: Visible | None = Field(None, description="Order-to-cash chain, such as the CRM opportunity")
    causationid: Visible | None = Field(None, description="Id of the event that caused this one")
    supersedesid: Visible | None = Field(None, description="Id (same source) of the event that this one corrects")

    @model_validator(mode="before")
    @classmethod
    def _attributes_are_simple(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise refuse("is not an object")
        for name, item in value.items():
            if name in cls.model_fields:
                continue
            if not _ATTRIBUTE.fullmatch(name) or isinstance(item, (dict, list)):
                raise refuse(
                    "has an attribute that is not one of CloudEvents: names are a-z 0-9, values are no objects"
                )
        return value


def dataschema(event_type: str) -> str:
    """The name of the schema of a type, as `dataschema` and as `$id` of the JSON Schema."""
    return f"urn:revenue-assets:{event_type}:{SCHEMA_VERSION}"
