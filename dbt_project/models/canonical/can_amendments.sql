-- One row per booked amendment of a contract or subscription.
with booked as (
    {{ events_of(['amendment.booked'], {
        'amendment_id': 'VARCHAR', 'kind': 'VARCHAR', 'contract_id': 'VARCHAR', 'subscription_id': 'VARCHAR',
        'classification': 'VARCHAR', 'at_ssp': 'BOOLEAN', 'distinct': 'BOOLEAN',
        'billing': {'interval': 'VARCHAR', 'anchor': 'DATE', 'timing': 'VARCHAR'},
    }) }}
)

select
    {{ envelope() }},
    d.amendment_id,
    d.kind,
    d.contract_id,
    d.subscription_id,
    coalesce(d.classification, 'change_of_terms') as classification,
    coalesce(d.at_ssp, false) as is_at_ssp,
    coalesce(d."distinct", true) as is_distinct,
    d.billing.interval as billing_interval,
    d.billing.anchor as billing_anchor,
    d.billing.timing as billing_timing
from booked
