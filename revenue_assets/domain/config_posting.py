"""Shapes of posting.yaml (what is posted as what, and with which dimensions) and of an ERP's limits in erp.yaml."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from revenue_assets.domain import posting_policy, roles

# Sections of posting.yaml.
POSTING = ("posting", "items", "customers", "dimensions")
_NAME = r"^[a-z][a-z0-9_]{0,31}$"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class PostingRow(_Frozen):
    """One row of `posting`: a scope and what holds in it (docs/posting-policy.md)."""

    entity: str | None = None
    event_class: str | None = None
    product_family: str | None = None
    currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$")
    set: dict[str, Any]

    @model_validator(mode="after")
    def _sound(self) -> PostingRow:
        for _, message, fix in posting_policy.problems(self.model_dump()):
            raise ValueError(f"{message}; {fix}")
        return self


class ItemRow(_Frozen):
    """The ERP's item of a product family, and the dimension values that come with it."""

    product_family: str
    item: str = Field(min_length=1)
    entity: str | None = None
    values: dict[str, str] = {}


class CustomerValues(_Frozen):
    """Dimension values of one customer, or of every customer of a country (ISO 3166 code, as landed)."""

    customer: str | None = None
    country: str | None = None
    values: dict[str, str]

    @model_validator(mode="after")
    def _one_scope(self) -> CustomerValues:
        if (self.customer is None) == (self.country is None):
            raise ValueError("name either a customer or a country")
        return self


class DimensionRow(_Frozen):
    """A dimension that posted lines of these account roles carry. `from`: where its value comes from, in this order;
    `required`: a line without it waits as mapping_missing."""

    name: str = Field(pattern=_NAME)
    entity: str | None = None
    roles: list[str] = Field(min_length=1)
    sources: list[Literal["line", "item", "customer", "default"]] = Field(alias="from", min_length=1)
    default: str | None = None
    required: bool = False
    owner: str = posting_policy.DEFAULT_OWNER

    @model_validator(mode="after")
    def _sound(self) -> DimensionRow:
        if ("default" in self.sources) != (self.default is not None):
            raise ValueError("a `default` needs `default` in `from`, and the other way round")
        unknown = [role for role in self.roles if role not in roles.KNOWN]
        if unknown:
            raise ValueError(f"no journal line uses role {unknown[0]!r}")
        if "line" in self.sources and self.name not in ("jurisdiction", "tax_code"):
            raise ValueError("only jurisdiction and tax_code stand on a line already; leave `line` out")
        return self


class ErpLimits(_Frozen):
    """How hard an ERP may be asked. Seconds unless the name says otherwise; docs/posting.md has the defaults' reasons.

    requests_per_second: text decimal such as "2.5"; None = as fast as it answers.
    documents_per_call: documents in one request, at most what the adapter can.
    breaker_failures: failed calls in a row after which nothing is sent for a while.
    """

    requests_per_second: str | None = None
    documents_per_call: int = Field(default=50, ge=1, le=1000)
    backoff_base_seconds: int = Field(default=2, ge=1, le=3600)
    backoff_cap_seconds: int = Field(default=900, ge=1, le=86400)
    breaker_failures: int = Field(default=3, ge=1, le=100)
    attempts_max: int = Field(default=25, ge=1, le=1000)
    readbacks_max: int = Field(default=5, ge=1, le=100)
    lease_seconds: int = Field(default=300, ge=30, le=3600)

    @field_validator("requests_per_second")
    @classmethod
    def _rate(cls, value: str | None) -> str | None:
        try:
            rate = None if value is None else Decimal(value)
        except InvalidOperation:
            rate = Decimal(0)
        if rate is not None and not (rate.is_finite() and Decimal("0.01") <= rate <= 1000):
            raise ValueError('must be a quoted number from "0.01" to "1000" requests a second')
        return value

    @model_validator(mode="after")
    def _ordered(self) -> ErpLimits:
        if self.backoff_cap_seconds < self.backoff_base_seconds:
            raise ValueError("backoff_cap_seconds is below backoff_base_seconds")
        return self
