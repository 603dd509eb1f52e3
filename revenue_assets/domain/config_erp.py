"""What an ERP's `options` and `credentials` may hold, checked when the configuration is loaded and not at month end."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from revenue_assets.domain.config_erp_generic import DropOptions, GenericOptions

# Sets of credentials of which one must be given.
CREDENTIALS: dict[str, tuple[tuple[str, ...], ...]] = {
    "tryton": (("user", "password"),),
    "netsuite": (("client_id", "certificate_id", "private_key"),),
    "generic_rest": (("token",), ("user", "password")),
    "generic_csv": ((),),
}


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Dimension(_Options):
    """Where one of our dimensions goes on a journal line, and how its values become internal ids.

    field: name of the line field over REST: department, class, location, or `cseg_...` / `custcol_...`.
    table: SuiteQL table that lists the values; known for the three standard fields.
    values: our value -> internal id; without it a value is looked up by name in `table`.
    """

    field: str = Field(pattern=r"^(department|class|location|cseg_[a-z0-9_]+|custcol_[a-z0-9_]+)$")
    table: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]*$")
    values: dict[str, str] = {}

    @model_validator(mode="after")
    def _resolvable(self) -> Dimension:
        if self.field not in ("department", "class", "location") and not self.values and self.table is None:
            raise ValueError(f"{self.field} needs `table` (its SuiteQL table) or `values` (our value: internal id)")
        return self


class ForeignFields(_Options):
    """Two custom journal line fields: transaction currency (free text) and amount in it (free text)."""

    currency: str = Field(pattern=r"^custcol_[a-z0-9_]+$")
    amount: str = Field(pattern=r"^custcol_[a-z0-9_]+$")


class TrytonOptions(_Options):
    """Options of a Tryton; docs/erp-tryton.md explains each.

    journal, invoice_journal, cash_journal: codes of the journals that ours go into, by what they are.
    sundry_customer: code of the customer that summarised lines name where every line must name one.
    item_category: product category of items that posting makes.
    settle_seconds: after an unknown outcome, until a look-up is final. batch_size_max: documents in one call.
    masters_seconds: how long accounts, periods, customers and items are kept; a refusal is never built on kept ones.
    """

    journal: str = Field(default="REV", min_length=1)
    invoice_journal: str = Field(default="REVI", min_length=1)
    cash_journal: str = Field(default="REVC", min_length=1)
    sundry_customer: str | None = Field(default=None, min_length=1)
    item_category: str = Field(default="Subscriptions", min_length=1)
    settle_seconds: int = Field(default=75, ge=0)
    batch_size_max: int = Field(default=50, ge=1, le=500)
    masters_seconds: int = Field(default=60, ge=0, le=3600)


# Fields of NetSuite records that posting sets itself: `fields` may not set them too.
_OWN_FIELDS: dict[str, frozenset[str]] = {
    "customer": frozenset({"externalId", "entityId", "companyName", "isPerson", "subsidiary"}),
    "item": frozenset({"externalId", "itemId", "displayName", "incomeAccount", "subsidiary"}),
    "invoice": frozenset({
        "externalId", "tranDate", "dueDate", "memo", "subsidiary", "currency", "exchangeRate", "postingPeriod",
        "entity", "account", "item", "approvalStatus",
    }),
    "creditMemo": frozenset({
        "externalId", "tranDate", "memo", "subsidiary", "currency", "exchangeRate", "postingPeriod", "entity",
        "account", "item", "apply",
    }),
    "customerPayment": frozenset({
        "externalId", "tranDate", "memo", "subsidiary", "currency", "exchangeRate", "postingPeriod", "customer",
        "account", "arAcct", "payment", "apply", "autoApply",
    }),
}  # fmt: skip
NetSuiteRecord = Literal["customer", "item", "invoice", "creditMemo", "customerPayment"]


class NetSuiteDetails(_Options):
    """How invoices, credit notes and payments become NetSuite's own; without it the adapter posts journals only.

    number_field: body field that carries our number of an invoice or credit note. item_record: record type of items
    that posting makes. payments_of_many_accounts: what becomes of a payment that moves more than one account besides
    the receivable, as one with a fee: nothing (it is refused), or a credit memo. fields: constant fields of each
    record that this account asks for (form, payment option, tax schedule, location); never ours.
    """

    number_field: str = Field(default="otherRefNum", pattern=r"^(otherRefNum|tranId|custbody_[a-z0-9_]+)$")
    item_record: Literal["serviceSaleItem", "nonInventorySaleItem", "otherChargeSaleItem"] = "nonInventorySaleItem"
    payments_of_many_accounts: Literal["refuse", "credit_memo"] = "refuse"
    fields: dict[NetSuiteRecord, dict[str, str | bool | int | dict[str, str]]] = {}

    @model_validator(mode="after")
    def _only_theirs(self) -> NetSuiteDetails:
        for record, values in self.fields.items():
            own = sorted(set(values) & (_OWN_FIELDS[record] | {self.number_field}))
            if own:
                raise ValueError(f"fields of {record} may not set {', '.join(own)}: posting sets it")
        if self.payments_of_many_accounts == "credit_memo" and self.number_field == "tranId":
            # NetSuite numbers each record by itself, and a payment has no number of ours.
            raise ValueError(
                "payments as credit memos need another number_field than tranId to be told from credit notes"
            )
        return self

    @property
    def number_column(self) -> str:
        """SuiteQL column of `number_field`."""
        return self.number_field.lower()


class NetSuiteOptions(_Options):
    """Options of a NetSuite account. docs/erp-netsuite.md explains each.

    account: account id as NetSuite shows it, `1234567` or `1234567_SB1`; must fit the host of base_url.
    subsidiaries: company name of entities.yaml -> internal id; others are found by their name.
    create_as: what a new journal's approval is set to; `default` leaves it to the account.
    foreign_currency: how lines in another currency than the company's are posted.
    details: switches invoices, credit notes and payments on.
    batch_size_max: documents whose intents are committed together and looked up together; each is a request of its own.
    seconds: settle_seconds until a look-up is final, read_seconds / write_seconds of one request at most.
    """

    account: str = Field(pattern=r"^[A-Za-z0-9]+([_-][A-Za-z0-9]+)?$")
    algorithm: Literal["PS256", "PS384", "PS512", "ES256", "ES384", "ES512"] = "PS256"
    mode: Literal["sync", "async"] = "sync"
    subsidiaries: dict[str, str] = {}
    create_as: Literal["default", "pending", "approved"] = "default"
    approval_field: Literal["approvalStatus", "approved"] = "approvalStatus"
    foreign_currency: Literal["functional", "native"] = "functional"
    foreign_fields: ForeignFields | None = None
    dimensions: dict[str, Dimension] = {}
    reversal_field: str | None = Field(default=None, pattern=r"^custbody_[a-z0-9_]+$")
    accounting_book: str | None = Field(default=None, pattern=r"^[0-9]+$")
    details: NetSuiteDetails | None = None
    batch_size_max: int = Field(default=10, ge=1, le=100)
    settle_seconds: int = Field(default=930, ge=0)
    read_seconds: int = Field(default=120, gt=0)
    write_seconds: int = Field(default=300, gt=0, le=900)
    masters_seconds: int = Field(default=300, ge=0)

    @field_validator("subsidiaries")
    @classmethod
    def _internal_ids(cls, value: dict[str, str]) -> dict[str, str]:
        for company, number in value.items():
            if not number.isdigit():
                raise ValueError(f"the internal id of {company!r} must be digits in quotes")
        return value

    @property
    def host(self) -> str:
        """Host of the account's REST services at the vendor."""
        return f"{self.account.lower().replace('_', '-')}.suitetalk.api.netsuite.com"


