-- One row per accepted event identity (source, id): the only input of the subledger.
with deliveries as (
    select * from {{ ref('event_deliveries') }}
),

-- Equal content under one identity is ignored and counted, never an exception.
deliveries_per_event as (
    select
        event_key,
        cast(count(*) as integer) as delivery_count
    from deliveries
    where verdict in ('accepted', 'duplicate')
    group by event_key
)

select
    deliveries.source,
    deliveries.id,
    deliveries.event_key,
    deliveries.type,
    deliveries.time,
    deliveries.entity_id,
    deliveries.effective_date,
    deliveries.recorded_time,
    deliveries.sequence,
    deliveries.subject,
    deliveries.correlation_id,
    deliveries.causation_id,
    deliveries.supersedes_id,
    deliveries.data,
    deliveries.content_hash,
    deliveries.landed_at,
    deliveries.vendor_record,
    deliveries_per_event.delivery_count
from deliveries
inner join deliveries_per_event on deliveries.event_key = deliveries_per_event.event_key
where deliveries.verdict = 'accepted'
