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

recorded as (
    {{ union_sources(providers('source_documents'), 'source_documents', ['entity_id', 'document_type', 'document_id', 'source_record']) }}
),

edges as (
    select entity_id, 'source_record' as from_type, source_record as from_id, document_type as to_type, document_id as to_id, 'recorded_as' as relation
    from recorded
    union all
    select entity_id, 'account' as from_type, customer_id as from_id, 'opportunity' as to_type, opportunity_id as to_id, 'bought' as relation
    from sales
    union all
    select entity_id, 'opportunity' as from_type, opportunity_id, 'quote' as to_type, quote_id, 'quoted' as relation
    from sales
    union all
    select entity_id, 'opportunity' as from_type, correlation_id, 'subscription' as to_type, subscription_id, 'fulfilled_by' as relation
    from named
    where type in ('subscription.created', 'amendment.booked')
    union all
    select
        entity_id, 'subscription' as from_type, subscription_id,
        'item' as to_type, {{ json_text('item', '$.item_id') }} as to_id, 'has_item' as relation
    from subscription_items
    union all
    select entity_id, 'subscription' as from_type, subscription_id, 'item' as to_type, item_id, 'has_item' as relation
    from named
    where type = 'usage.rated'
    union all
    select
        entity_id, 'subscription' as from_type, {{ json_text('item', '$.subscription_id') }} as from_id, 'item' as to_type,
        {{ json_text('item', '$.subscription_item_id') }} as to_id, 'has_item' as relation
    from invoice_lines
    union all
    select
        entity_id, 'item' as from_type, {{ json_text('item', '$.subscription_item_id') }} as from_id,
        'invoice' as to_type, invoice_id, 'billed_on' as relation
    from invoice_lines
    union all
    select entity_id, 'opportunity' as from_type, correlation_id, 'invoice' as to_type, invoice_id, 'billed_on' as relation
    from named
    where type = 'invoice.posted'
    union all
    select entity_id, 'invoice' as from_type, invoice_id, 'consolidated_invoice' as to_type, consolidated_invoice_id, 'part_of' as relation
    from named
    where type = 'invoice.posted'
    union all
    select
        entity_id, 'invoice' as from_type, {{ json_text('item', '$.invoice_id') }} as from_id,
        'payment' as to_type, payment_id, 'paid_by' as relation
    from applied
    union all
    select entity_id, 'invoice' as from_type, invoice_id, 'payment' as to_type, payment_id, 'attempted_by' as relation
    from named
    where type = 'payment.failed'
    union all
    select entity_id, 'payment' as from_type, payment_id, 'balance_txn' as to_type, balance_txn_id, 'settled_as' as relation
    from named
    where type = 'payment.settled'
    union all
    select entity_id, 'invoice' as from_type, invoice_id, 'credit_note' as to_type, credit_note_id, 'credited_by' as relation
    from named
    where type = 'credit_note.issued'
    union all
    select entity_id, 'credit_note' as from_type, credit_note_id, 'refund' as to_type, refund_id, 'refunded_by' as relation
    from named
    where type = 'refund.issued'
    union all
    select entity_id, 'payment' as from_type, payment_id, 'refund' as to_type, refund_id, 'refunded_by' as relation
    from named
    where type = 'refund.issued'
    union all
    select entity_id, 'refund' as from_type, refund_id, 'balance_txn' as to_type, balance_txn_id, 'settled_as' as relation
    from named
    where type = 'refund.issued'
    union all
    select entity_id, 'payment' as from_type, payment_id, 'dispute' as to_type, dispute_id, 'disputed_by' as relation
    from named
    where type like 'dispute.%'
    union all
    select
        entity_id, 'dispute' as from_type, dispute_id,
        'balance_txn' as to_type, {{ json_text('item', '$.balance_txn_id') }} as to_id, 'settled_as' as relation
    from dispute_txns
    union all
    select entity_id, 'balance_txn' as from_type, {{ json_text('item', '$') }} as from_id, 'payout' as to_type, payout_id, 'paid_out_by' as relation
    from paid_out
    union all
    select payouts.entity_id, 'payout' as from_type, payouts.payout_id, 'bank_line' as to_type, bank_lines.bank_line_id, 'received_as' as relation
    from named as bank_lines
    inner join named as payouts
        on bank_lines.entity_id = payouts.entity_id
        and payouts.type = 'payout.paid'
        and bank_lines.reference in (payouts.payout_id, payouts.reference)
    where bank_lines.type = 'bank.line_posted'
    union all
    select entity_id, document_type as from_type, document_id as from_id, 'tax_document' as to_type, document_id as to_id, 'taxed_by' as relation
    from {{ ref('can_tax_documents') }}
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
