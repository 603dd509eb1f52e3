-- One row per entity, period and ERP account: movement booked and movement in the ERP, minor units, debit positive.
{{ config(tags=['after_posting']) }}

-- What we book, and what the ERP's own schedules should recognise for us.
with ours as (
    select
        entity_id, period, coalesce(account_code, 'unmapped:' || account_role) as account_code, currency, amount_fc
    from {{ ref('rec_booked_accounts') }}
    union all
    select
        entity_id, period, account_code, currency, amount_fc
    from {{ ref('rec_erp_schedules') }}
),

booked as (
    select
        entity_id,
        period,
        account_code,
        min(currency) as currency,
        sum(amount_fc) as amount
    from ours
    group by entity_id, period, account_code
),

erp as (
    select
        balances.entity_id,
        balances.period,
        balances.account_code,
        min(balances.functional_currency) as currency,
        sum(balances.balance) as amount
    from {{ ref('can_erp_balances') }} as balances
    inner join {{ ref('rec_gl_accounts') }} as accounts
        on balances.entity_id = accounts.entity_id and balances.account_code = accounts.account_code
    where balances.period <= {{ recon_month(as_of_date(), 'balances.entity_id') }}
    group by balances.entity_id, balances.period, balances.account_code
)

select
    coalesce(b.entity_id, e.entity_id) as entity_id,
    coalesce(b.period, e.period) as period,
    coalesce(b.account_code, e.account_code) as account_code,
    coalesce(b.currency, e.currency) as currency,
    coalesce(accounts.owning_role, replace(coalesce(b.account_code, ''), 'unmapped:', '')) as owning_role,
    cast(coalesce(b.amount, 0) as bigint) as booked_amount,
    cast(coalesce(e.amount, 0) as bigint) as erp_amount
from booked as b
full outer join erp as e
    on b.entity_id = e.entity_id and b.period = e.period and b.account_code = e.account_code
left join {{ ref('rec_gl_accounts') }} as accounts
    on coalesce(b.entity_id, e.entity_id) = accounts.entity_id
    and coalesce(b.account_code, e.account_code) = accounts.account_code
