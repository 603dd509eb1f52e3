"""Company config as small Parquet files under `state/`, so that SQL reads policy as data.

Written whole and swapped by rename: a reader sees the old or the new config, never half. What comes from the
operational store (periods, batches, exceptions) is written by `revenue_assets.store.export`, in the same folder.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from revenue_assets.domain.calendars import MONTH, Calendar, calendar
from revenue_assets.domain.config import VARIANCE_CLASSES, Company
from revenue_assets.domain.config_posting import POSTING

ENTITY_COLUMNS = (
    "entity_id", "name", "functional_currency", "time_zone", "calendar", "fiscal_year", "erp_company",
)  # fmt: skip
# The ERP read back is a source of that name.
READ_BACK = "erp"
# ISO 4217 minor-unit exponents that are not 2.
EXPONENTS = {c: 0 for c in ("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF").split()} | {
    c: 3 for c in ("BHD IQD JOD KWD LYD OMR TND").split()
}
TWO_DIGIT_CURRENCIES = (
    "AED ALL AMD ARS AUD AZN BAM BDT BGN BOB BRL BSD BWP BYN BZD CAD CHF CNY COP CRC CZK DKK DOP DZD EGP EUR FJD GBP "
    "GEL GHS GTQ HKD HNL HUF IDR ILS INR JMD KES KGS KHR KZT LAK LBP LKR MAD MDL MKD MMK MNT MOP MUR MXN MYR MZN NAD "
    "NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN PYG QAR RON RSD SAR SCR SEK SGD THB TRY TTD TWD TZS UAH USD UYU UZS "
    "YER ZAR ZMW"
).split()


def currency_exponents() -> dict[str, int]:
    """ISO 4217 code -> number of minor-unit digits."""
    return {code: 2 for code in TWO_DIGIT_CURRENCIES} | EXPONENTS


def write_parquet(path: Path, schema: pa.Schema, rows: list[dict[str, object]]) -> None:
    """Writes `rows` beside `path` and swaps it in, so that no reader meets half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), beside)
    os.replace(beside, path)


def write_config_state(company: Company, folder: Path) -> None:
    """Writes entities, policy, accounts, posting_policy, recon_policy, class_owner, sources and currencies (columns:
    see each schema).

    A source that serves several entities is answered for by the company's first (`lead_entity_id`).
    """
    text, whole, flag = pa.string(), pa.int64(), pa.bool_()

    def write(name: str, columns: dict[str, pa.DataType], rows: list[dict[str, object]]) -> None:
        write_parquet(folder / f"{name}.parquet", pa.schema(list(columns.items())), rows)

    write(
        "entities",
        dict.fromkeys(ENTITY_COLUMNS, text),
        [
            {
                "entity_id": e.id,
                **e.model_dump(exclude={"id"}),
                "fiscal_year": json.dumps(e.fiscal_year, sort_keys=True) if e.fiscal_year else None,
            }
            for e in company.entities
        ],
    )
    write(
        "policy",
        dict.fromkeys(("entity_id", "product_family", "currency", "key", "value", "policy_hash"), text),
        _policy_rows(company),
    )
    write(
        "accounts",
        dict.fromkeys(("entity_id", "account_role", "product_family", "account_code", "account_name"), text),
        [
            {
                "entity_id": entity.id,
                "account_role": a.role,
                "product_family": a.product_family,
                "account_code": a.code,
                "account_name": a.name,
            }
            for entity in company.entities
            for a in accounts_of(company, entity.id)
        ],
    )
    write(
        "posting_policy",
        {"section": text, "row": text},
        [
            {"section": name, "row": json.dumps(row, sort_keys=True)}
            for name, rows in company.model_dump(include=set(POSTING), by_alias=True).items()
            for row in rows
        ],
    )
    write(
        "recon_policy",
        {
            "recon_id": text, "name": text, "area": text, "owner_team": text, "tolerance_absolute": whole,
            "tolerance_share": text, "tolerance_days": whole, "materiality_floor": whole, "source_label": text,
            "target_label": text, "gates_close": flag,
        },
        [
            {"recon_id": r.id, "owner_team": r.owner, **r.model_dump(exclude={"id", "owner"})}
            for r in company.reconciliations
        ],
    )  # fmt: skip
    write(
        "class_owner",
        {"variance_class": text, "owner_team": text},
        [
            {"variance_class": c, "owner_team": company.class_owners[c]}
            for c in VARIANCE_CLASSES
            if c in company.class_owners
        ],
    )  # fmt: skip
    lead = company.entities[0].id
    served: list[dict[str, object]] = [
        {"source": name, "vendor": vendor, "role": role, "entity_id": entity or lead, "lead_entity_id": lead}
        for name, vendor, role, entity in [
            *((s.name, s.vendor, "source", s.entity) for s in company.sources),
            (READ_BACK, company.erp.vendor, "read_back", None),
        ]
    ]
    write(
        "sources",
        dict.fromkeys(("source", "vendor", "role", "entity_id", "lead_entity_id"), text),
        served,
    )
    write(
        "currencies",
        {"currency": text, "exponent": pa.int32()},
        [{"currency": code, "exponent": digits} for code, digits in sorted(currency_exponents().items())],
    )


def calendars(folder: Path) -> dict[str, Calendar]:
    """Entity -> its calendar, from the snapshot of the config in `folder`; empty if there is none yet."""
    file = folder / "entities.parquet"
    if not file.exists():
        return {}
    return {
        row["entity_id"]: calendar(row["calendar"] or MONTH, json.loads(row.get("fiscal_year") or "null"))
        for row in pq.read_table(file).to_pylist()
    }


def _policy_rows(company: Company) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [
        {
            "entity_id": row.entity,
            "product_family": row.product_family,
            "currency": row.currency,
            "key": key,
            "value": value if isinstance(value, str) else json.dumps(value, sort_keys=True),
            "policy_hash": company.content_hash,
        }
        for row in company.policy
        for key, value in row.set.items()
    ]
    # An entity's own key among those of its policy: SQL reads it there, and no company is without a policy_hash.
    same: dict[str, object] = {"key": "schedules_owner", "policy_hash": company.content_hash}
    return rows + [{"entity_id": e.id, "value": e.schedules_owner, **same} for e in company.entities]


def accounts_of(company: Company, entity_id: str) -> list:
    """The entity's chart: its own rows where it has one for the (role, family), the common rows otherwise."""
    own = {(a.role, a.product_family) for a in company.accounts if a.entity == entity_id}
    return [
        a
        for a in company.accounts
        if a.entity == entity_id or (a.entity is None and (a.role, a.product_family) not in own)
    ]
