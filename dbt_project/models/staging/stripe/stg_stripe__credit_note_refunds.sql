-- One row per refund that pays out a credit note.
with elements as (
    {{ json_elements(ref('stg_stripe__credit_notes'), 'refunds', ['_source', 'entity_id', 'credit_note_id']) }}
),

fields as (
    select
        _source,
        entity_id,
        credit_note_id,
        {{ json_texts('item', ['$.refund', '$.amount_refunded']) }} as f
    from elements
)

select
    _source,
    entity_id,
    credit_note_id,
    f[1] as refund_id,
    cast(f[2] as bigint) as amount
from fields
