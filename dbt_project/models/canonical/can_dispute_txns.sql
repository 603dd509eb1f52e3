-- One row per balance transaction of a dispute step.
with steps as (
    {{ events_of(['dispute.funds_withdrawn', 'dispute.funds_reinstated'], {
        'dispute_id': 'VARCHAR',
        'balance_txns': [{
            'balance_txn_id': 'VARCHAR', 'account': 'VARCHAR', 'type': 'VARCHAR', 'gross': 'BIGINT',
            'fee': 'BIGINT', 'net': 'BIGINT', 'currency': 'VARCHAR', 'exchange_rate': 'VARCHAR',
            'payout_id': 'VARCHAR',
        }],
    }) }}
),

numbered as (
    select steps.*, unnest(d.balance_txns) as x, unnest(range(1, len(d.balance_txns) + 1)) as txn_no from steps
)

select
    event_key,
    entity_id,
    accounting_date,
    event_type,
    d.dispute_id,
    cast(txn_no as integer) as txn_no,
    x.balance_txn_id as bt_id,
    coalesce(x.account, 'default') as bt_account,
    coalesce(x.type, 'dispute') as bt_type,
    x.gross as bt_gross,
    coalesce(x.fee, 0) as bt_fee,
    x.net as bt_net,
    x.currency as bt_currency,
    {{ scaled12('x.exchange_rate') }} as bt_rate_e12,
    x.payout_id as bt_payout_id
from numbered
