-- One row per (metered subscription item, ended billing window): its quantity rated by the item's price, in minor units.
with windows as (
    select * from {{ ref('stg_stripe__usage_windows') }}
),

prices as (
    select * from {{ ref('stg_stripe__prices') }}
),

tiers as (
    select * from {{ ref('stg_stripe__price_tiers') }}
),

-- Graduated: each unit costs what its own tier says. Volume: all units cost what the tier of the total says.
tier_parts as (
    select
        windows._source,
        windows.item_id,
        windows.window_start,
        case
            when tiers.tiers_mode = 'volume' then windows.quantity
            else least(windows.quantity, coalesce(tiers.to_quantity, windows.quantity)) - tiers.from_quantity
        end as quantity,
        tiers.unit_amount,
        tiers.flat_amount
    from windows
    inner join tiers on windows._source = tiers._source and windows.price_id = tiers.price_id
    where
        windows.quantity > tiers.from_quantity
        and (tiers.tiers_mode <> 'volume' or tiers.to_quantity is null or windows.quantity <= tiers.to_quantity)
),

tiered as (
    select
        _source,
        item_id,
        window_start,
        sum(cast(quantity * unit_amount as decimal(38, 10)) + flat_amount) as exact_amount
    from tier_parts
    group by _source, item_id, window_start
)

select
    windows._source,
    windows.entity_id,
    windows.subscription_id,
    windows.item_id,
    windows.product_code,
    windows.product_family,
    windows.customer_id,
    windows.currency,
    windows.window_start,
    windows.window_end,
    windows.quantity,
    cast(round(
        coalesce(tiered.exact_amount, cast(windows.quantity * cast(prices.unit_amount as decimal(18, 8)) as decimal(38, 10)), 0), 0
    ) as bigint) as amount,
    windows.landing_seq,
    windows.landed_at
from windows
inner join prices on windows._source = prices._source and windows.price_id = prices.price_id
left join tiered
    on windows._source = tiered._source
    and windows.item_id = tiered.item_id
    and windows.window_start = tiered.window_start
