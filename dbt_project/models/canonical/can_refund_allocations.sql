-- One row per stated allocation of a refund to an invoice or one of its lines (gross).
with issued as (
    {{ events_of(['refund.issued'], {
        'refund_id': 'VARCHAR',
        'allocations': [{'invoice_id': 'VARCHAR', 'line_id': 'VARCHAR', 'amount': 'BIGINT'}],
    }) }}
),

numbered as (
    select issued.*, unnest(d.allocations) as x, unnest(range(1, len(d.allocations) + 1)) as allocation_no from issued
)

select
    event_key,
    entity_id,
    d.refund_id,
    cast(allocation_no as integer) as allocation_no,
    x.invoice_id,
    x.line_id,
    x.amount
from numbered
