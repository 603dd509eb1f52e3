-- One row per rated usage record: how much it changes the accrued amount of its (item, window).
with families as (
    select entity_id, item_id, max(product_family) as product_family
    from {{ ref('can_subscription_item_versions') }}
    group by entity_id, item_id
),

records as (
    select
        usage.*,
        coalesce(families.product_family, 'default') as product_family,
        count(*) over per_window > count(distinct usage.usage_id) over per_window as is_rerated,
        max(usage.aggregation) over per_window as window_aggregation,
        row_number() over (
            partition by usage.entity_id, usage.subscription_item_id, usage.window_start, usage.window_end
            order by {{ fact_order('usage.') }}
        ) as record_no
    from ({{ posted('can_usage_rated') }}) as usage
    left join families on usage.entity_id = families.entity_id and usage.subscription_item_id = families.item_id
    window per_window as (partition by usage.entity_id, usage.subscription_item_id, usage.window_start, usage.window_end)
),

simple as (
    select
        records.*,
        cast(case window_aggregation
            when 'sum' then sum(amount) over so_far
            when 'max' then max(amount) over so_far
            else amount
        end as bigint) as accrued
    from records
    where not is_rerated
    window so_far as (
        partition by entity_id, subscription_item_id, window_start, window_end order by record_no
        rows between unbounded preceding and current row
    )
),

-- Re-rated windows: after each record, the newest version of every usage id counts.
versions as (
    select
        now.event_key,
        past.amount,
        past.record_no,
        row_number() over (partition by now.event_key, past.usage_id order by past.rate_version desc, past.record_no desc) as version_rank,
        now.window_aggregation
    from records as now
    inner join records as past
        on now.entity_id = past.entity_id and now.subscription_item_id = past.subscription_item_id
        and now.window_start = past.window_start and now.window_end = past.window_end
        and now.record_no >= past.record_no
    where now.is_rerated and past.is_rerated
),

rerated_values as (
    select
        event_key,
        cast(case max(window_aggregation)
            when 'sum' then sum(amount) when 'max' then max(amount) else max_by(amount, record_no)
        end as bigint) as accrued
    from versions
    where version_rank = 1
    group by event_key
),

accrued as (
    select * from simple
    union all
    select records.*, rerated_values.accrued
    from records
    inner join rerated_values on records.event_key = rerated_values.event_key
)

select
    accrued.*,
    entities.functional_currency,
    accrued.accrued - coalesce(lag(accrued.accrued) over (
        partition by accrued.entity_id, accrued.subscription_item_id, accrued.window_start, accrued.window_end
        order by accrued.record_no
    ), 0) as accrual,
    rates.num as rate_num,
    rates.den as rate_den
from accrued
inner join {{ state('entities') }} as entities on accrued.entity_id = entities.entity_id
inner join {{ ref('line_policies') }} as policies
    on accrued.entity_id = policies.entity_id and accrued.product_family = policies.product_family
    and accrued.currency = policies.currency
left join {{ ref('spot_rates') }} as rates
    on accrued.entity_id = rates.entity_id and accrued.currency = rates.currency and accrued.accounting_date = rates.rate_date
where policies.usage_recognition = 'as_reported'
