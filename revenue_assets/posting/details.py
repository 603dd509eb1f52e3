"""Entries that policy posts as documents of their own (posting_kind detail): invoice, credit note, cash application.

What an entry becomes is read off its lines: an ERP document needs a receivable of one customer on one account in one
currency. Whatever has none (a prepaid sale, a direct charge, the reversal of a payment) is a journal of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import duckdb

from revenue_assets.close.exceptions import has_tables

INVOICES, CUSTOMERS = "canonical.can_invoices", "canonical.can_customers"


def masters(connection: duckdb.DuckDBPyConnection, warehouse: Path | None) -> None:
    """Temporary tables `invoice_fact` and `customer_fact` from the warehouse; empty if it is not there or too old.

    The file is opened read-only and let go at once, since a build must be able to write it.
    """
    found: dict[str, list[tuple[Any, ...]]] = {INVOICES: [], CUSTOMERS: []}
    if warehouse is not None and warehouse.exists():
        with duckdb.connect(str(warehouse), read_only=True) as source:
            for table, query in _FACTS.items():
                if has_tables(source, table):
                    found[table] = source.execute(query).fetchall()
    for name, table in (("invoice_fact", INVOICES), ("customer_fact", CUSTOMERS)):
        connection.execute(f"create or replace temp table {name} ({_COLUMNS[table]})")
        rows = found[table]
        if rows:
            marks = ", ".join("?" for _ in rows[0])
            connection.executemany(f"insert into {name} values ({marks})", rows)


_COLUMNS = {
    INVOICES: "entity_id varchar, invoice_id varchar, number varchar, due_date date",
    CUSTOMERS: "customer_id varchar, name varchar, country varchar",
}
_FACTS = {
    INVOICES: f"""
        select entity_id, invoice_id, min(coalesce(number, invoice_id)), min(due_date) from {INVOICES} group by all
    """,
    CUSTOMERS: f"select customer_id, min(name), min(country) from {CUSTOMERS} group by all",
}


def choose(
    connection: duckdb.DuckDBPyConnection, items: Iterable[Mapping[str, Any]], invoiced: Iterable[tuple[str, str]]
) -> None:
    """Temporary tables `detail` (entry -> its document) and `application`; marks items on the lines of `coded`.

    `invoiced`: (entity, reference) of every invoice that was cut as a document of its own, in order: only those can be
    credited or paid as such. Needs `masters`.
    """
    connection.execute("create or replace temp table item (entity_id varchar, product_family varchar, item varchar)")
    for row in items:
        connection.execute("insert into item values (?, ?, ?)", [row.get("entity"), row["product_family"], row["item"]])
    latest: dict[tuple[str, str], tuple[str, int]] = {}
    for entity, reference in invoiced:
        number = _AGAIN.sub("", reference)
        latest[entity, number] = (reference, latest.get((entity, number), ("", 0))[1] + 1)
    connection.execute(
        "create or replace temp table invoiced (entity_id varchar, number varchar, reference varchar, times integer)"
    )
    if latest:
        connection.executemany("insert into invoiced values (?, ?, ?, ?)", [(*k, *v) for k, v in latest.items()])
    for statement in (CANDIDATE, INVOICED_NOW, APPLICATION, DETAIL, ITEMS):
        connection.execute(statement)


# An invoice that was corrected is billed anew as `INV-7 (2)`; its first is credited by `INV-7 R1`.
_AGAIN = re.compile(r" \([0-9]+\)$")
NO_DETAILS = "create or replace temp table detail (entry_id varchar, kind varchar)"
HAS_DETAILS = """
select count(*) from settled where posting_kind = 'detail' and entry_id in (select entry_id from uncut)
"""
# grain: one entry to be posted by itself, with the document that its receivable makes of it.
CANDIDATE = """
create or replace temp table candidate as
with receivable as (
    select
        entry_id, sum(amount_tc)::bigint as opened, min(customer_id) as customer_id, min(currency) as currency,
        count(distinct currency) = 1 and count(distinct account_code) = 1
        and count(distinct customer_id) = 1 and bool_and(customer_id is not null) as is_one
    from coded where account_role = 'accounts_receivable' group by entry_id
),
entries as (
    select
        c.entry_id, any_value(c.entity_id) as entity_id, any_value(c.sign) as sign,
        any_value(c.generation) as generation, any_value(s.event_class) as event_class,
        min(c.posting_date) as document_date,
        coalesce(
            min(c.document_id) filter (where c.document_type = case s.event_class
                when 'invoice.posted' then 'invoice' when 'credit_note.issued' then 'credit_note' else 'payment' end),
            min(c.document_id)
        ) as document_id
    from coded as c
    inner join settled as s on c.entry_id = s.entry_id
    where s.posting_kind = 'detail'
    group by c.entry_id
)
select
    e.*, r.opened, r.customer_id, r.currency, f.due_date, coalesce(f.number, e.document_id) as number,
    coalesce(i.times, 0) + row_number() over (
        partition by e.entity_id, coalesce(f.number, e.document_id), e.sign order by e.generation, e.entry_id
    ) as issue_no,
    coalesce(f.number, e.document_id) || case
        when e.event_class <> 'invoice.posted' then ''
        when e.sign < 0 then ' R' || (issue_no - 1)
        when issue_no > 1 then ' (' || issue_no || ')'
        else ''
    end as reference,
    case
        when not coalesce(r.is_one, false) or r.opened = 0 then 'journal'
        when e.event_class = 'invoice.posted' then if(r.opened > 0, 'invoice', 'credit_note')
        when r.opened > 0 then 'journal'
        when e.event_class = 'credit_note.issued' then 'credit_note'
        else 'cash_application'
    end as kind
