-- One row per entity and ERP account that a role is mapped to, with the role that answers for it.
{{ config(tags=['after_posting']) }}

with mapped as (
    select
        entity_id,
        account_code,
        account_role,
        max(account_name) as account_name
    from {{ state('accounts') }}
    group by entity_id, account_code, account_role
    union
    -- Accounts that were posted to under an earlier map.
    select
        batches.entity_id,
        lines.account_code,
        lines.account_role,
        cast(null as varchar) as account_name
    from {{ state('posting_batch_lines') }} as lines
    inner join {{ state('posting_batches') }} as batches on lines.batch_key = batches.batch_key
)

-- Roles that share an account are compared together; the difference is shown under one of them.
select
    entity_id,
    account_code,
    account_role as owning_role
from mapped
qualify row_number() over (
    partition by entity_id, account_code
    order by
        case account_role when 'accounts_receivable' then 1 when 'deferred_revenue' then 2 when 'revenue' then 3 else 4 end,
        account_role
) = 1
