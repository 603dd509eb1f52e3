"""The set-based half of planning: temporary tables in one DuckDB connection that has the warehouse open.

`part` -> `schedule` (one row per schedule with its whole content as JSON) -> `changed`. Every schedule of the entities
is hashed, none is read back one by one; only what changed leaves DuckDB.
"""

from __future__ import annotations

from pathlib import Path

# (entity, first posting period that is ours, None: all): whose schedules go to the ERP now.
OWNED = "create or replace temp table owned (entity_id varchar, live_from varchar)"
ITEMS = "create or replace temp table item (entity_id varchar, product_family varchar, item varchar)"
NO_NUMBERS = "create or replace temp table number (entity_id varchar, document_id varchar, number varchar)"
NUMBERS = """
-- grain: invoice with the number that people know it by
create or replace temp table number as
select entity_id, invoice_id as document_id, min(number) as number from canonical.can_invoices
where entity_id in (select entity_id from owned) and number is not null group by all
"""


def parts(booked: str) -> str:
    """`booked`: SQL to read the journal of record. What stands in our books already is not the ERP's to recognise."""
    return f"""
-- grain: schedule, service period and day
create or replace temp table part as
with standing as (
    select entity_id, document_type, document_id, document_line_id as line_id, service_period, accounting_date
    from {booked}
    where event_type = 'revenue.recognised' and entity_id in (select entity_id from owned)
    group by entity_id, document_type, document_id, document_line_id, service_period, accounting_date, entry_key,
        entry_hash
    having sum(sign) // count(distinct line_no) = 1
)
select p.*
from subledger.erp_schedule_parts as p
inner join owned as o on p.entity_id = o.entity_id and (o.live_from is null or p.period >= o.live_from)
anti join standing as s
    on p.entity_id = s.entity_id and p.document_type = s.document_type and p.document_id = s.document_id
    and p.line_id is not distinct from s.line_id and p.service_period = s.service_period
    and p.recognition_date = s.accounting_date
"""


def schedules(state: Path, tenant: str) -> list[str]:
    """Temporary tables `missing` (mappings that schedules lack) and `schedule`; both name accounts by role and family,
    as booked lines do. `tenant`: the company's id, part of each key."""
    folder = str(state).replace("'", "''")
    quoted = tenant.replace("'", "''")
    return [
        f"""
-- grain: account role and family that a schedule needs, with its account
create or replace temp table coded as
with needed as (
    select distinct entity_id, product_family, balance_role as account_role from part
    union
    select distinct entity_id, product_family, 'revenue' from part
    union
    select distinct entity_id, product_family, 'discounts' from part where discount_amount <> 0
),
accounts as (select * from read_parquet('{folder}/accounts.parquet'))
select n.*, coalesce(own.account_code, common.account_code) as account_code
from needed as n
left join accounts as own
    on n.entity_id = own.entity_id and n.account_role = own.account_role and n.product_family = own.product_family
left join accounts as common
    on n.entity_id = common.entity_id and n.account_role = common.account_role and common.product_family is null
""",
        f"""
-- grain: schedule that an account or the entity's ERP company is missing for
create or replace temp table schedule as
with entities as (select entity_id, erp_company from read_parquet('{folder}/entities.parquet')),
whole as (
    select
        entity_id, document_type, document_id, line_id, currency, functional_currency, product_family, customer_id,
        balance_role,
        sum(amount)::bigint as total_tc,
        sum(amount + discount_amount)::bigint as revenue_tc,
        bool_or(discount_amount <> 0) as has_discount,
        list({{
            'recognised_on': recognition_date, 'service_period': service_period, 'amount_tc': amount,
            'amount_fc': amount_fc, 'discount_tc': discount_amount, 'discount_fc': discount_fc
        }} order by recognition_date, service_period) as parts
    from part group by all
),
mapped as (
    select
        w.*, e.erp_company, balance.account_code as balance_account, revenue.account_code as revenue_account,
        discount.account_code as discount_account, coalesce(i.item, any_item.item, w.product_family) as item,
        coalesce(n.number, w.document_id) as reference
    from whole as w
    left join entities as e on w.entity_id = e.entity_id
    left join coded as balance
        on w.entity_id = balance.entity_id and w.product_family is not distinct from balance.product_family
        and w.balance_role = balance.account_role
    left join coded as revenue
        on w.entity_id = revenue.entity_id and w.product_family is not distinct from revenue.product_family
        and revenue.account_role = 'revenue'
    left join coded as discount
        on w.has_discount and w.entity_id = discount.entity_id
        and w.product_family is not distinct from discount.product_family and discount.account_role = 'discounts'
    left join item as i on w.entity_id = i.entity_id and w.product_family = i.product_family
    left join item as any_item on any_item.entity_id is null and w.product_family = any_item.product_family
    left join number as n
        on w.document_type = 'invoice' and w.entity_id = n.entity_id and w.document_id = n.document_id
)
select
    *,
    substr(sha256(to_json(['{quoted}', entity_id, document_type, document_id, line_id])::varchar), 1, 32)
        as schedule_key,
    erp_company is null or balance_account is null or revenue_account is null
        or (has_discount and discount_account is null) as is_held,
    to_json({{
        'reference': reference, 'document_type': document_type, 'document_id': document_id, 'line': line_id,
        'customer_id': customer_id, 'item': item, 'currency': currency, 'functional_currency': functional_currency,
        'balance_account': balance_account, 'revenue_account': revenue_account, 'discount_account': discount_account,
        'parts': parts
    }})::varchar as document_json
from mapped
""",
    ]


MISSING = """
select entity_id, account_role, product_family from coded where account_code is null
union all
select distinct entity_id, null, null from schedule where erp_company is null
order by all
"""
HELD = "select count(*) from schedule where is_held"
# The same line twice would be two truths under one key.
TWICE = """
select schedule_key, any_value(entity_id), any_value(document_id), count(*) from schedule
group by schedule_key having count(*) > 1 order by 1 limit 5
"""
KNOWN = "create or replace temp table known as select * from known_versions"
CHANGED = """
select
    s.schedule_key, coalesce(k.version, 0) + 1 as version, s.entity_id, s.erp_company, s.currency, s.total_tc,
    sha256(s.document_json) as content_hash, s.document_json
from schedule as s
left join known as k using (schedule_key)
where not s.is_held and k.content_hash is distinct from sha256(s.document_json)
order by s.entity_id, s.document_id, s.line_id, s.schedule_key
"""
# What was told to the ERP and has nothing to recognise (any more).
GONE = """
select k.schedule_key, k.entity_id, k.version from known as k anti join schedule as s using (schedule_key)
order by 1
"""
ENTITIES = "select distinct entity_id from schedule order by 1"
COUNT = "select count(*) from schedule"
