-- One row per event of our own system, in the platform's envelope.
-- Replace `records` by what holds your records, such as read_parquet('/data/orders/*.parquet') or a table of an attached
-- database. One row = one invoice line here; until then the model is empty and changes nothing.
with records as (
    select
        cast(null as varchar) as entity_id,
        cast(null as varchar) as invoice_id,
        cast(null as varchar) as customer_id,
        cast(null as varchar) as currency,
        cast(null as varchar) as product_family,
        cast(null as bigint) as net_amount_minor,
        cast(null as date) as service_start,
        cast(null as date) as service_end,
        cast(null as timestamp) as invoiced_at,
        cast(null as timestamp) as recorded_at
    where 1 = 0
),

events as (
    select
        '/own/billing' as source,
        'invoice.posted:' || invoice_id as id,
        'invoice.posted' as type,
        invoiced_at as time,
        entity_id,
        cast(invoiced_at as date) as effective_date,
        recorded_at as recorded_time,
        cast(null as varchar) as sequence,
        invoice_id as subject,
        cast(null as varchar) as correlation_id,
        cast(null as varchar) as causation_id,
        cast(null as varchar) as supersedes_id,
        -- The payload as the event catalogue describes it; amounts are whole minor units.
        '{"invoice_id": "' || invoice_id || '", "customer_id": "' || customer_id || '", "currency": "' || currency
        || '", "lines": [{"line_id": "1", "amount": ' || cast(net_amount_minor as varchar)
        || ', "product_family": "' || product_family || '", "service_start": "' || cast(service_start as varchar)
        || '", "service_end": "' || cast(service_end as varchar) || '"}]}' as data,
        recorded_at as landed_at,
        cast(0 as bigint) as landing_seq,
        'own/invoice/' || invoice_id as vendor_record
    from records
)

{{ event_envelope('events') }}
