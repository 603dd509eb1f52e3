-- A returned row is an account role whose tie-out differs from its reconciliation at the cut-off (R10, R11).
{{ config(tags=['after_posting'], meta={'dagster': {'ref': {'name': 'tie_out'}}}) }}

with statements as (
    select
        entity_code,
        case recon_code when 'R10' then 'accounts_receivable' else 'deferred_revenue' end as account_role,
        case recon_code when 'R10' then variance_amount else -variance_amount end as variance
    from {{ ref('recon_statement') }}
    where recon_code in ('R10', 'R11') and period = {{ recon_month(as_of_date(), 'entity_code') }}
)

select
    tie_out.*,
    statements.variance
from {{ ref('tie_out') }} as tie_out
inner join statements on tie_out.entity = statements.entity_code and tie_out.account_role = statements.account_role
where tie_out.subledger - tie_out.erp <> statements.variance
