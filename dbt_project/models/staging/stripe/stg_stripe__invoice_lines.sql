-- One row per invoice line, amount after discounts and without tax, service window in days of the entity.
with elements as (
    {{ json_elements(ref('stg_stripe__invoices'), 'lines', ['_source', 'entity_id', 'time_zone', 'invoice_id', 'currency']) }}
),

fields as (
    select
        _source,
        entity_id,
        time_zone,
        invoice_id,
        currency,
        position as line_no,
        {{ json_texts('item', [
            '$.id', '$.amount', '$.quantity_decimal', '$.quantity', '$.period.start', '$.period.end',
            '$.parent.subscription_item_details.subscription', '$.parent.invoice_item_details.subscription',
            '$.parent.subscription_item_details.proration', '$.parent.invoice_item_details.proration',
            '$.parent.subscription_item_details.proration_details.credited_items.invoice_line_items[0]',
            '$.parent.invoice_item_details.proration_details.credited_items.invoice_line_items[0]',
            '$.pricing.price_details.price', '$.pricing.price_details.product', '$.pricing.unit_amount_decimal',
            '$.taxes', '$.description',
        ]) }} as f,
        {{ json_sum('item', '$.discount_amounts[*].amount') }} as discount_amount
    from elements
),

named as (
    select
        _source,
        entity_id,
        invoice_id,
        currency,
        line_no,
        f[1] as line_id,
        cast(f[2] as bigint) as listed_amount,
        discount_amount,
        cast(coalesce(f[3], f[4]) as decimal(28, 12)) as quantity,
        {{ local_date(unix_to_utc('f[5]'), 'time_zone') }} as period_start,
        {{ local_date(unix_to_utc('f[6]'), 'time_zone') }} as period_end,
        coalesce(f[7], f[8]) as subscription_id,
        coalesce(cast(coalesce(f[9], f[10]) as boolean), false) as is_proration,
        coalesce(f[11], f[12]) as original_line_id,
        f[13] as price_id,
        f[14] as product_id,
        f[15] as unit_amount_text,
        coalesce(f[16], '[]') as taxes
    from fields
),

prices as (
    select * from {{ ref('stg_stripe__prices') }}
),

products as (
    select * from {{ ref('stg_stripe__products') }}
),

currencies as (
    select * from {{ state('currencies') }}
),

classified as (
    select
        named.*,
        products.product_code,
        products.product_family,
        currencies.exponent,
        case
            when named.is_proration then 'proration'
            when prices.is_metered then 'usage'
            when coalesce(prices.is_one_time, named.subscription_id is null) then 'one_time'
            else 'recurring'
        end as charge_kind
    from named
    left join prices on named._source = prices._source and named.price_id = prices.price_id
    left join products
        on named._source = products._source and coalesce(prices.product_id, named.product_id) = products.product_id
    left join currencies on named.currency = currencies.currency
)

select
    _source,
    entity_id,
    invoice_id,
    line_id,
    line_no,
    currency,
    listed_amount,
    discount_amount,
    quantity,
    {{ minor_text_to_major('unit_amount_text', 'exponent') }} as unit_price,
    case when charge_kind <> 'one_time' and period_start < period_end then period_start end as service_start,
    case when charge_kind <> 'one_time' and period_start < period_end then period_end end as service_end,
    charge_kind,
    subscription_id,
    case when charge_kind <> 'one_time' then subscription_id || ':' || price_id end as subscription_item_id,
    original_line_id,
    price_id,
    product_code,
    product_family,
    taxes
from classified
