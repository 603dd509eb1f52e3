-- A returned row is a roll-forward whose movements do not lead from opening to closing, or whose opening is not the
-- closing of the month before.
select *
from (
    select
        *,
        lag(closing, 1, 0) over (partition by entity_id, name, currency order by period) as closing_before
    from {{ ref('rollforwards') }}
) as chained
where opening + added + recognised + released + fx + prior_period <> closing or opening <> closing_before
