-- A returned row is a statement whose sides do not differ by exactly its classified variances plus what is unexplained.
{{ config(tags=['after_posting'], meta={'dagster': {'ref': {'name': 'rec_statements'}}}) }}

with sides as (
    select
        recon_id,
        entity_id,
        period,
        currency,
        sum(left_amount) as left_amount,
        sum(right_amount) as right_amount,
        sum(difference) as variances
    from {{ ref('rec_items') }}
    group by recon_id, entity_id, period, currency
)

select s.*
from {{ ref('rec_statements') }} as s
left join sides
    on
    s.recon_id = sides.recon_id
    and s.entity_id = sides.entity_id
    and s.period = sides.period
    and s.currency = sides.currency
where
    s.left_amount - s.right_amount <> s.explained + s.unexplained
    or coalesce(sides.left_amount - sides.right_amount, 0) <> s.difference
    or coalesce(sides.variances, 0) <> s.difference
