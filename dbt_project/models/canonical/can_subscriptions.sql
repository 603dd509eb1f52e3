-- One row per subscription as it was created.
with created as (
    {{ events_of(['subscription.created'], {
        'subscription_id': 'VARCHAR', 'customer_id': 'VARCHAR', 'contract_id': 'VARCHAR', 'currency': 'VARCHAR',
        'start': 'DATE', 'end': 'DATE', 'billing': {'interval': 'VARCHAR', 'anchor': 'DATE', 'timing': 'VARCHAR'},
    }) }}
)

select
    {{ envelope() }},
    d.subscription_id,
    d.customer_id,
    d.contract_id,
    d.currency,
    coalesce(d.start, accounting_date) as start_date,
    d."end" as end_date,
    d.billing.interval as billing_interval,
    d.billing.anchor as billing_anchor,
    coalesce(d.billing.timing, 'in_advance') as billing_timing
from created
