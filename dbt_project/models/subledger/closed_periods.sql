-- One row per stretch of time during which a period of an entity was closed (softly or hard), by recorded time.
with ordered as (
    select
        entity_id,
        period,
        recorded_time as closed_from,
        event_type <> 'period.reopened' as is_closed,
        lead(recorded_time, 1, timestamp '9999-12-31') over (
            partition by entity_id, period order by recorded_time, time, sequence, event_id
        ) as closed_to
    from {{ ref('can_period_events') }}
)

select entity_id, period, closed_from, closed_to
from ordered
where is_closed and closed_from < closed_to
