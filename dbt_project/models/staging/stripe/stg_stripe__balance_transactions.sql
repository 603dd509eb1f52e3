-- One row per balance transaction, with the `balance_txn` object of the event contract. Never changes apart from `status`.
with staged as (
    {{ staged_object('stripe', 'balance_transaction', {
        'balance_transaction_id': ['$.id', 'text'],
        'amount': ['$.amount', 'integer'],
        'fee': ['$.fee', 'integer'],
        'net': ['$.net', 'integer'],
        'currency': ['$.currency', 'text'],
        'exchange_rate': ['$.exchange_rate', 'decimal'],
        'transaction_type': ['$.type', 'text'],
        'reporting_category': ['$.reporting_category', 'text'],
        'object_id': ['$.source', 'text'],
        'created_at': ['$.created', 'unix'],
    }) }}
),

entities as (
    select * from {{ state('entities') }}
),

mapped as (
    select
        staged._source,
        staged._entity_id as entity_id,
        staged._landing_seq,
        staged._first_landed_at,
        staged.balance_transaction_id,
        staged.amount,
        coalesce(staged.fee, 0) as fee,
        staged.net,
        upper(staged.currency) as currency,
        staged.exchange_rate,
        case
            when staged.reporting_category in ('dispute', 'dispute_reversal') then 'dispute'
            when staged.transaction_type in ('charge', 'payment') then 'charge'
            when staged.transaction_type in ('refund', 'payment_refund', 'refund_failure', 'payment_failure_refund') then 'refund'
            when staged.transaction_type in ('payout', 'payout_failure', 'payout_cancel') then 'payout'
            else 'adjustment'
        end as txn_type,
        staged.object_id,
        staged.created_at,
        {{ local_date('staged.created_at', 'entities.time_zone') }} as created_date
    from staged
    inner join entities on staged._entity_id = entities.entity_id
)

select
    *,
    {{ json_object_text({
        'balance_txn_id': 'balance_transaction_id',
        'account': '_source',
        'type': 'txn_type',
        'gross': 'amount',
        'fee': 'fee',
        'net': 'net',
        'currency': 'currency',
        'exchange_rate': decimal_text('exchange_rate'),
    }) }} as balance_txn
from mapped
