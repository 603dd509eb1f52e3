-- One row per (metered subscription item, billing window) that has ended by the cut-off and had usage: total quantity.
with phases as (
    select * from {{ ref('stg_stripe__subscription_phases') }}
),

items as (
    select * from {{ ref('stg_stripe__subscription_phase_items') }}
    where is_metered
),

prices as (
    select * from {{ ref('stg_stripe__prices') }}
),

meter_usage as (
    select * from {{ ref('stg_stripe__meter_usage') }}
),

-- Life of an item over the phases that carry it; an item that runs on ends in the far future.
item_lives as (
    select
        items._source,
        items.entity_id,
        items.subscription_id,
        items.item_id,
        items.price_id,
        items.product_code,
        items.product_family,
        items.interval_months,
        phases.customer_id,
        phases.billing_customer_id,
        phases.currency,
        phases.anchor_date,
        min(phases.phase_start) as life_start,
        max(coalesce(phases.next_phase_start, phases.subscription_end, cast('9999-12-31' as date))) as life_end
    from items
    inner join phases
        on items._source = phases._source
        and items.subscription_id = phases.subscription_id
        and items.phase_no = phases.phase_no
    group by
        items._source, items.entity_id, items.subscription_id, items.item_id, items.price_id, items.product_code,
        items.product_family, items.interval_months, phases.customer_id, phases.billing_customer_id, phases.currency,
        phases.anchor_date
),

indexed as (
    select
        *,
        {{ each_integer(
            "cast(floor(" ~ months_between_firsts('anchor_date', 'life_start') ~ " / interval_months) as integer) - 1",
            "cast(floor(" ~ months_between_firsts('anchor_date', 'least(life_end, ' ~ add_days(as_of_date(), 1) ~ ')') ~ " / interval_months) as integer)",
        ) }} as n
    from item_lives
),

-- Billing windows of the item: the subscription's periods, cut off where the item begins or ends.
bounds as (
    select
        *,
        {{ add_months('anchor_date', 'n * interval_months') }} as period_start,
        {{ add_months('anchor_date', '(n + 1) * interval_months') }} as period_end
    from indexed
),

windows as (
    select
        *,
        greatest(period_start, life_start) as window_start,
        least(period_end, life_end) as window_end
    from bounds
    where period_start < life_end and period_end > life_start
)

select
    windows._source,
    windows.entity_id,
    windows.subscription_id,
    windows.item_id,
    windows.price_id,
    windows.product_code,
    windows.product_family,
    windows.customer_id,
    windows.currency,
    windows.window_start,
    windows.window_end,
    cast(sum(meter_usage.quantity) as decimal(20, 6)) as quantity,
    max(meter_usage._landing_seq) as landing_seq,
    max(meter_usage._first_landed_at) as landed_at
from windows
inner join prices on windows._source = prices._source and windows.price_id = prices.price_id
inner join meter_usage
    on windows._source = meter_usage._source
    and windows.billing_customer_id = meter_usage.billing_customer_id
    and prices.meter_id = meter_usage.meter_id
    and windows.window_start <= meter_usage.usage_date
    and windows.window_end > meter_usage.usage_date
-- A window that the cut-off itself cuts has not ended, unless the cut-off is its last day.
where windows.window_end <= {{ add_days(as_of_date(), 1) }}
group by
    windows._source, windows.entity_id, windows.subscription_id, windows.item_id, windows.price_id, windows.product_code,
    windows.product_family, windows.customer_id, windows.currency, windows.window_start, windows.window_end
