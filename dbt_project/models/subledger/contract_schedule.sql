-- One row per obligation, service period and posting date: the revenue recognised then; in foreign currency its functional
-- value is that of its entry (the layer of deferred revenue that it releases, or the rate of its day).
with movements as (
    select * from {{ ref('contract_movements') }} where kind <> 'billing' and amount + refund_change <> 0
),

priced as (
    select entry_id, document_id, line_id, amount_fc from {{ ref('priced_legs') }}
    where document_type = 'contract' and account_role = 'revenue' and currency <> functional_currency
)

select
    movements.entity_id,
    movements.document_type,
    movements.document_id,
    movements.contract_id,
    movements.line_id as contract_line_id,
    movements.leg_line_no as line_no,
    {{ period_of('movements.posting_date', 'movements.entity_id') }} as period,
    movements.service_period,
    movements.posting_date as recognition_date,
    movements.currency,
    movements.functional_currency,
    -(movements.amount + movements.refund_change) as amount,
    case
        when movements.currency = movements.functional_currency then -(movements.amount + movements.refund_change)
        else -coalesce(priced.amount_fc, 0)
    end as amount_fc,
    movements.product_family,
    movements.customer_id,
    movements.correlation_id,
    movements.event_key,
    movements.kind = 'part' as is_over_time
from movements
left join priced
    on movements.entity_id || '|' || movements.entry_id = priced.entry_id
    and movements.contract_id = priced.document_id and movements.line_id = priced.line_id
