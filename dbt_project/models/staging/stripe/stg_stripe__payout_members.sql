-- One row per (payout, balance transaction paid out by it), as the processor lists them.
with staged as (
    {{ staged_object('stripe', 'payout_member', {
        'payout_id': ['$.payout', 'text'],
        'balance_transaction_id': ['$.balance_transaction', 'text'],
    }) }}
),

payouts as (
    select * from {{ ref('stg_stripe__payouts') }}
)

select
    staged._source,
    staged._entity_id as entity_id,
    staged.payout_id,
    staged.balance_transaction_id
from staged
inner join payouts on staged._source = payouts._source and staged.payout_id = payouts.payout_id
-- The list of a payout holds the payout's own transaction too; a payout is not its own member.
where
    staged.balance_transaction_id <> coalesce(payouts.balance_transaction_id, '')
    and staged.balance_transaction_id <> coalesce(payouts.failure_transaction_id, '')
