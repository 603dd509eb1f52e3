-- One row per bank statement line; amount > 0 is money in.
with posted as (
    {{ events_of(['bank.line_posted'], {
        'bank_line_id': 'VARCHAR', 'bank_account': 'VARCHAR', 'statement_id': 'VARCHAR', 'amount': 'BIGINT',
        'currency': 'VARCHAR', 'reference': 'VARCHAR', 'counterparty': 'VARCHAR',
    }) }}
)

select
    {{ envelope() }},
    d.bank_line_id,
    d.bank_account,
    d.statement_id,
    d.amount,
    d.currency,
    d.reference,
    d.counterparty
from posted
