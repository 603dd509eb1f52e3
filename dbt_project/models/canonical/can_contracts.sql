-- One row per booked contract (one version of it).
with booked as (
    {{ events_of(['contract.booked'], {
        'contract_id': 'VARCHAR', 'version': 'INTEGER', 'customer_id': 'VARCHAR', 'currency': 'VARCHAR',
        'cancellable': 'BOOLEAN', 'opportunity_id': 'VARCHAR', 'variable_amount': 'BIGINT',
    }) }}
)

select
    {{ envelope() }},
    d.contract_id,
    coalesce(d.version, 1) as version,
    d.customer_id,
    d.currency,
    coalesce(d.cancellable, false) as is_cancellable,
    d.opportunity_id,
    coalesce(d.variable_amount, 0) as variable_amount
from booked
