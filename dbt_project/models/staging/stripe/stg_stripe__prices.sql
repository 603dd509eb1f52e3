-- One row per price, with its product's code and family and the price in major units.
with staged as (
    {{ staged_object('stripe', 'price', {
        'price_id': ['$.id', 'text'],
        'product_id': ['$.product', 'text'],
        'currency': ['$.currency', 'text'],
        'price_type': ['$.type', 'text'],
        'billing_scheme': ['$.billing_scheme', 'text'],
        'unit_amount': ['$.unit_amount', 'text'],
        'unit_amount_decimal': ['$.unit_amount_decimal', 'text'],
        'recurring_interval': ['$.recurring.interval', 'text'],
        'interval_count': ['$.recurring.interval_count', 'integer'],
        'usage_type': ['$.recurring.usage_type', 'text'],
        'meter_id': ['$.recurring.meter', 'text'],
        'tiers_mode': ['$.tiers_mode', 'text'],
        'tiers': ['$.tiers', 'json'],
        'price_product_code': ['$.metadata.product_code', 'text'],
        'list_unit_amount': ['$.metadata.list_unit_amount', 'text'],
    }, keep_deleted=true) }}
),

products as (
    select * from {{ ref('stg_stripe__products') }}
),

currencies as (
    select * from {{ state('currencies') }}
)

select
    staged._source,
    staged._entity_id as entity_id,
    staged.price_id,
    staged.product_id,
    coalesce(products.product_code, staged.price_product_code) as product_code,
    products.product_family,
    upper(staged.currency) as currency,
    currencies.exponent,
    coalesce(staged.price_type = 'one_time', false) as is_one_time,
    coalesce(staged.usage_type = 'metered', false) as is_metered,
    staged.recurring_interval,
    cast(coalesce(staged.interval_count, 1) as integer) as interval_count,
    -- Months of one billing period; null for day and week, which are counted in days.
    cast(case staged.recurring_interval when 'month' then 1 when 'year' then 12 end * coalesce(staged.interval_count, 1) as integer)
        as interval_months,
    cast(case staged.recurring_interval when 'day' then 1 when 'week' then 7 end * coalesce(staged.interval_count, 1) as integer)
        as interval_days,
    -- Minor units; a vendor's price may have fractions of them.
    cast(coalesce(staged.unit_amount_decimal, staged.unit_amount) as decimal(22, 8)) as unit_amount,
    {{ minor_text_to_major('coalesce(staged.unit_amount_decimal, staged.unit_amount)', 'currencies.exponent') }} as unit_price,
    {{ minor_text_to_major('staged.list_unit_amount', 'currencies.exponent') }} as list_unit_price,
    staged.meter_id,
    staged.tiers_mode,
    staged.tiers
from staged
left join products on staged._source = products._source and staged.product_id = products.product_id
left join currencies on upper(staged.currency) = currencies.currency
