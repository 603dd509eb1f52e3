-- One row per legal entity, opportunity and product: what was sold (CRM) against what is subscribed (R1).
{{ config(tags=['before_posting']) }}

with sales_lines as (
    select * from {{ ref('can_sales_lines') }}
    where is_recurring and close_date <= {{ as_of_date() }}
),

subscription_sales as (
    select * from {{ ref('can_subscription_sales') }}
    where cast(booked_at as date) <= {{ as_of_date() }}
),

-- Price deviations of the quote from the price book, in words; the pair's own difference stays the contract value.
sold as (
    select
        entity_id,
        opportunity_id,
        product_code,
        currency,
        min(customer_id) as customer_id,
        min(close_date) as item_date,
        min(term_start) as term_start,
        sum(amount) as amount,
        min(case
            when list_unit_price <> price_book_unit_price
                then
                    'Quote list price ' || cast(list_unit_price as varchar) || ' is not the price book''s '
                    || cast(price_book_unit_price as varchar) || ' ' || currency || '. '
        end) as price_finding
    from sales_lines
    group by entity_id, opportunity_id, product_code, currency
),

left_side as (
    select
        entity_id,
        item_date,
        currency,
        opportunity_id || '|' || product_code as item_key,
        amount,
        opportunity_id as reference,
        customer_id,
        opportunity_id as correlation_id
    from sold
),

right_side as (
    select
        entity_id,
        min(cast(booked_at as date)) as item_date,
        currency,
        coalesce(opportunity_id, subscription_id) || '|' || product_code as item_key,
        sum(amount) as amount,
        coalesce(opportunity_id, subscription_id) as reference,
        cast(null as varchar) as customer_id,
        opportunity_id as correlation_id
    from subscription_sales
    group by entity_id, currency, opportunity_id, subscription_id, product_code
),

-- Several subscriptions may carry out one opportunity: they count together.
right_grouped as (
    select
        entity_id,
        min(item_date) as item_date,
        currency,
        item_key,
        sum(amount) as amount,
        min(reference) as reference,
        min(customer_id) as customer_id,
        min(correlation_id) as correlation_id
    from right_side
    group by entity_id, currency, item_key
),

pairs as (
    {{ recon_pairs('R1', 'left_side', 'right_grouped') }}
),

-- Where each opportunity was sold and where it is subscribed, whatever the product.
sold_entities as (
    select distinct
        opportunity_id,
        entity_id
    from sold
),

subscribed_entities as (
    select distinct
        opportunity_id,
        entity_id
    from subscription_sales where opportunity_id is not null
),

facts as (
    select
        pairs.*,
        sold.term_start,
        sold.price_finding,
        coalesce(pairs.left_reference, pairs.right_reference) as opportunity_id,
        pairs.has_left and not pairs.has_right and exists (
            select 1 from subscribed_entities as s
            where s.opportunity_id = pairs.left_reference and s.entity_id <> pairs.entity_id
        ) and not exists (
            select 1 from subscribed_entities as s
            where s.opportunity_id = pairs.left_reference and s.entity_id = pairs.entity_id
        ) as is_subscribed_elsewhere,
        pairs.has_right and not pairs.has_left and exists (
            select 1 from sold_entities as s
            where s.opportunity_id = pairs.right_reference and s.entity_id <> pairs.entity_id
        ) and not exists (
            select 1 from sold_entities as s
            where s.opportunity_id = pairs.right_reference and s.entity_id = pairs.entity_id
        ) as is_sold_elsewhere
    from pairs
    left join sold
        on pairs.has_left
        and pairs.entity_id = sold.entity_id
        and pairs.left_currency = sold.currency
        and pairs.item_key = sold.opportunity_id || '|' || sold.product_code
),

classes as (
    select
        *,
        {{ recon_class([
            ('is_subscribed_elsewhere or is_sold_elsewhere', 'wrong_entity'),
            ('not has_right and term_start > ' ~ as_of_date(), 'timing_in_transit'),
            ('is_match and price_finding is not null', 'amount'),
        ]) }} as variance_class
    from facts
    where left_amount <> 0 or right_amount <> 0 or price_finding is not null
),

classified as (
    select
        *,
        opportunity_id as reference,
        coalesce(price_finding, '') || case
            when is_subscribed_elsewhere then 'Sold by this entity, subscribed under another one.'
            when is_sold_elsewhere then 'Subscribed here, sold by another entity.'
            when variance_class = 'timing_in_transit'
                then 'Term starts on ' || cast(term_start as varchar) || ', after the cut-off; no subscription yet.'
            when variance_class = 'missing_right' then 'Won, but no subscription carries it out.'
            when variance_class = 'missing_left' then 'Subscribed, but no won opportunity stands behind it.'
            when variance_class = 'wrong_currency'
                then 'Sold in ' || left_currency || ', subscribed in ' || right_currency || '.'
            when variance_class = 'amount' and difference <> 0 then 'Contract value sold and subscribed differ.'
            else ''
        end as explanation,
        case when variance_class = 'timing_in_transit' then {{ recon_month('term_start') }} end as expected_clear_period
    from classes
)

{{ recon_items('R1', 'classified', apart=['wrong_currency']) }}