from entries as e
left join receivable as r on e.entry_id = r.entry_id
left join invoice_fact as f
    on e.event_class = 'invoice.posted' and e.entity_id = f.entity_id and e.document_id = f.invoice_id
left join invoiced as i on e.entity_id = i.entity_id and coalesce(f.number, e.document_id) = i.number
"""
# grain: invoice number, with the reference under which the ERP has it before this cut and after it.
INVOICED_NOW = """
create or replace temp table standing as
with now as (
    select entity_id, number, arg_max(reference, issue_no) as reference
    from candidate where kind = 'invoice' and sign = 1
    group by entity_id, number
)
select entity_id, number, i.reference as before, coalesce(now.reference, i.reference) as after
from invoiced as i
full outer join now using (entity_id, number)
"""
# grain: one invoice that a credit note or payment settles, by the receivable lines that name it.
APPLICATION = """
create or replace temp table application as
select
    c.entry_id, c.currency, -sum(c.amount_tc)::bigint as amount_tc,
    if(d.event_class = 'invoice.posted', s.before, s.after) as reference
from coded as c
inner join candidate as d on c.entry_id = d.entry_id and d.kind in ('credit_note', 'cash_application')
left join invoice_fact as f on c.entity_id = f.entity_id and c.document_id = f.invoice_id
left join standing as s on c.entity_id = s.entity_id and coalesce(f.number, c.document_id) = s.number
where c.account_role = 'accounts_receivable' and c.document_type = 'invoice'
group by c.entry_id, c.currency, coalesce(f.number, c.document_id), d.event_class, s.before, s.after
having sum(c.amount_tc) < 0
"""
# What settles an invoice that the ERP has only within a summary cannot be applied there: a journal.
DETAIL = """
create or replace temp table detail as
select
    d.* replace (
        if(d.kind <> 'invoice' and d.entry_id in (select entry_id from application where reference is null),
            'journal', d.kind) as kind
    ),
    coalesce(f.name, d.customer_id) as customer_name
from candidate as d
left join customer_fact as f using (customer_id)
"""
# On an invoice or credit note these are owed, owed on or settled with; everything else was sold.
_NOT_SOLD = """(
    'accounts_receivable', 'tax_liability', 'customer_balance', 'external_customer_balance', 'unapplied_cash',
    'refund_liability', 'currency_exchange', 'fx_gain', 'fx_loss', 'payment_difference'
)"""
# Lines of what was sold carry the ERP's item; every line keeps to its source line, as the customer's document shows it.
ITEMS = f"""
create or replace temp table coded as
with sold as (
    select
        c.booked_line_id, d.kind <> 'cash_application' and c.product_family is not null
        and c.account_role not in {_NOT_SOLD} as is_sale,
        if(c.account_role = 'accounts_receivable', c.document_id, c.document_line_id) as source_line,
        coalesce(own.item, general.item) as item
    from coded as c
    inner join detail as d on c.entry_id = d.entry_id and d.kind <> 'journal'
    left join item as own on c.entity_id = own.entity_id and c.product_family = own.product_family
    left join item as general on general.entity_id is null and c.product_family = general.product_family
)
select
    c.* replace (
        case when s.is_sale then s.item end as item, s.source_line as source_line,
        coalesce(s.is_sale and s.item is null, false) as is_item_missing
    )
from coded as c
left join sold as s using (booked_line_id)
"""
DOCUMENTS = """
select
    entry_id, kind, document_date, customer_id, customer_name, reference,
    if(kind = 'invoice', due_date, null) as due_date
from detail
"""
APPLICATIONS = "select entry_id, reference, amount_tc, currency from application order by all"
