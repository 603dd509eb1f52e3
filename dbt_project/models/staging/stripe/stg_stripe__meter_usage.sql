-- One row per (meter, customer, day) of metered usage; days are UTC days, as the processor groups them.
with staged as (
    {{ staged_object('stripe', 'meter_event_summary', {
        'billing_customer_id': ['$.customer', 'text'],
        'meter_id': ['$.meter', 'text'],
        'value': ['$.aggregated_value', 'text'],
        'starts_at': ['$.start_time', 'unix'],
    }) }}
)

select
    _source,
    _entity_id as entity_id,
    _landing_seq,
    _first_landed_at,
    billing_customer_id,
    meter_id,
    cast(starts_at as date) as usage_date,
    cast(value as decimal(20, 6)) as quantity
from staged
