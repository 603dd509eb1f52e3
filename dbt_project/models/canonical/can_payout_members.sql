-- One row per balance transaction that the processor says is part of a payout.
with payouts as (
    {{ events_of(['payout.paid'], {'payout_id': 'VARCHAR', 'members': ['VARCHAR']}) }}
)

select distinct
    event_key,
    entity_id,
    d.payout_id,
    unnest(d.members) as bt_id
from payouts
