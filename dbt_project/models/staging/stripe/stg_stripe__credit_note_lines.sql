-- One row per credit note line; amounts positive, after discounts, without tax.
with elements as (
    {{ json_elements(ref('stg_stripe__credit_notes'), 'lines', ['_source', 'entity_id', 'credit_note_id', 'invoice_id']) }}
),

fields as (
    select
        _source,
        entity_id,
        credit_note_id,
        invoice_id,
        position as line_no,
        {{ json_texts('item', ['$.id', '$.invoice_line_item', '$.amount', '$.discount_amount']) }} as f,
        {{ json_sum('item', '$.taxes[*].amount') }} as tax_amount
    from elements
)

select
    _source,
    entity_id,
    credit_note_id,
    invoice_id,
    f[1] as line_id,
    line_no,
    f[2] as invoice_line_id,
    cast(f[3] as bigint) - coalesce(cast(f[4] as bigint), 0) as amount,
    tax_amount
from fields
