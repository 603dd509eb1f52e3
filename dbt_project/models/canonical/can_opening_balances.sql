-- One row per line of a loaded opening balance; amount is debit positive.
with loaded as (
    {{ events_of(['opening_balance.loaded'], {
        'customer_id': 'VARCHAR',
        'lines': [{
            'account_role': 'VARCHAR', 'currency': 'VARCHAR', 'amount': 'BIGINT', 'amount_fc': 'BIGINT',
            'document_id': 'VARCHAR',
        }],
    }) }}
),

numbered as (
    select loaded.*, unnest(d.lines) as x, unnest(range(1, len(d.lines) + 1)) as line_no from loaded
)

select
    {{ envelope() }},
    d.customer_id,
    cast(line_no as integer) as line_no,
    x.account_role,
    x.currency,
    x.amount,
    x.amount_fc,
    x.document_id
from numbered
