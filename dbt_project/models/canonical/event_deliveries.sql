-- One row per delivered event, with the verdict on it: accepted, duplicate, conflict, schema_invalid, unknown_reference.
with delivered as (
    {%- for vendor in var('event_sources') + (var('own_event_sources', '').split(',') | select | list) %}
    {{ 'union all' if not loop.first }}
    select
        {{ event_input_columns().keys() | join(', ') }}, event_key, content_hash
    from {{ ref('stg_' ~ vendor ~ '__events') }}
    {%- endfor %}
),

judged as (
    select
        delivered.*,
        case
            when delivered.source is null or delivered.id is null then 'source or id is missing'
            when delivered.type is null then 'type is missing'
            when delivered.type not in ('{{ event_types() | join("', '") }}')
                then 'unknown type ' || delivered.type
            when delivered.time is null then 'time is missing'
            when delivered.recorded_time is null then 'recordedtime is missing'
            when delivered.entity_id is null then 'entityid is missing'
            when delivered.effective_date is null then 'effectivedate is missing'
            when delivered.data is null or not coalesce({{ json_kind('delivered.data', '$') }} = 'OBJECT', false)
                then 'data is not an object'
            {%- for event_type, fields in event_required_fields().items() %}
            when delivered.type = '{{ event_type }}' and ({{ event_fields_missing('delivered.data', fields) }})
                then 'missing or not of its type: one of {{ fields | join(", ") }}'
            {%- endfor %}
            {%- for event_type, paths in event_money_fields().items() %}
            when
                delivered.type = '{{ event_type }}'
                and ({{ event_money_wrong('delivered.data', paths.get('plain', []), paths.get('lists', [])) }})
                then 'money is missing or not an integer: one of {{ (paths.get('plain', []) + paths.get('lists', [])) | join(", ") }}'
            {%- endfor %}
            when
                delivered.type = 'credit_note.issued'
                and coalesce({{ json_text('delivered.data', '$.timing') }}, '') not in ('pre_payment', 'post_payment')
                then 'timing of a credit note must be pre_payment or post_payment'
            when
                delivered.type in ('invoice.posted', 'contract.booked')
                and {{ json_values_repeat('delivered.data', '$.lines[*].line_id') }}
                then 'two lines have the same line_id'
        end as fault,
        entities.entity_id is not null as is_entity_known
    from delivered
    left join {{ state('entities') }} as entities on delivered.entity_id = entities.entity_id
),

valid as (
    select * from judged where fault is null and is_entity_known
),

-- Most identities come once, and have nothing to be compared with.
repeated as (
    select event_key from valid group by event_key having count(*) > 1
),

-- The first delivery that is valid stays in force; delivery order decides nothing but which of two conflicting ones it is.
-- Equal content under one identity is ignored and counted, never an exception.
ranked as (
    select
        valid.*,
        row_number() over identity as identity_rank,
        first_value(valid.content_hash) over identity as accepted_hash
    from valid
    inner join repeated on valid.event_key = repeated.event_key
    window identity as (partition by valid.event_key order by valid.landed_at, valid.landing_seq, valid.content_hash)
),

verdicts as (
    select
        valid.*,
        valid.content_hash as accepted_hash,
        'accepted' as verdict,
        1 as delivery_count
    from valid
    left join repeated on valid.event_key = repeated.event_key
    where repeated.event_key is null
    union all
    select
        * exclude (identity_rank),
        case
            when identity_rank = 1 then 'accepted'
            when content_hash = accepted_hash then 'duplicate'
            else 'conflict'
        end as verdict,
        cast(count(*) filter (where content_hash = accepted_hash) over (partition by event_key) as integer) as delivery_count
    from ranked
    union all
    select
        *,
        null as accepted_hash,
        case when fault is not null then 'schema_invalid' else 'unknown_reference' end as verdict,
        1 as delivery_count
    from judged
    where fault is not null or not is_entity_known
)

select
    {{ event_input_columns().keys() | join(', ') }}, event_key, content_hash, fault, accepted_hash, verdict, delivery_count
from verdicts
