-- One row per entity, foreign currency and day on which something happened there: functional minor units = TC x num / den.
with days as (
    select distinct entity_id, effective_date as rate_date from {{ ref('events') }}
)

select
    ranges.entity_id,
    ranges.currency,
    days.rate_date,
    ranges.num,
    ranges.den
from days
inner join {{ ref('spot_rate_ranges') }} as ranges
    on days.entity_id = ranges.entity_id
    and days.rate_date >= ranges.valid_from
    and days.rate_date < ranges.valid_to
qualify row_number() over (
    partition by ranges.entity_id, ranges.currency, days.rate_date order by ranges.preference
) = 1
