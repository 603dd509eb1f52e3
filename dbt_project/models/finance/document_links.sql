-- One row per directed edge from sale to ERP document and from source record to document: what `trace` walks.
with chain as (
    select
        from_type,
        from_id,
        to_type,
        to_id,
        relation
    from {{ ref('links') }}
),

booked as (
    select * from {{ ref('posting_line_trace') }}
),

entries as (
    select distinct
        entity_code,
        event_key,
        source_record,
        document_type,
        document_id,
        correlation_id,
        entry_key,
        idempotency_key
    from booked
),

edges as (
    select
        from_type,
        from_id,
        to_type,
        to_id,
        relation
    from chain
    union
    select
        'source_record' as from_type,
        vendor_record as from_id,
        'event' as to_type,
        event_key as to_id,
        'reported_as' as relation
    from {{ ref('events') }}
    union
    select
        'event' as from_type,
        event_key as from_id,
        case when type = 'bank.line_posted' then 'bank_line' else split_part(type, '.', 1) end as to_type,
        subject as to_id,
        'tells_of' as relation
    from {{ ref('events') }}
    union
    select
        'item' as from_type,
        subscription_item_id as from_id,
        'usage' as to_type,
        usage_id as to_id,
        'rated_as' as relation
    from {{ ref('can_usage_rated') }}
    union
    select
        'event' as from_type,
        event_key as from_id,
        'journal_entry' as to_type,
        entry_key as to_id,
        'booked_as' as relation
    from entries
    union
    select
        document_type as from_type,
        document_id as from_id,
        'journal_entry' as to_type,
        entry_key as to_id,
        'booked_as' as relation
    from entries
    union
    select
        'opportunity' as from_type,
        correlation_id as from_id,
        document_type as to_type,
        document_id as to_id,
        'led_to' as relation
    from entries
    union
    select
        'journal_entry' as from_type,
        entry_key as from_id,
        'journal_line' as to_type,
        booked_line_id as to_id,
        'has_line' as relation
    from booked
    union
    select
        'journal_line' as from_type,
        booked_line_id as from_id,
        'posting_batch' as to_type,
        idempotency_key as to_id,
        'posted_in' as relation
    from booked
    union
    select
        'posting_batch' as from_type,
        batch_key as from_id,
        'erp_document' as to_type,
        document_number as to_id,
        'is' as relation
    from {{ ref('can_erp_documents') }}
    where batch_key is not null
    union
    select
        'source_record' as from_type,
        source_record as from_id,
        'erp_document' as to_type,
        document_number as to_id,
        'read_back_as' as relation
    from {{ ref('can_erp_documents') }}
)

select
    from_type,
    from_id,
    to_type,
    to_id,
    relation
from edges
where
    coalesce(from_id, '') <> ''
    and coalesce(to_id, '') <> ''
    and coalesce(from_type, '') <> ''
    and coalesce(to_type, '') <> ''
