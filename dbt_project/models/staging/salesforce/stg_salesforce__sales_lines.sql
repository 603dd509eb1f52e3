-- One row per line of the accepted primary quote of a closed-won opportunity, priced against the price book.
with opportunities as (
    select * from {{ ref('stg_salesforce__opportunities') }}
    where is_won and is_closed
),

quotes as (
    select * from {{ ref('stg_salesforce__quotes') }}
    where is_primary and status = 'Accepted'
),

quote_lines as (
    select * from {{ ref('stg_salesforce__quote_lines') }}
),

products as (
    select * from {{ ref('stg_salesforce__products') }}
),

pricebook_entries as (
    select * from {{ ref('stg_salesforce__pricebook_entries') }}
),

currencies as (
    select * from {{ state('currencies') }}
),

lines as (
    select
        coalesce(quote_lines.entity_id, opportunities.entity_id) as entity_id,
        opportunities.opportunity_id,
        opportunities.opportunity_type,
        opportunities.account_id as customer_id,
        opportunities.close_date,
        quote_lines._source,
        quote_lines.product_id,
        quote_lines.product_code,
        coalesce(quote_lines.currency, opportunities.currency) as currency,
        quote_lines.quantity,
        quote_lines.list_unit_price,
        quote_lines.net_unit_price,
        quote_lines.term_start,
        quote_lines.term_end,
        quote_lines.net_total,
        quote_lines.charge_type,
        quote_lines.subscription_type,
        quotes.price_book_id,
        quotes.quote_id,
        quote_lines.quote_line_id
    from opportunities
    inner join quotes
        on opportunities._source = quotes._source and opportunities.opportunity_id = quotes.opportunity_id
    inner join quote_lines on quotes._source = quote_lines._source and quotes.quote_id = quote_lines.quote_id
),

-- The entry of the quote's own price book, or of the only book there is when the quote names none.
book_prices as (
    select
        lines._source,
        lines.quote_line_id,
        min(pricebook_entries.unit_price) as unit_price
    from lines
    inner join pricebook_entries
        on lines._source = pricebook_entries._source
        and lines.product_id = pricebook_entries.product_id
        and lines.currency = pricebook_entries.currency
        and (lines.price_book_id is null or lines.price_book_id = pricebook_entries.price_book_id)
    group by lines._source, lines.quote_line_id
    having count(distinct pricebook_entries.unit_price) = 1
)

select
    lines.entity_id,
    lines.opportunity_id,
    lines.opportunity_type,
    lines.customer_id,
    lines.close_date,
    lines.product_code,
    products.product_family,
    lines.currency,
    cast(lines.quantity as decimal(18, 6)) as quantity,
    cast(lines.list_unit_price as decimal(18, 6)) as list_unit_price,
    cast(lines.net_unit_price as decimal(18, 6)) as net_unit_price,
    cast(book_prices.unit_price as decimal(18, 6)) as price_book_unit_price,
    lines.term_start,
    lines.term_end,
    coalesce(lines.charge_type, 'Recurring') not in ('One-Time', 'Usage')
    and coalesce(lines.subscription_type, 'Renewable') <> 'One-time' as is_recurring,
    {{ major_to_minor('lines.net_total', 'currencies.exponent') }} as amount,
    lines.quote_id,
    lines.quote_line_id
from lines
left join products on lines._source = products._source and lines.product_id = products.product_id
left join book_prices on lines._source = book_prices._source and lines.quote_line_id = book_prices.quote_line_id
left join currencies on lines.currency = currencies.currency
