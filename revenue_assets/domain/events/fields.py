"""Common types of the event contract: what a value must look like, and the sentence that says how to mend it.

Every type takes plain JSON values as `revenue_assets.domain.strict_json` reads them and refuses all else; no value is
ever cast to fit. Messages name no value: it may be personal.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

MONEY_MAX = 10**18 - 1  # 18 digits: fits the warehouse's BIGINT with room for sums
ID_PATTERN = r"[A-Za-z0-9_.:\-]{1,128}"
DECIMAL_PATTERN = r"-?[0-9]{1,13}(\.[0-9]{1,12})?"
CURRENCY_PATTERN = r"[A-Z]{3}"
PERIOD_PATTERN = r"[0-9]{4}-(0[1-9]|1[0-2])"
ROLE_PATTERN = r"[a-z][a-z0-9_]{0,63}"
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def refuse(fix: str) -> PydanticCustomError:
    return PydanticCustomError("event_field", "{fix}", {"fix": fix})


def refuse_repeats(name: str, values: Sequence[str]) -> None:
    """Refuses a payload in which two lines have the same id: whatever names one of them would mean both."""
    repeated = next((value for value in values if values.count(value) > 1), None)
    if repeated is not None:
        raise refuse(f"has two lines with {name} {repeated!r}: each needs its own")


def _money(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int):
        raise refuse("must be a JSON integer of minor units (1999 for 19.99 USD), without quotes, point or exponent")
    if abs(value) > MONEY_MAX:
        raise refuse("has more than 18 digits; money is an integer of minor units")
    return value


def _whole(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**31:
        raise refuse("must be a JSON integer from 1 on")
    return value


def _flag(value: Any) -> Any:
    if not isinstance(value, bool):
        raise refuse("must be true or false, without quotes")
    return value


def _decimal(value: Any) -> Any:
    if not isinstance(value, str) or not re.fullmatch(DECIMAL_PATTERN, value):
        raise refuse('must be a decimal in quotes ("29.95"), at most 13 digits before and 12 behind the point')
    return Decimal(value)


def _day(value: Any) -> Any:
    try:
        if isinstance(value, str) and _DAY.fullmatch(value):
            return dt.date.fromisoformat(value)
    except ValueError:
        pass
    raise refuse("must be a date of the calendar written YYYY-MM-DD, in quotes")


def _text(pattern: str | None, fix: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not isinstance(value, str) or (pattern is not None and not re.fullmatch(pattern, value)):
            raise refuse(fix)
        return value

    return check


Money = Annotated[
    int, BeforeValidator(_money), WithJsonSchema({"type": "integer", "minimum": -MONEY_MAX, "maximum": MONEY_MAX})
]
Whole = Annotated[int, BeforeValidator(_whole), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 2**31 - 1})]
Flag = Annotated[bool, BeforeValidator(_flag), WithJsonSchema({"type": "boolean"})]
Dec = Annotated[
    Decimal, BeforeValidator(_decimal), WithJsonSchema({"type": "string", "pattern": f"^{DECIMAL_PATTERN}$"})
]
Day = Annotated[dt.date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
Text = Annotated[str, BeforeValidator(_text(None, "must be a text, in quotes")), WithJsonSchema({"type": "string"})]
Word = Annotated[
    str,
    BeforeValidator(_text(r"(?s).+", "must be a text that is not empty, in quotes")),
    WithJsonSchema({"type": "string", "minLength": 1}),
]
Id = Annotated[
    str,
    BeforeValidator(_text(ID_PATTERN, "must be an id in quotes: 1 to 128 characters of A-Z a-z 0-9 _ . : -")),
    WithJsonSchema({"type": "string", "pattern": f"^{ID_PATTERN}$"}),
]
Currency = Annotated[
    str,
    BeforeValidator(_text(CURRENCY_PATTERN, 'must be an ISO 4217 code of three capitals, such as "USD"')),
    WithJsonSchema({"type": "string", "pattern": f"^{CURRENCY_PATTERN}$"}),
]
Period = Annotated[
    str,
    BeforeValidator(_text(PERIOD_PATTERN, 'must be a month written YYYY-MM, such as "2026-10"')),
    WithJsonSchema({"type": "string", "pattern": f"^{PERIOD_PATTERN}$"}),
]
Role = Annotated[
    str,
    BeforeValidator(_text(ROLE_PATTERN, 'must be an account role in lower case, such as "deferred_revenue"')),
    WithJsonSchema({"type": "string", "pattern": f"^{ROLE_PATTERN}$"}),
]


class Part(BaseModel):
    """Base of every payload and its parts: frozen, nothing cast, unknown fields kept and ignored.

    A field that is null counts as absent, as it does in SQL.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: item for key, item in value.items() if item is not None}
        return value


class Window(Part):
    """A service window, half open: both dates or neither."""

    model_config = ConfigDict(
        json_schema_extra={"dependentRequired": {"service_start": ["service_end"], "service_end": ["service_start"]}}
    )

    service_start: Day | None = Field(None, description="First day of service")
    service_end: Day | None = Field(None, description="Day after the last day of service (exclusive)")

    @model_validator(mode="after")
    def _both_or_neither(self) -> Window:
        if (self.service_start is None) != (self.service_end is None):
            raise refuse("needs service_start and service_end together, or neither of them")
        if self.service_start is not None and self.service_end is not None and self.service_start >= self.service_end:
            raise refuse("has a service window without a day: service_end is exclusive and must be after service_start")
        return self


class TaxLine(Part):
    """One tax of a line."""

    tax_code: Text = Field(description="Code of the tax engine")
    jurisdiction: Text | None = Field(None, description="Who levies it")
    rate: Dec | None = Field(None, description="Rate as a fraction")
    amount: Money = Field(description="Tax, minor units")


class BalanceTxn(Part):
    """A movement of the processor's balance as on its report; plus = the balance goes up."""

    balance_txn_id: Id = Field(description="Id at the processor; used by one object of an entity only")
    account: Text | None = Field(None, description="Processor account (`default`)")
    type: Literal["charge", "refund", "dispute", "dispute_fee", "payout", "adjustment"] | None = Field(
        None, description="Kind of movement"
    )
    gross: Money = Field(description="Gross, settlement currency")
    fee: Money | None = Field(None, description="Fee (0); positive lowers the balance")
    net: Money = Field(description="gross - fee")
    currency: Currency = Field(description="Settlement currency")
    exchange_rate: Dec | None = Field(None, description="One unit of the presentment currency in settlement currency")
    payout_id: Id | None = Field(None, description="Payout that pays it out")

    @model_validator(mode="after")
    def _net_is_gross_less_fee(self) -> BalanceTxn:
        if self.net != self.gross - (self.fee or 0):
            raise refuse("does not add up: net must be gross - fee")
        return self
