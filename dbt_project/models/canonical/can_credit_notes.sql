-- One row per issued credit note.
with issued as (
    {{ events_of(['credit_note.issued'], {
        'credit_note_id': 'VARCHAR', 'invoice_id': 'VARCHAR', 'currency': 'VARCHAR', 'timing': 'VARCHAR',
        'reason': 'VARCHAR', 'lines': [{'amount': 'BIGINT', 'tax_amount': 'BIGINT'}],
        'settlement': {'refund': 'BIGINT', 'customer_balance': 'BIGINT', 'out_of_band': 'BIGINT'},
    }) }}
)

select
    {{ envelope() }},
    d.credit_note_id,
    d.invoice_id,
    d.currency,
    d.timing,
    d.reason,
    cast(coalesce(list_sum(list_transform(d.lines, lambda x: x.amount)), 0) as bigint) as net_amount,
    cast(coalesce(list_sum(list_transform(d.lines, lambda x: coalesce(x.tax_amount, 0))), 0) as bigint) as stated_tax_amount,
    d.settlement is not null as has_settlement,
    coalesce(d.settlement.refund, 0) as settlement_refund,
    coalesce(d.settlement.customer_balance, 0) as settlement_customer_balance,
    coalesce(d.settlement.out_of_band, 0) as settlement_out_of_band
from issued
