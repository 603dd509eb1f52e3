-- A returned row is an obligation recognised over time whose parts and catch-ups do not add up to its allocated price.
{{ config(meta={'dagster': {'ref': {'name': 'obligation_states'}}}) }}
with last_states as (
    select contract_no, line_id, entity_id, contract_id, price
    from {{ ref('obligation_states') }}
    where is_timed
    qualify row_number() over (partition by contract_no, line_id order by step desc) = 1
),

recognised as (
    select contract_no, line_id, sum(amount) as amount
    from (
        select contract_no, line_id, amount from {{ ref('obligation_parts') }}
        union all
        select contract_no, line_id, eff_revenue as amount from {{ ref('obligation_states') }}
    ) as pieces
    group by 1, 2
)

select last_states.entity_id, last_states.contract_id, last_states.line_id, last_states.price, recognised.amount
from last_states
left join recognised on last_states.contract_no = recognised.contract_no and last_states.line_id = recognised.line_id
where last_states.price <> coalesce(recognised.amount, 0)
