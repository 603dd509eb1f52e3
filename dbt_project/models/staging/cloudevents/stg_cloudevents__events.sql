-- One row per landed delivery of a CloudEvent; which of several deliveries of one identity counts is decided later.
{{ config(materialized='view') }}
{%- set _lineage = source('cloudevents', 'cloud_event') %}
with landed as (
    select
        _source,
        _record_id,
        _landing_seq,
        _landed_at,
        {{ json_texts('raw', [
            '$.source', '$.id', '$.type', '$.time', '$.entityid', '$.effectivedate', '$.recordedtime', '$.sequence',
            '$.subject', '$.correlationid', '$.causationid', '$.supersedesid', '$.data',
        ]) }} as f
    from {{ landing('cloudevents', 'cloud_event') }}
),

entities as (
    select entity_id, time_zone from {{ state('entities') }}
),

named as (
    select
        f[1] as source,
        f[2] as id,
        f[3] as type,
        {{ iso_to_utc('f[4]') }} as time,
        f[5] as entity_id,
        cast(f[6] as date) as stated_date,
        {{ iso_to_utc('f[7]') }} as recorded_time,
        f[8] as sequence,
        f[9] as subject,
        f[10] as correlation_id,
        f[11] as causation_id,
        f[12] as supersedes_id,
        f[13] as data,
        _landed_at as landed_at,
        _landing_seq as landing_seq,
        _source || '/cloud_event/' || _record_id as vendor_record,
        _source || '|' || cast(_landing_seq as varchar) as delivery
    from landed
),

-- The landing step sets a missing effective date; the same rule here keeps a file landed by other means right.
dated as (
    select
        named.*,
        coalesce(
            named.stated_date, {{ local_date('named.time', "coalesce(entities.time_zone, 'UTC')") }}
        ) as effective_date
    from named
    left join entities on named.entity_id = entities.entity_id
),

-- Whether two deliveries of one identity say the same may not hang on the order of their keys. An identity that came
-- once has nothing to be compared with: the hash of its text will do, at a fifth of the cost.
identities as (
    select source, id from dated group by source, id having count(*) > 1
),

repeated as (
    select dated.delivery, dated.data
    from dated
    inner join identities on dated.source = identities.source and dated.id = identities.id
),

digests as (
    {{ json_digests('repeated', 'delivery', 'data') }}
),

hashed as (
    select
        dated.*,
        md5(
            coalesce(dated.type, '') || '|' || coalesce(dated.entity_id, '') || '|'
            || coalesce(cast(dated.effective_date as varchar), '') || '|' || coalesce(digests.content_digest, md5(dated.data), '')
        ) as payload_hash
    from dated
    left join digests on dated.delivery = digests.delivery
)

{{ event_envelope('hashed', content_hash='payload_hash') }}
