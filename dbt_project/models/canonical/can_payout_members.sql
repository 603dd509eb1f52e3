-- One row per balance transaction that the processor says is part of a payout: in the payout's list, or on the transaction.
with payouts as (
    {{ events_of(['payout.paid'], {'payout_id': 'VARCHAR', 'members': ['VARCHAR']}) }}
),

transactions as (
    select entity_id, bt_id, bt_payout_id from {{ ref('can_payments') }}
    union all
    select entity_id, bt_id, bt_payout_id from {{ ref('can_refunds') }}
    union all
    select entity_id, bt_id, bt_payout_id from {{ ref('can_dispute_txns') }}
    union all
    select entity_id, bt_id, bt_payout_id from {{ ref('can_balance_txns_reported') }}
)

select
    event_key,
    entity_id,
    d.payout_id,
    unnest(d.members) as bt_id
from payouts
union
select
    payouts.event_key,
    payouts.entity_id,
    payouts.d.payout_id,
    transactions.bt_id
from payouts
inner join transactions
    on payouts.entity_id = transactions.entity_id and payouts.d.payout_id = transactions.bt_payout_id
where transactions.bt_id is not null
