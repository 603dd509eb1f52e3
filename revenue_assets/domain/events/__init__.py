"""The canonical event contract, version 1: typed events, the reader that decides, JSON Schemas and the catalogue.

    from revenue_assets.domain.events import EventRefused, parse_event
    event = parse_event(line)      # Event(value, envelope, data); EventRefused says what to mend
    event.data.invoice_id          # typed: int money, Decimal, date

Does not belong here: files and landing (`sources/cloudevents.py`), what an event does to the books (dbt, `subledger`).
"""

from revenue_assets.domain.events.envelope import Envelope, dataschema
from revenue_assets.domain.events.fields import BalanceTxn, Part, TaxLine, Window
from revenue_assets.domain.events.read import Event, EventRefused, parse_event, validate_event
from revenue_assets.domain.events.registry import EVENT_TYPES, EventType

__all__ = [
    "EVENT_TYPES", "BalanceTxn", "Envelope", "Event", "EventRefused", "EventType", "Part", "TaxLine", "Window",
    "dataschema", "parse_event", "validate_event",
]  # fmt: skip
