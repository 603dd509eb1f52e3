-- One row per settled payment, with its balance transaction (bt_*) where it came through a processor.
with settled as (
    {{ events_of(['payment.settled'], {
        'payment_id': 'VARCHAR', 'customer_id': 'VARCHAR', 'amount': 'BIGINT', 'currency': 'VARCHAR',
        'channel': 'VARCHAR', 'reference': 'VARCHAR', 'applications': [{'amount': 'BIGINT'}],
        'balance_txn': {
            'balance_txn_id': 'VARCHAR', 'account': 'VARCHAR', 'type': 'VARCHAR', 'gross': 'BIGINT',
            'fee': 'BIGINT', 'net': 'BIGINT', 'currency': 'VARCHAR', 'exchange_rate': 'VARCHAR',
            'payout_id': 'VARCHAR',
        },
        'settled_amount': 'BIGINT', 'settled_currency': 'VARCHAR',
        'direct_charge': {
            'amount': 'BIGINT', 'tax_amount': 'BIGINT', 'product_family': 'VARCHAR', 'service_start': 'DATE',
            'service_end': 'DATE',
        },
        'advance': 'BOOLEAN', 'application_fee_amount': 'BIGINT',
    }) }}
)

select
    {{ envelope() }},
    d.payment_id,
    d.customer_id,
    d.amount,
    d.currency,
    d.channel,
    d.reference,
    cast(coalesce(list_sum(list_transform(d.applications, lambda a: a.amount)), 0) as bigint) as applied_amount,
    d.direct_charge is not null as is_direct_charge,
    coalesce(d.direct_charge.amount, 0) as direct_amount,
    coalesce(d.direct_charge.tax_amount, 0) as direct_tax_amount,
    coalesce(d.direct_charge.product_family, 'default') as direct_product_family,
    d.direct_charge.service_start as direct_service_start,
    d.direct_charge.service_end as direct_service_end,
    coalesce(d.advance, false) as is_advance,
    d.application_fee_amount,
    d.settled_amount,
    d.settled_currency,
    d.balance_txn.balance_txn_id as bt_id,
    coalesce(d.balance_txn.account, 'default') as bt_account,
    d.balance_txn.gross as bt_gross,
    coalesce(d.balance_txn.fee, 0) as bt_fee,
    d.balance_txn.net as bt_net,
    d.balance_txn.currency as bt_currency,
    {{ scaled12('d.balance_txn.exchange_rate') }} as bt_rate_e12,
    d.balance_txn.payout_id as bt_payout_id
from settled
