-- One row per entity and account role at the cut-off: subledger against ERP in functional currency, debit positive.
with ours as (
    select
        entity_id, account_role, currency, amount_fc
    from {{ ref('rec_booked_accounts') }}
    union all
    select
        entity_id, account_role, currency, amount_fc
    from {{ ref('rec_erp_schedules') }}
),

by_role as (
    select
        entity_id,
        account_role,
        currency,
        sum(amount_fc) as booked_amount
    from ours
    group by entity_id, account_role, currency
),

-- Of an account that roles share, the whole difference stands with the role that owns it.
by_account as (
    select
        entity_id,
        owning_role,
        min(currency) as currency,
        {{ recon_text_list('account_code') }} as account_codes,
        sum(booked_amount - erp_amount) as difference
    from {{ ref('rec_gl_activity') }}
    group by entity_id, owning_role
),

classified as (
    select
        parts.entity_id,
        coalesce(accounts.owning_role, replace(parts.account_code, 'unmapped:', '')) as owning_role,
        sum(parts.amount) as amount
    from {{ ref('rec_gl_explanations') }} as parts
    left join {{ ref('rec_gl_accounts') }} as accounts
        on parts.entity_id = accounts.entity_id and parts.account_code = accounts.account_code
    group by parts.entity_id, coalesce(accounts.owning_role, replace(parts.account_code, 'unmapped:', ''))
),

roles as (
    select
        coalesce(r.entity_id, a.entity_id) as entity_id,
        coalesce(r.account_role, a.owning_role) as account_role,
        coalesce(r.currency, a.currency) as currency,
        a.account_codes,
        coalesce(r.booked_amount, 0) as subledger,
        coalesce(r.booked_amount, 0) - coalesce(a.difference, 0) as erp
    from by_role as r
    full outer join by_account as a on r.entity_id = a.entity_id and r.account_role = a.owning_role
)

select
    roles.entity_id as entity,
    roles.account_role,
    roles.currency,
    cast(currencies.exponent as integer) as minor_unit,
    coalesce(roles.account_codes, '') as account_codes,
    {{ recon_to_major('roles.subledger', 'currencies.exponent') }} as subledger,
    {{ recon_to_major('roles.erp', 'currencies.exponent') }} as erp,
    {{ recon_to_major('coalesce(classified.amount, 0)', 'currencies.exponent') }} as classified,
    {{ recon_to_major('roles.subledger - roles.erp - coalesce(classified.amount, 0)', 'currencies.exponent') }} as unexplained
from roles
inner join {{ state('currencies') }} as currencies on roles.currency = currencies.currency
left join classified on roles.entity_id = classified.entity_id and roles.account_role = classified.owning_role
