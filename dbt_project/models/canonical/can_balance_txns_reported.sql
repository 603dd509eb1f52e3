-- One row per line of the processor's own balance report.
with reported as (
    {{ events_of(['balance_txn.reported'], {
        'object_id': 'VARCHAR',
        'balance_txn': {
            'balance_txn_id': 'VARCHAR', 'account': 'VARCHAR', 'type': 'VARCHAR', 'gross': 'BIGINT',
            'fee': 'BIGINT', 'net': 'BIGINT', 'currency': 'VARCHAR', 'exchange_rate': 'VARCHAR',
            'payout_id': 'VARCHAR',
        },
    }) }}
)

select
    {{ envelope() }},
    d.object_id,
    d.balance_txn.balance_txn_id as bt_id,
    coalesce(d.balance_txn.account, 'default') as bt_account,
    d.balance_txn.type as bt_type,
    d.balance_txn.gross as bt_gross,
    coalesce(d.balance_txn.fee, 0) as bt_fee,
    d.balance_txn.net as bt_net,
    d.balance_txn.currency as bt_currency,
    {{ scaled12('d.balance_txn.exchange_rate') }} as bt_rate_e12,
    d.balance_txn.payout_id as bt_payout_id
from reported
