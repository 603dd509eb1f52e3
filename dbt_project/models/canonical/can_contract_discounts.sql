-- One row per contract line and discount that is proven to belong to a subset of the contract's lines.
with booked as (
    {{ events_of(['contract.booked'], {
        'contract_id': 'VARCHAR', 'discount_allocations': [{'line_ids': ['VARCHAR'], 'amount': 'BIGINT'}],
    }) }}
),

numbered as (
    select booked.*, unnest(d.discount_allocations) as x, unnest(range(1, len(d.discount_allocations) + 1)) as discount_no
    from booked
)

select
    event_key,
    entity_id,
    d.contract_id,
    cast(discount_no as integer) as discount_no,
    x.amount,
    unnest(x.line_ids) as line_id
from numbered