def erp_problems(vendor: str, credentials: Iterable[str], options: Mapping[str, Any]) -> list[str]:
    """Sentences on what is wrong with an ERP's credentials and options; values are never repeated."""
    given = list(credentials)
    # The set that is meant is the one of which most is there.
    known = max(CREDENTIALS[vendor], key=lambda names: len(set(names) & set(given)))
    found = [f"credentials need {name!r}" for name in known if name not in given]
    found += [
        f"credentials: {name!r} is not used by {vendor}{_hint(name, known)}" for name in given if name not in known
    ]
    model = OPTIONS.get(vendor)
    if model is None:
        return found
    try:
        model.model_validate(options)
    except ValidationError as error:
        found += [_sentence(e, model) for e in error.errors(include_url=False, include_input=False)]
    return found


OPTIONS: dict[str, type[BaseModel]] = {
    "tryton": TrytonOptions,
    "netsuite": NetSuiteOptions,
    "generic_rest": GenericOptions,
    "generic_csv": DropOptions,
}


def _hint(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _sentence(error: Any, model: type[BaseModel]) -> str:
    place = ".".join(str(part) for part in error["loc"])
    name = f"options.{place}" if place else "options"
    match error["type"]:
        case "missing":
            return f"{name} is missing"
        case "extra_forbidden":
            return f"{name} is not known{_hint(str(error['loc'][-1]), model.model_fields)}"
        case "literal_error":
            return f"{name} must be one of {error['ctx']['expected']}"
        case "string_pattern_mismatch":
            return f"{name} must match {error['ctx']['pattern']}"
        case "value_error":
            return f"{name}: {error['msg'].removeprefix('Value error, ')}"
        case _:
            return f"{name}: {re.sub('^Input ', '', error['msg'])}"
