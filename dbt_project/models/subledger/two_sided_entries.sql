-- One row per entry in functional currency that moves one balance into revenue and is known whole in one row: a
-- recognition, or a usage accrual. Most of all entries; journal_lines numbers and hashes them in the row.
{{ config(materialized='ephemeral') }}
select
    entry_key, event_key, 'revenue.recognised' as event_type, entity_id, posting_date, service_period, is_prior_period, document_type,
    document_id, document_line_id as line_id, balance_role,
    case treatment when 'pending' then 'unbilled_receivable|' || document_id end as pool,
    3 as revenue_line_no, currency, functional_currency, amount, discount_amount, product_family, customer_id, correlation_id
from {{ ref('recognition_entries') }}
where currency = functional_currency
union all
select
    md5(entity_id || '|' || event_key) as entry_key, event_key, 'usage.rated' as event_type, entity_id, posting_date,
    {{ period_of('accounting_date') }} as service_period, is_prior_period, 'usage' as document_type, usage_id as document_id,
    subscription_item_id as line_id, 'unbilled_receivable' as balance_role, 'unbilled_receivable|' || subscription_item_id as pool,
    2 as revenue_line_no, currency, functional_currency, accrual as amount, 0 as discount_amount, product_family, customer_id, correlation_id
from {{ ref('usage_accruals') }}
where currency = functional_currency and accrual <> 0
