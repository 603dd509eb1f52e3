-- A returned row is a roll-forward that does not foot, or does not open with the closing of the month before.
{{ config(tags=['after_posting'], meta={'dagster': {'ref': {'name': 'rollforward'}}}) }}

with sums as (
    select
        rollforward_code,
        entity_code,
        period,
        sum(case when line_kind = 'opening' then amount else 0 end) as opening,
        sum(case when line_kind = 'movement' then amount else 0 end) as movement,
        sum(case when line_kind = 'closing' then amount else 0 end) as closing,
        sum(case when line_kind = 'per_gl' then amount else 0 end) as per_gl,
        sum(case when line_kind = 'difference' then amount else 0 end) as difference
    from {{ ref('rollforward') }}
    group by rollforward_code, entity_code, period
),

carried as (
    select
        *,
        lag(closing) over (partition by rollforward_code, entity_code order by period) as previous_closing
    from sums
)

select *
from carried
where
    opening + movement <> closing
    or closing - per_gl <> difference
    or coalesce(previous_closing, opening) <> opening
