-- One row per usage.rated event: an ended billing window of a metered item, known when the window ends.
with ratings as (
    select * from {{ ref('stg_stripe__usage_ratings') }}
),

phases as (
    select * from {{ ref('stg_stripe__subscription_phases') }}
),

entities as (
    select * from {{ state('entities') }}
),

payloads as (
    select
        ratings.*,
        phases.opportunity_id,
        {{ day_start_utc('ratings.window_end', 'entities.time_zone') }} as known_at,
        {{ json_object_text({
            'usage_id': "ratings.item_id || ':' || cast(ratings.window_start as varchar)",
            'subscription_item_id': 'ratings.item_id',
            'subscription_id': 'ratings.subscription_id',
            'customer_id': 'ratings.customer_id',
            'product_id': 'ratings.product_code',
            'product_family': 'ratings.product_family',
            'window_start': 'cast(ratings.window_start as varchar)',
            'window_end': 'cast(ratings.window_end as varchar)',
            'quantity': decimal_text('ratings.quantity'),
            'amount': 'ratings.amount',
            'currency': 'ratings.currency',
        }) }} as data
    from ratings
    inner join entities on ratings.entity_id = entities.entity_id
    -- The sale in force on the last day of the window.
    left join phases
        on ratings._source = phases._source
        and ratings.subscription_id = phases.subscription_id
        and ratings.window_end > phases.phase_start
        and (phases.next_phase_start is null or ratings.window_end <= phases.next_phase_start)
),

enveloped as (
    select
        '/stripe/' || _source as source,
        'usage.rated:' || item_id || ':' || cast(window_start as varchar) as id,
        'usage.rated' as type,
        known_at as time,
        entity_id,
        {{ add_days('window_end', -1) }} as effective_date,
        known_at as recorded_time,
        null as sequence,
        item_id || ':' || cast(window_start as varchar) as subject,
        opportunity_id as correlation_id,
        null as causation_id,
        null as supersedes_id,
        data,
        landed_at,
        landing_seq,
        _source || '/subscription/' || subscription_id as vendor_record
    from payloads
)

{{ event_envelope('enveloped') }}
