-- One row per leg on the position of a contract: billing, revenue and refund liability of its obligations. Ahead of
-- billing a contract shows a contract asset, after it deferred revenue, and never both.
{{ config(materialized='ephemeral') }}
with movements as (
    select
        movements.* exclude (rate_num, rate_den),
        coalesce(movements.rate_num, ranges.num, 1) as rate_num,
        coalesce(movements.rate_den, ranges.den, 1) as rate_den
    from {{ ref('contract_movements') }} as movements
    left join {{ ref('spot_rate_ranges') }} as ranges
        on movements.currency <> movements.functional_currency
        and movements.entity_id = ranges.entity_id and movements.currency = ranges.currency
        and movements.posting_date >= ranges.valid_from and movements.posting_date < ranges.valid_to
    qualify row_number() over (
        partition by movements.entry_id, movements.line_id, movements.document_id, movements.document_line_id
        order by ranges.preference
    ) = 1
),

split as (
    select
        *,
        greatest(position_after, 0) - greatest(position_before, 0) as deferred_change,
        greatest(-position_after, 0) - greatest(-position_before, 0) as asset_change,
        case when kind = 'billing' then 0 else -(amount + refund_change) end as revenue,
        2000 + leg_line_no * 10 as leg_base
    from movements
)

{{ leg('split', "'deferred_revenue'", '-deferred_change', '-(' ~ at_rate('deferred_change') ~ ')', is_release='deferred_change < 0', leg_no='leg_base',
    entry_id='entry_id', service_period='service_period', line_id="coalesce(document_line_id, line_id)", product_family='product_family',
    customer_id='customer_id', pool="'deferred_revenue|contract ' || contract_id") }}
union all
{{ leg('split', "'contract_asset'", 'asset_change', at_rate('asset_change'), is_release='asset_change < 0', leg_no='leg_base + 1',
    entry_id='entry_id', service_period='service_period', line_id="coalesce(document_line_id, line_id)", product_family='product_family',
    customer_id='customer_id', pool="'contract_asset|contract ' || contract_id") }}
union all
{{ leg('split', "'refund_liability'", '-refund_change', '-(' ~ at_rate('refund_change') ~ ')', is_release='refund_change < 0', leg_no='leg_base + 2',
    entry_id='entry_id', service_period='service_period', line_id="coalesce(document_line_id, line_id)", product_family='product_family',
    customer_id='customer_id', pool="'refund_liability|contract ' || contract_id || ' ' || line_id") }}
union all
{{ leg('split', "'revenue'", '-revenue', '-(' ~ at_rate('revenue') ~ ')', leg_no='leg_base + 3', is_balancing="event_type <> 'invoice.posted'",
    entry_id='entry_id', service_period='service_period', line_id='line_id', product_family='product_family',
    customer_id='customer_id') }}
