-- One row per tier of a tiered price: it serves the units in (from_quantity, to_quantity]; the last has no end.
with elements as (
    {{ json_elements("(select * from " ~ ref('stg_stripe__prices') ~ " where tiers is not null)", 'tiers',
        ['_source', 'price_id', 'tiers_mode']) }}
),

fields as (
    select
        _source,
        price_id,
        tiers_mode,
        position,
        {{ json_texts('item', ['$.up_to', '$.unit_amount_decimal', '$.unit_amount', '$.flat_amount_decimal', '$.flat_amount']) }} as f
    from elements
)

select
    _source,
    price_id,
    tiers_mode,
    position as tier_no,
    cast(coalesce(lag(f[1]) over (partition by _source, price_id order by position), '0') as decimal(18, 6)) as from_quantity,
    cast(f[1] as decimal(18, 6)) as to_quantity,
    cast(coalesce(f[2], f[3], '0') as decimal(18, 10)) as unit_amount,
    cast(coalesce(f[4], f[5], '0') as decimal(18, 10)) as flat_amount
from fields
