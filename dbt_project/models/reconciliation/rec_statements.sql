-- One row per reconciliation, entity, period and currency: both sides, what is explained and what is not.
{{ config(tags=['after_posting']) }}

with items as (
    select * from {{ ref('rec_items') }}
),

entities as (
    select * from {{ state('entities') }}
),

-- Every reconciliation answers for every period begun, also one in which nothing happened: zero is a statement.
spine as (
    select
        policy.recon_id,
        policy.entity_id,
        periods.period,
        entities.functional_currency as currency
    from {{ ref('rec_policy') }} as policy
    inner join entities on policy.entity_id = entities.entity_id
    inner join {{ state('periods') }} as periods on policy.entity_id = periods.entity_id
    where
        periods.start_date <= {{ as_of_date() }}
        and policy.recon_id in {{ recon_ids() }}
),

totals as (
    select
        recon_id,
        entity_id,
        period,
        currency,
        sum(left_amount) as left_amount,
        sum(right_amount) as right_amount,
        sum(case when coalesce(variance_class, 'unexplained') <> 'unexplained' then difference else 0 end) as explained,
        sum(case when variance_class is not null then 1 else 0 end) as item_count,
        sum(match_count) as matched_count,
        sum(case when gates then 1 else 0 end) as gate_count
    from items
    group by recon_id, entity_id, period, currency
)

select
    coalesce(t.recon_id, s.recon_id) as recon_id,
    coalesce(t.entity_id, s.entity_id) as entity_id,
    coalesce(t.period, s.period) as period,
    coalesce(t.currency, s.currency) as currency,
    cast(coalesce(t.left_amount, 0) as bigint) as left_amount,
    cast(coalesce(t.right_amount, 0) as bigint) as right_amount,
    cast(coalesce(t.left_amount - t.right_amount, 0) as bigint) as difference,
    cast(coalesce(t.explained, 0) as bigint) as explained,
    -- Whatever no class explains, also if a model forgot to class it.
    cast(coalesce(t.left_amount - t.right_amount - t.explained, 0) as bigint) as unexplained,
    cast(coalesce(t.item_count, 0) as bigint) as item_count,
    cast(coalesce(t.matched_count, 0) as bigint) as matched_count,
    cast(coalesce(t.gate_count, 0) as bigint) as gate_count
from totals as t
full outer join spine as s
    on t.recon_id = s.recon_id and t.entity_id = s.entity_id and t.period = s.period and t.currency = s.currency
