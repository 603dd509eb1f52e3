-- One row per line of a credit note; tax_amount is null where the sender left it to be derived.
with issued as (
    {{ events_of(['credit_note.issued'], {
        'credit_note_id': 'VARCHAR', 'invoice_id': 'VARCHAR', 'currency': 'VARCHAR',
        'lines': [{'invoice_line_id': 'VARCHAR', 'amount': 'BIGINT', 'tax_amount': 'BIGINT'}],
    }) }}
),

numbered as (
    select issued.*, unnest(d.lines) as x, unnest(range(1, len(d.lines) + 1)) as line_no from issued
)

select
    event_key,
    entity_id,
    accounting_date,
    d.credit_note_id,
    d.invoice_id,
    d.currency,
    cast(line_no as integer) as line_no,
    x.invoice_line_id,
    x.amount,
    x.tax_amount
from numbered
