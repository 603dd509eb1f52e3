-- One row per dispute; its balance transactions stay a JSON list of ids or objects.
with staged as (
    {{ staged_object('stripe', 'dispute', {
        'dispute_id': ['$.id', 'text'],
        'charge_id': ['$.charge', 'text'],
        'amount': ['$.amount', 'integer'],
        'currency': ['$.currency', 'text'],
        'status': ['$.status', 'text'],
        'reason': ['$.reason', 'text'],
        'created_at': ['$.created', 'unix'],
        'closed_at': ['$.metadata.closed_at', 'unix'],
        'balance_transactions': ['$.balance_transactions', 'json'],
    }, seen={'closed_seen_at': "status in ('won', 'lost')"}) }}
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
    staged.closed_seen_at,
    staged.dispute_id,
    staged.charge_id,
    staged.amount,
    upper(staged.currency) as currency,
    staged.status,
    staged.reason,
    staged.created_at,
    {{ local_date('staged.created_at', 'entities.time_zone') }} as created_date,
    staged.closed_at,
    {{ local_date('staged.closed_at', 'entities.time_zone') }} as closed_date,
    coalesce(staged.balance_transactions, '[]') as balance_transactions
from staged
inner join entities on staged._entity_id = entities.entity_id
