-- One row per directed edge of the order-to-cash chain, from the sale to the bank.
with events as (
    select * from {{ ref('events') }}
    where type in (
        'subscription.created', 'amendment.booked', 'usage.rated', 'invoice.posted', 'credit_note.issued', 'payment.settled',
        'payment.failed', 'payment.applied', 'refund.issued', 'dispute.opened', 'dispute.funds_withdrawn',
        'dispute.funds_reinstated', 'payout.paid', 'bank.line_posted'
    )
),

fields as (
    select
        type,
        entity_id,
        correlation_id,
        {{ json_texts('data', [
            '$.subscription_id', '$.subscription_item_id', '$.invoice_id', '$.credit_note_id', '$.payment_id', '$.refund_id',
            '$.dispute_id', '$.payout_id', '$.bank_line_id', '$.reference', '$.balance_txn.balance_txn_id', '$.items',
            '$.lines', '$.applications', '$.members', '$.balance_txns', '$.consolidated_invoice_id',
        ]) }} as f
    from events
),

named as (
    select
        type,
        entity_id,
        correlation_id,
        f[1] as subscription_id,
        f[2] as item_id,
        f[3] as invoice_id,
        f[4] as credit_note_id,
        f[5] as payment_id,
        f[6] as refund_id,
        f[7] as dispute_id,
        f[8] as payout_id,
        f[9] as bank_line_id,
        f[10] as reference,
        f[11] as balance_txn_id,
        coalesce(f[12], '[]') as items,
        coalesce(f[13], '[]') as lines,
        coalesce(f[14], '[]') as applications,
        coalesce(f[15], '[]') as members,
        coalesce(f[16], '[]') as balance_txns,
        f[17] as consolidated_invoice_id
    from fields
),

sales as (
    {{ union_sources(providers('opportunity_quotes'), 'opportunity_quotes', ['entity_id', 'customer_id', 'opportunity_id', 'quote_id']) }}
),

subscription_items as (
    {{ json_elements("(select * from named where type in ('subscription.created', 'amendment.booked'))", 'items', [
        'entity_id', 'subscription_id',
    ]) }}
),

invoice_lines as (
    {{ json_elements("(select * from named where type = 'invoice.posted')", 'lines', ['entity_id', 'invoice_id']) }}
),

applied as (
    {{ json_elements("(select * from named where type in ('payment.settled', 'payment.applied'))", 'applications', [
        'entity_id', 'payment_id',
    ]) }}
),

paid_out as (
    {{ json_elements("(select * from named where type = 'payout.paid')", 'members', ['entity_id', 'payout_id']) }}
),

dispute_txns as (
    {{ json_elements("(select * from named where type like 'dispute.%')", 'balance_txns', ['entity_id', 'dispute_id']) }}
),

edges as (
    select entity_id, 'account' as from_type, customer_id as from_id, 'opportunity' as to_type, opportunity_id as to_id, 'bought' as relation
    from sales
    union all
    select entity_id, 'opportunity', opportunity_id, 'quote', quote_id, 'quoted' from sales
    union all
    select entity_id, 'opportunity', correlation_id, 'subscription', subscription_id, 'fulfilled_by' from named
    where type in ('subscription.created', 'amendment.booked')
    union all
    select entity_id, 'subscription', subscription_id, 'item', {{ json_text('item', '$.item_id') }}, 'has_item' from subscription_items
    union all
    select entity_id, 'subscription', subscription_id, 'item', item_id, 'has_item' from named where type = 'usage.rated'
    union all
    select
        entity_id, 'subscription', {{ json_text('item', '$.subscription_id') }}, 'item',
        {{ json_text('item', '$.subscription_item_id') }}, 'has_item'
    from invoice_lines
    union all
    select entity_id, 'item', {{ json_text('item', '$.subscription_item_id') }}, 'invoice', invoice_id, 'billed_on' from invoice_lines
    union all
    select entity_id, 'opportunity', correlation_id, 'invoice', invoice_id, 'billed_on' from named where type = 'invoice.posted'
    union all
    select entity_id, 'invoice', invoice_id, 'consolidated_invoice', consolidated_invoice_id, 'part_of' from named
    where type = 'invoice.posted'
    union all
    select entity_id, 'invoice', {{ json_text('item', '$.invoice_id') }}, 'payment', payment_id, 'paid_by' from applied
    union all
    select entity_id, 'invoice', invoice_id, 'payment', payment_id, 'attempted_by' from named where type = 'payment.failed'
    union all
    select entity_id, 'payment', payment_id, 'balance_txn', balance_txn_id, 'settled_as' from named where type = 'payment.settled'
    union all
    select entity_id, 'invoice', invoice_id, 'credit_note', credit_note_id, 'credited_by' from named
    where type = 'credit_note.issued'
    union all
    select entity_id, 'credit_note', credit_note_id, 'refund', refund_id, 'refunded_by' from named where type = 'refund.issued'
    union all
    select entity_id, 'payment', payment_id, 'refund', refund_id, 'refunded_by' from named where type = 'refund.issued'
    union all
    select entity_id, 'refund', refund_id, 'balance_txn', balance_txn_id, 'settled_as' from named where type = 'refund.issued'
    union all
    select entity_id, 'payment', payment_id, 'dispute', dispute_id, 'disputed_by' from named where type like 'dispute.%'
    union all
    select entity_id, 'dispute', dispute_id, 'balance_txn', {{ json_text('item', '$.balance_txn_id') }}, 'settled_as' from dispute_txns
    union all
    select entity_id, 'balance_txn', {{ json_text('item', '$') }}, 'payout', payout_id, 'paid_out_by' from paid_out
    union all
    select payouts.entity_id, 'payout', payouts.payout_id, 'bank_line', bank_lines.bank_line_id, 'received_as'
    from named as bank_lines
    inner join named as payouts
        on bank_lines.entity_id = payouts.entity_id
        and payouts.type = 'payout.paid'
        and bank_lines.reference in (payouts.payout_id, payouts.reference)
    where bank_lines.type = 'bank.line_posted'
    union all
    select entity_id, document_type, document_id, 'tax_document', document_id, 'taxed_by' from {{ ref('can_tax_documents') }}
)

select
    from_type,
    from_id,
    to_type,
    to_id,
    relation,
    min(entity_id) as entity_id
from edges
where from_id is not null and to_id is not null
group by from_type, from_id, to_type, to_id, relation
