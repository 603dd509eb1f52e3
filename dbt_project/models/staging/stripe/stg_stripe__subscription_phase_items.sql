-- One row per (phase, price): quantity and terms of a subscription item while the phase lasts.
with elements as (
    {{ json_elements(ref('stg_stripe__subscription_phases'), 'items', [
        '_source', 'entity_id', 'subscription_id', 'phase_no',
    ]) }}
),

fields as (
    select
        _source,
        entity_id,
        subscription_id,
        phase_no,
        {{ json_texts('item', ['$.price', '$.price.id', '$.quantity']) }} as f
    from elements
),

quantities as (
    select
        _source,
        entity_id,
        subscription_id,
        phase_no,
        coalesce(f[2], f[1]) as price_id,
        cast(sum(cast(coalesce(f[3], '1') as decimal(18, 6))) as decimal(18, 6)) as quantity
    from fields
    group by _source, entity_id, subscription_id, phase_no, coalesce(f[2], f[1])
),

prices as (
    select * from {{ ref('stg_stripe__prices') }}
)

select
    quantities._source,
    quantities.entity_id,
    quantities.subscription_id,
    quantities.phase_no,
    quantities.subscription_id || ':' || quantities.price_id as item_id,
    quantities.price_id,
    prices.product_code,
    prices.product_family,
    quantities.quantity,
    prices.unit_amount,
    prices.unit_price,
    prices.exponent,
    prices.recurring_interval,
    prices.interval_count,
    prices.interval_months,
    prices.interval_days,
    prices.is_metered
from quantities
left join prices on quantities._source = prices._source and quantities.price_id = prices.price_id
