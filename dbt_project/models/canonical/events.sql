-- One row per accepted event identity (source, id): the only input of the subledger. A view: a payload is stored once.
{{ config(materialized='view') }}
select
    source,
    id,
    event_key,
    type,
    time,
    entity_id,
    effective_date,
    recorded_time,
    sequence,
    subject,
    correlation_id,
    causation_id,
    supersedes_id,
    data,
    content_hash,
    landed_at,
    vendor_record,
    delivery_count
from {{ ref('event_deliveries') }}
where verdict = 'accepted'
