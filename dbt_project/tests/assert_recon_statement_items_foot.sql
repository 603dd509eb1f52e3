-- A returned row is a published statement whose variance is not its items plus what it tolerates (items without a class
-- are the unexplained part).
{{ config(tags=['after_posting'], meta={'dagster': {'ref': {'name': 'recon_statement'}}}) }}

with items as (
    select
        recon_code,
        period,
        entity_code,
        currency,
        sum(amount) as amount,
        sum(case when category = 'unexplained' then amount else 0 end) as unexplained
    from {{ ref('recon_item') }}
    group by recon_code, period, entity_code, currency
)

select
    s.recon_code,
    s.period,
    s.entity_code,
    s.currency,
    s.variance_amount,
    items.amount
from {{ ref('recon_statement') }} as s
left join items
    on
    s.recon_code = items.recon_code
    and s.period = items.period
    and s.entity_code = items.entity_code
    and s.currency = items.currency
where
    s.variance_amount <> coalesce(items.amount, 0) + s.tolerated_amount
    or s.unexplained_amount <> coalesce(items.unexplained, 0)
    or s.variance_amount <> s.explained_amount + s.tolerated_amount + s.unexplained_amount
