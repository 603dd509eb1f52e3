-- One row per entity, period, ERP account and role: recognition that we compute and the ERP's own schedules book.
-- Only entities with `schedules_owner: erp`; what was booked by us before the ERP took over is not repeated here.
{{ config(tags=['after_posting']) }}

with owned as (
    select entity_id
    from {{ state('policy') }}
    where key = 'schedules_owner' and value = 'erp'
),

booked as (
    select distinct entry_key from {{ booked_lines() }}
),

accounts as (
    select * from {{ state('accounts') }}
)

select
    lines.entity_id,
    lines.period,
    coalesce(family_accounts.account_code, role_accounts.account_code, 'unmapped:' || lines.account_role) as account_code,
    lines.account_role,
    lines.functional_currency as currency,
    cast(sum(lines.amount_fc) as bigint) as amount_fc
from {{ ref('journal_lines') }} as lines
inner join owned on lines.entity_id = owned.entity_id
left join booked on lines.entry_key = booked.entry_key
left join accounts as family_accounts
    on lines.entity_id = family_accounts.entity_id
    and lines.account_role = family_accounts.account_role
    and lines.product_family = family_accounts.product_family
left join accounts as role_accounts
    on lines.entity_id = role_accounts.entity_id
    and lines.account_role = role_accounts.account_role
    and role_accounts.product_family is null
where lines.event_type = 'revenue.recognised' and booked.entry_key is null
group by
    lines.entity_id, lines.period, lines.account_role, lines.functional_currency,
    coalesce(family_accounts.account_code, role_accounts.account_code, 'unmapped:' || lines.account_role)
