-- One row per document event and line that the event names: credit note lines, refund allocations, recalculated tax.
with named as (
    select
        events.doc_no, events.step, lines.invoice_line_id as line_id, lines.amount as net, lines.tax_amount as tax,
        cast(null as bigint) as gross
    from {{ ref('document_events') }} as events
    inner join {{ ref('can_credit_note_lines') }} as lines on events.event_key = lines.event_key
    where events.kind = 'credit'
    union all
    select events.doc_no, events.step, allocations.line_id, null as net, null as tax, allocations.amount as gross
    from {{ ref('document_events') }} as events
    inner join {{ ref('can_refund_allocations') }} as allocations
        on events.event_key = allocations.event_key and events.document_id = allocations.invoice_id
    where events.kind = 'reduce' and allocations.line_id is not null
    union all
    select events.doc_no, events.step, changes.line_id, null as net, changes.new_amount - changes.old_amount as tax, null as gross
    from {{ ref('document_events') }} as events
    inner join {{ ref('can_tax_recalculations') }} as changes
        on events.event_key = changes.event_key and events.document_id = changes.document_id
    where events.kind = 'tax_change'
)

select
    doc_no,
    step,
    line_id,
    cast(sum(net) as bigint) as net,
    cast(sum(tax) as bigint) as tax,
    cast(sum(gross) as bigint) as gross,
    bool_or(tax is null) as is_tax_derived
from named
group by doc_no, step, line_id
