-- A returned row is a balance transaction whose net is not its gross less the fee.
select
    balance_transaction_id,
    amount,
    fee,
    net
from {{ ref('stg_stripe__balance_transactions') }}
where net is distinct from amount - fee
