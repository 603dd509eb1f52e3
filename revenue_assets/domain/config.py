"""A company's configuration folder as one frozen object: what finance edits, validated in plain words.

Files: company.yaml, entities.yaml, accounts.yaml, policy.yaml, sources.yaml, erp.yaml, reconciliations.yaml, and, for a
company that does not post everything at once as summarised journals, posting.yaml.
Secrets are never in these files: a credential is `env:NAME` or `file:PATH` and is resolved when it is used.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from revenue_assets.domain import policy
from revenue_assets.domain.calendars import Calendar, calendar
from revenue_assets.domain.config_approvals import Approvals
from revenue_assets.domain.config_erp import erp_problems
from revenue_assets.domain.config_posting import (
    POSTING,
    CustomerValues,
    DimensionRow,
    ErpLimits,
    ItemRow,
    PostingRow,
)
from revenue_assets.domain.strict_yaml import ConfigError, read_yaml

VARIANCE_CLASSES = (
    "timing_in_transit", "missing_left", "missing_right", "duplicate", "amount", "rounding", "fx", "fee", "tax",
    "unapplied", "wrong_period", "wrong_entity", "wrong_currency", "mapping_missing", "manual_erp_journal",
    "source_changed_after_post", "unexplained",
)  # fmt: skip
VENDORS = ("salesforce", "stripe", "avalara", "treasury", "cloudevents")
FILES = ("company", "entities", "accounts", "policy", "sources", "erp", "reconciliations")
OPTIONAL_FILES = ("posting",)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def files_of(folder: Path) -> tuple[str, ...]:
    """Names of the config files of a folder: those that every company has, and the optional ones that are there."""
    return FILES + tuple(name for name in OPTIONAL_FILES if (folder / f"{name}.yaml").exists())


class Reference(_Frozen):
    """`env:NAME` or `file:PATH`: where a value is kept. `resolve()` reads it; repr never shows it."""

    text: str

    def resolve(self) -> str:
        """The value. Raises ConfigError naming the variable or file that is missing."""
        kind, _, name = self.text.partition(":")
        if kind == "env":
            value = os.environ.get(name)
            if not value:
                raise ConfigError(f"environment variable {name} is not set; the company config refers to it.")
            return value
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"secret file {path} does not exist; the company config refers to it.")
        return path.read_text(encoding="utf-8").strip()


def _reference(value: Any) -> Any:
    if isinstance(value, str):
        if not re.fullmatch(r"(env:[A-Z][A-Z0-9_]*|file:/.+)", value):
            raise ValueError("must be a reference, env:NAME or file:/absolute/path, never the value itself")
        return Reference(text=value)
    return value


class Entity(_Frozen):
    """One legal entity. `erp_company` is the company's name in the ERP.

    `calendar` and, for one of weeks, `fiscal_year` (docs/policy.md) say how days fall into periods.
    """

    id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")
    name: str
    functional_currency: str = Field(pattern=r"^[A-Z]{3}$")
    time_zone: str
    calendar: str = "month"
    fiscal_year: dict[str, Any] | None = None
    erp_company: str
    # Who recognises revenue over time: our schedules, or the ERP's own, which are then only compared.
    schedules_owner: Literal["platform", "erp"] = "platform"

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is not an IANA time zone, such as Europe/Berlin")
        return value

    @model_validator(mode="after")
    def _known_calendar(self) -> Entity:
        calendar(self.calendar, self.fiscal_year)
        return self

    @property
    def periods(self) -> Calendar:
        return calendar(self.calendar, self.fiscal_year)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


class Account(_Frozen):
    """General-ledger account of a role; a row with `product_family` is more specific than one without."""

    role: str
    code: str
    name: str
    type: Literal["asset", "liability", "equity", "revenue", "expense"]
    product_family: str | None = None
    entity: str | None = None


class PolicyRow(_Frozen):
    entity: str
    product_family: str | None = None
    currency: str | None = None
    set: dict[str, Any]

    @field_validator("set")
    @classmethod
    def _known_keys(cls, value: dict[str, Any]) -> dict[str, Any]:
        for key, setting in value.items():
            if key not in policy.KEYS:
                close = difflib.get_close_matches(key, policy.KEYS, 1)
                raise ValueError(f"unknown policy key {key!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
            wrong = policy.problem(key, setting)
            if wrong:
                raise ValueError(wrong)
        return value


class SourceInstance(_Frozen):
    """One connected system: a vendor, the legal entity it serves (None: several), where it is and its keys."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")
    vendor: Literal["salesforce", "stripe", "avalara", "treasury", "cloudevents"]
    entity: str | None = None
    base_url: Reference | None = None
    credentials: dict[str, Reference] = {}
    options: dict[str, Any] = {}

    _ref = field_validator("base_url", mode="before")(_reference)

    @field_validator("credentials", mode="before")
    @classmethod
    def _refs(cls, value: Any) -> Any:
        return {k: _reference(v) for k, v in value.items()} if isinstance(value, dict) else value


