-- One row per pending charge (a proration or extra not yet invoiced).
with recorded as (
    {{ events_of(['pending_charge.recorded'], {
        'pending_charge_id': 'VARCHAR', 'customer_id': 'VARCHAR', 'subscription_item_id': 'VARCHAR',
        'currency': 'VARCHAR', 'amount': 'BIGINT', 'product_family': 'VARCHAR', 'service_start': 'DATE',
        'service_end': 'DATE',
    }) }}
)

select
    {{ envelope() }},
    d.pending_charge_id,
    d.customer_id,
    d.subscription_item_id,
    d.currency,
    d.amount,
    coalesce(d.product_family, 'default') as product_family,
    d.service_start,
    d.service_end
from recorded
