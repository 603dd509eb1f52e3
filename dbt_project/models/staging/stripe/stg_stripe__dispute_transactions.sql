-- One row per balance transaction of a dispute: money withdrawn, or reinstated when the amount is positive.
with elements as (
    {{ json_elements(ref('stg_stripe__disputes'), 'balance_transactions', ['_source', 'entity_id', 'dispute_id']) }}
),

-- The list holds whole objects, or ids where the account's API version does not expand them.
named as (
    select
        _source,
        entity_id,
        dispute_id,
        position,
        coalesce({{ json_text('item', '$.id') }}, {{ json_text('item', '$') }}) as balance_transaction_id
    from elements
),

balance_transactions as (
    select * from {{ ref('stg_stripe__balance_transactions') }}
)

select
    named._source,
    named.entity_id,
    named.dispute_id,
    named.balance_transaction_id,
    named.position,
    balance_transactions.amount > 0 as is_reinstatement,
    balance_transactions.created_at,
    balance_transactions.created_date,
    balance_transactions.balance_txn
from named
inner join balance_transactions
    on named._source = balance_transactions._source
    and named.balance_transaction_id = balance_transactions.balance_transaction_id
