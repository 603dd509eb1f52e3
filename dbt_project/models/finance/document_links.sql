-- One row per directed edge from sale to ERP document and from source record to document: what `trace` walks.
with chain as (
    select from_type, from_id, to_type, to_id, relation from {{ ref('links') }}
),

booked as (
    select * from {{ ref('posting_line_trace') }}
),

entries as (
    select distinct entity_code, event_key, source_record, document_type, document_id, correlation_id, entry_key, idempotency_key
    from booked
),

edges as (
    select from_type, from_id, to_type, to_id, relation from chain
    union
    select 'source_record', vendor_record, 'event', event_key, 'reported_as'
    from {{ ref('events') }}
    union
    select
        'event',
        event_key,
        case when type = 'bank.line_posted' then 'bank_line' else split_part(type, '.', 1) end,
        subject,
        'tells_of'
    from {{ ref('events') }}
    union
    select 'item', subscription_item_id, 'usage', usage_id, 'rated_as' from {{ ref('can_usage_rated') }}
    union
    select 'event', event_key, 'journal_entry', entry_key, 'booked_as' from entries
    union
    select document_type, document_id, 'journal_entry', entry_key, 'booked_as' from entries
    union
    select 'opportunity', correlation_id, document_type, document_id, 'led_to' from entries
    union
    select 'journal_entry', entry_key, 'journal_line', booked_line_id, 'has_line' from booked
    union
    select 'journal_line', booked_line_id, 'posting_batch', idempotency_key, 'posted_in' from booked
    union
    select 'posting_batch', batch_key, 'erp_document', document_number, 'is'
    from {{ ref('can_erp_documents') }}
    where batch_key is not null
)

select from_type, from_id, to_type, to_id, relation
from edges
where
    coalesce(from_id, '') <> ''
    and coalesce(to_id, '') <> ''
    and coalesce(from_type, '') <> ''
    and coalesce(to_type, '') <> ''
