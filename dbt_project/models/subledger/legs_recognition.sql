-- One row per leg of a recognition entry in foreign currency: deferred revenue (or unbilled receivable of a pending
-- charge) into revenue. In functional currency journal_lines takes the entry as it stands.
{{ config(materialized='ephemeral') }}
with entries as (
    select *, 'revenue.recognised' as event_type
    from {{ ref('recognition_entries') }}
    where currency <> functional_currency
)

{{ leg('entries', 'balance_role', 'amount', 'amount_fc',
    pool="case treatment when 'pending' then 'unbilled_receivable|' || document_id end", leg_no=1, entry_id='entry_key',
    service_period='service_period', line_id='document_line_id', product_family='product_family', customer_id='customer_id') }}
union all
{{ leg('entries', "'discounts'", 'discount_amount', 'discount_fc', leg_no=2, entry_id='entry_key',
    service_period='service_period', line_id='document_line_id', product_family='product_family', customer_id='customer_id') }}
union all
{{ leg('entries', "'revenue'", '-(amount + discount_amount)', '-(amount_fc + discount_fc)', leg_no=3, entry_id='entry_key',
    service_period='service_period', line_id='document_line_id', product_family='product_family', customer_id='customer_id') }}
