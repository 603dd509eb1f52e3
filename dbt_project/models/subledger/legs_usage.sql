-- One row per leg of a usage accrual in foreign currency: unbilled receivable against revenue, when rated. In functional
-- currency the entry stands in two_sided_entries.
{{ config(materialized='ephemeral') }}
with accruals as (
    select
        *,
        'usage.rated' as event_type,
        'usage' as document_type,
        {{ at_rate('accrual') }} as accrual_fc
    from {{ ref('usage_accruals') }}
    where currency <> functional_currency
)

{{ leg('accruals', "'unbilled_receivable'", 'accrual', 'accrual_fc', pool="'unbilled_receivable|' || subscription_item_id", leg_no=1,
    document_id='usage_id', line_id='subscription_item_id', product_family='product_family', customer_id='customer_id') }}
union all
{{ leg('accruals', "'revenue'", '-accrual', '-accrual_fc', leg_no=2,
    document_id='usage_id', line_id='subscription_item_id', product_family='product_family', customer_id='customer_id') }}
