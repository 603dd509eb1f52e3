-- One row per refund.
with staged as (
    {{ staged_object('stripe', 'refund', {
        'refund_id': ['$.id', 'text'],
        'charge_id': ['$.charge', 'text'],
        'amount': ['$.amount', 'integer'],
        'currency': ['$.currency', 'text'],
        'status': ['$.status', 'text'],
        'reason': ['$.reason', 'text'],
        'created_at': ['$.created', 'unix'],
        'balance_transaction_id': ['$.balance_transaction', 'text'],
        'failure_transaction_id': ['$.failure_balance_transaction', 'text'],
    }, seen={'failed_seen_at': "status in ('failed', 'canceled')"}) }}
),

entities as (
    select * from {{ state('entities') }}
)

select
    staged._source,
    staged._entity_id as entity_id,
    entities.time_zone,
    staged._landing_seq,
    staged._first_landed_at,
    staged.failed_seen_at,
    staged.refund_id,
    staged.charge_id,
    staged.amount,
    upper(staged.currency) as currency,
    staged.status,
    staged.reason,
    staged.created_at,
    {{ local_date('staged.created_at', 'entities.time_zone') }} as created_date,
    staged.balance_transaction_id,
    staged.failure_transaction_id
from staged
inner join entities on staged._entity_id = entities.entity_id
