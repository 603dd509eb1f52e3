-- One row per content that could not be accepted: conflict, schema_invalid (dead letters included), unknown_reference.
with refused as (
    select
        *,
        {{ event_business_id('type', 'data') }} as business_id
    from {{ ref('event_deliveries') }}
    where verdict in ('conflict', 'schema_invalid', 'unknown_reference')
),

described as (
    select
        verdict as class,
        entity_id,
        coalesce(business_id, subject, id, vendor_record) as subject,
        event_key,
        -- what only came once is hashed by its text, so the record names it: a re-delivery must not rename the exception
        case when verdict = 'conflict' then content_hash else vendor_record end as content_hash,
        vendor_record,
        case verdict
            when 'conflict' then 'same source and id as an accepted event, but other content; the first stays in force'
            when 'schema_invalid' then fault
            else 'legal entity ' || entity_id || ' is not configured'
        end as detail
    from refused
    union all
    -- What the reader refused before it landed waits here too, until an event of the same identity is accepted.
    select
        'schema_invalid' as class,
        letters.entity_id,
        letters.id as subject,
        letters.event_key,
        letters.record_id as content_hash,
        letters.vendor_record,
        letters.detail
    from {{ dead_letters() }} as letters
    inner join {{ state('entities') }} as entities on letters.entity_id = entities.entity_id
    where letters.event_key not in (
        select accepted.event_key from {{ ref('event_deliveries') }} as accepted where accepted.verdict = 'accepted'
    )
)

select
    md5(class || '|' || coalesce(event_key, vendor_record) || '|' || coalesce(content_hash, '')) as exception_key,
    class,
    entity_id,
    subject,
    event_key,
    min(detail) as detail,
    min(vendor_record) as vendor_record,
    cast(count(*) as integer) as delivery_count
from described
group by 1, 2, 3, 4, 5
