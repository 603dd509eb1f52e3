-- One row per issued refund, with its balance transaction (bt_*).
with issued as (
    {{ events_of(['refund.issued'], {
        'refund_id': 'VARCHAR', 'payment_id': 'VARCHAR', 'amount': 'BIGINT', 'currency': 'VARCHAR',
        'reason': 'VARCHAR', 'credit_note_id': 'VARCHAR',
        'balance_txn': {
            'balance_txn_id': 'VARCHAR', 'account': 'VARCHAR', 'gross': 'BIGINT', 'fee': 'BIGINT', 'net': 'BIGINT',
            'currency': 'VARCHAR', 'exchange_rate': 'VARCHAR', 'payout_id': 'VARCHAR',
        },
    }) }}
)

select
    {{ envelope() }},
    d.refund_id,
    d.payment_id,
    d.amount,
    d.currency,
    d.reason,
    d.credit_note_id,
    d.balance_txn.balance_txn_id as bt_id,
    coalesce(d.balance_txn.account, 'default') as bt_account,
    d.balance_txn.gross as bt_gross,
    coalesce(d.balance_txn.fee, 0) as bt_fee,
    d.balance_txn.net as bt_net,
    d.balance_txn.currency as bt_currency,
    {{ scaled12('d.balance_txn.exchange_rate') }} as bt_rate_e12,
    d.balance_txn.payout_id as bt_payout_id
from issued
