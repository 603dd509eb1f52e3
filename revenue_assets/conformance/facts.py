"""What the build says, per section of a case: rows of selecting columns and figures, read from the warehouse.

Figures are integers in minor units with the currency that gives their exponent; nothing is rounded or converted here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import duckdb

from revenue_assets.conformance.cases import Case


@dataclass(frozen=True)
class Section:
    """How one section is read: `keys` select, `money` maps a figure to the key that holds its currency
    (`functional` = the entity's functional currency), `counts` are plain integers. `span` is the key that bounds
    completeness in time."""

    name: str
    sql: str
    keys: tuple[str, ...]
    money: dict[str, str]
    counts: tuple[str, ...] = ()
    span: str | None = None


SECTIONS: dict[str, Section] = {
    "activity": Section(
        "activity",
        """select entity_id as entity, period, account_role, currency, prior_period,
                  cast(sum(amount_tc) as bigint) as amount_tc, cast(sum(amount_fc) as bigint) as amount_fc
           from subledger.journal_lines where list_contains($entities, entity_id) group by all""",
        ("entity", "period", "account_role", "currency", "prior_period"),
        {"amount_tc": "currency", "amount_fc": "functional"},
        span="period",
    ),
    "balances": Section(
        "balances",
        """select entity_id as entity, cast(day as varchar) as as_of, account_role, currency,
                  cast(sum(amount_tc) as bigint) as amount_tc, cast(sum(amount_fc) as bigint) as amount_fc
           from subledger.journal_lines
           inner join (select unnest($days)::date as day) as days on accounting_date <= day
           where list_contains($entities, entity_id) group by all""",
        ("entity", "as_of", "account_role", "currency"),
        {"amount_tc": "currency", "amount_fc": "functional"},
        span="as_of",
    ),
    "schedule": Section(
        "schedule",
        """select entity_id as entity, document_id as document, document_line_id as line, contract_id as contract,
                  contract_line_id as contract_line, period, currency,
                  cast(sum(amount) as bigint) as amount, cast(sum(amount_fc) as bigint) as amount_fc
           from subledger.revenue_schedule where list_contains($entities, entity_id) group by all""",
        ("entity", "document", "line", "contract", "period"),
        {"amount": "currency", "amount_fc": "functional"},
        span="period",
    ),
    "rollforward": Section(
        "rollforward",
        """select entity_id as entity, period, name, currency,
                  opening, added, recognised, released, fx, prior_period, closing
           from subledger.rollforwards where list_contains($entities, entity_id)""",
        ("entity", "period", "name", "currency"),
        dict.fromkeys(("opening", "added", "recognised", "released", "fx", "prior_period", "closing"), "currency"),
        span="period",
    ),
    "exceptions": Section(
        "exceptions",
        """select entity_id as entity, class, subject, cast(count(*) as bigint) as count
           from (select entity_id, class, subject from subledger.posting_exceptions
                 union all select entity_id, class, subject from canonical.event_exceptions) as listed
           where list_contains($entities, entity_id) group by all""",
        ("entity", "class", "subject"),
        {},
        counts=("count",),
    ),
    "allocation": Section(
        "allocation",
        """select entity_id as entity, contract_id as contract, line_id as line, cast(day as varchar) as as_of,
                  currency,
                  cast(arg_max(allocated_amount, version_no) as bigint) as amount
           from subledger.obligation_prices
           inner join (select unnest($days)::date as day) as days on valid_from <= day
           where list_contains($entities, entity_id) group by all""",
        ("entity", "contract", "line", "as_of"),
        {"amount": "currency"},
    ),
    "expected_charges": Section(
        "expected_charges",
        """select entity_id as entity, item_id as item, kind, cast(service_start as varchar) as service_start,
                  cast(service_end as varchar) as service_end, currency,
                  cast(sum(amount) as bigint) as amount, cast(sum(tax) as bigint) as tax
           from subledger.expected_charges where list_contains($entities, entity_id) group by all""",
        ("entity", "item", "kind", "service_start", "service_end"),
        {"amount": "currency", "tax": "currency"},
    ),
    "postings": Section(
        "postings",
        """select entity_id as entity, period, account_role, currency, event_class, debit, credit, member_count as count
           from subledger.posting_summaries where list_contains($entities, entity_id)""",
        ("entity", "period", "account_role", "currency", "event_class"),
        {"debit": "currency", "credit": "currency"},
        counts=("count",),
        span="period",
    ),
    "reconciliation": Section(
        "reconciliation",
        """select statements.entity_id as entity, statements.recon_id as id, statements.period,
                  cast(last_day(cast(statements.period || '-01' as date)) as varchar) as as_of,
                  cast(coalesce(
                      reports.cut_offs[list_position(reports.currencies, statements.currency)],
                      list_max(reports.cut_offs)
                  ) as varchar) as cut_off, statements.currency,
                  statements.left_amount as "left", statements.right_amount as "right",
                  statements.matched_count as matched
           from reconciliation.rec_statements as statements
           left join (
               select entity_id, period, recon_id, list(currency) as currencies, list(cut_off) as cut_offs
               from (
                   select entity_id, strftime(accounting_date, '%Y-%m') as period, currency,
                          max(accounting_date) as cut_off,
                          case when system = 'processor' then 'R9'
                               when system = 'tax' or account_role = 'tax_liability' then 'R13'
                               when account_role = 'accounts_receivable' then 'R10'
                               when account_role = 'deferred_revenue' then 'R11'
                               when account_role = 'revenue' then 'R12' end as recon_id
                   from canonical.can_balances_reported group by all
               ) group by all
           ) as reports
               on statements.entity_id = reports.entity_id and statements.period = reports.period
               and statements.recon_id = reports.recon_id
           where list_contains($entities, statements.entity_id)""",
        ("entity", "id", "period", "as_of", "currency"),
        {"left": "currency", "right": "currency"},
        counts=("matched",),
        span="period",
    ),
}
VARIANCES = """
    select entity_id as entity, recon_id as id, period, currency, variance_class,
           cast(sum(difference) as bigint) as amount
    from reconciliation.rec_items
    where variance_class is not null and list_contains($entities, entity_id) group by all
"""


class Warehouse:
    """Read-only view of one build, with the exponents that turn its integers into decimal text."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, cases: Iterable[Case], exponents: dict[str, int]):
        self._connection = connection
        self.exponents = exponents
        self.functional = {e["id"]: e["functional_currency"] for case in cases for e in case.entities}

    def rows(self, section: Section, entities: list[str], days: list[str]) -> list[dict[str, Any]]:
        """All rows of the section for these entities. Raises duckdb.CatalogException if the table is missing."""
        parameters: dict[str, Any] = {"entities": entities}
        if "$days" in section.sql:
            parameters["days"] = days
        return self._fetch(section.sql, parameters)

    def variances(self, entities: list[str]) -> list[dict[str, Any]]:
        """Classified variances of the reconciliations of these entities."""
        return self._fetch(VARIANCES, {"entities": entities})

    def _fetch(self, sql: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        cursor = self._connection.execute(sql, parameters)
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def exponent(self, currency: str) -> int:
        """Minor-unit digits of a currency; two where the table does not know it."""
        return self.exponents.get(currency, 2)