class Erp(_Frozen):
    """The ERP that journals are posted to, and how hard it may be asked."""

    vendor: Literal["tryton", "netsuite", "generic_rest", "generic_csv"]
    base_url: Reference
    database: Reference | None = None
    credentials: dict[str, Reference] = {}
    options: dict[str, Any] = {}
    limits: ErpLimits = ErpLimits()

    _ref = field_validator("base_url", "database", mode="before")(_reference)

    @field_validator("credentials", mode="before")
    @classmethod
    def _refs(cls, value: Any) -> Any:
        return {k: _reference(v) for k, v in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _fits_the_vendor(self) -> Erp:
        problems = erp_problems(self.vendor, self.credentials, self.options)
        if (self.vendor == "tryton") is (self.database is None):
            problems.append("database is missing" if self.database is None else f"{self.vendor} has no `database`")
        if problems:
            raise ValueError("; ".join(problems))
        return self


class Reconciliation(_Frozen):
    """Owner, tolerance and threshold of one reconciliation; amounts in minor units."""

    id: str = Field(pattern=r"^R(1[0-7]|[1-9])$")
    name: str
    area: str
    owner: str
    source_label: str
    target_label: str
    tolerance_absolute: int = Field(default=0, ge=0)
    tolerance_share: str = "0"
    tolerance_days: int = Field(default=0, ge=0)
    materiality_floor: int = Field(default=0, ge=0)
    gates_close: bool = True


class Company(_Frozen):
    """The whole configuration. `content_hash` names it on every journal line."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    name: str
    group_currency: str = Field(pattern=r"^[A-Z]{3}$")
    launcher: str | None = None
    entities: list[Entity]
    accounts: list[Account]
    policy: list[PolicyRow]
    sources: list[SourceInstance]
    erp: Erp
    reconciliations: list[Reconciliation]
    class_owners: dict[str, str] = {}
    approvals: Approvals = Approvals()
    posting: list[PostingRow] = []
    items: list[ItemRow] = []
    customers: list[CustomerValues] = []
    dimensions: list[DimensionRow] = []

    @model_validator(mode="after")
    def _references_exist(self) -> Company:
        ids = [e.id for e in self.entities]
        _unique("entities", ids)
        _unique("sources", [s.name for s in self.sources])
        _unique("reconciliations", [r.id for r in self.reconciliations])
        _unique("accounts", [f"{a.entity}/{a.role}/{a.product_family}" for a in self.accounts])
        named = [("policy", p.entity) for p in self.policy] + [("sources", s.entity) for s in self.sources]
        named += [(name, row.entity) for name in ("posting", "items", "dimensions") for row in getattr(self, name)]
        for where, entity in named + [("accounts", a.entity) for a in self.accounts]:
            if entity is not None and entity not in ids:
                raise ValueError(f"{where}: entity {entity!r} is not in entities.yaml ({', '.join(ids)})")
        for variance_class in self.class_owners:
            if variance_class not in VARIANCE_CLASSES:
                raise ValueError(
                    f"class_owners: unknown class {variance_class!r}; known: {', '.join(VARIANCE_CLASSES)}"
                )
        for source in self.sources:
            if source.vendor == "stripe" and source.entity is None:
                raise ValueError(f"sources: {source.name}: a billing account needs the `entity` it bills for")
        return self

    @cached_property
    def rules(self) -> str:
        """What decides figures and documents, as canonical JSON: entities, accounts, policy, tolerances, what is posted
        how. Not addresses or keys."""
        rules = self.model_dump(include={"id", "entities", "accounts", "policy", "reconciliations", "class_owners"})
        rules |= {name: found for name, found in self.model_dump(include=set(POSTING), by_alias=True).items() if found}
        for entity in rules["entities"]:  # what is not set does not change the hash of those who never heard of it
            if entity["fiscal_year"] is None:
                del entity["fiscal_year"]
            if entity["schedules_owner"] == "platform":
                del entity["schedules_owner"]
        return json.dumps(rules, sort_keys=True)

    @cached_property
    def content_hash(self) -> str:
        """Hash of `rules`."""
        return hashlib.sha256(self.rules.encode()).hexdigest()

    def entity(self, entity_id: str) -> Entity:
        return next(e for e in self.entities if e.id == entity_id)

    def sources_of(self, vendor: str) -> list[SourceInstance]:
        return [s for s in self.sources if s.vendor == vendor]


def _unique(where: str, values: list[str]) -> None:
    doubles = sorted({v for v in values if values.count(v) > 1})
    if doubles:
        raise ValueError(f"{where}: {', '.join(doubles)} appear more than once; keep one of each")


def load_company(folder: Path) -> Company:
    """Reads and validates a config folder. Raises ConfigError with one line per problem: file, line, field, fix."""
    from revenue_assets.domain.config_check import check_config
    from revenue_assets.domain.config_rules import STRUCTURE

    if not folder.is_dir():
        raise ConfigError(f"REVENUE_CONFIG points to {folder}, which is not a folder.")
    problems = [str(f) for f in check_config(folder) if f.kind == STRUCTURE]
    if problems:
        raise ConfigError("\n".join(problems))
    merged: dict[str, Any] = {}
    for name in files_of(folder):
        merged.update(read_yaml(folder / f"{name}.yaml"))
    return Company.model_validate(merged)
