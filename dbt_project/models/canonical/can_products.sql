-- One row per product code.
with products as (
    {{ union_sources(providers('products'), 'products', ['product_code', 'name', 'product_family', 'is_active']) }}
)

select
    product_code,
    min(name) as name,
    min(product_family) as product_family,
    bool_or(coalesce(is_active, true)) as is_active
from products
where product_code is not null
group by product_code
