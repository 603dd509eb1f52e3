-- A returned row is a finalised invoice whose lines and exclusive taxes do not add up to the total the customer was shown.
{{ config(meta={'dagster': {'ref': {'name': 'stg_stripe__invoices'}}}) }}
with lines as (
    select
        _source,
        invoice_id,
        sum(listed_amount - discount_amount) as net_amount
    from {{ ref('stg_stripe__invoice_lines') }}
    group by _source, invoice_id
),

taxes as (
    select
        _source,
        invoice_id,
        sum(amount) as tax_amount
    from {{ ref('stg_stripe__invoice_line_taxes') }}
    where not is_inclusive
    group by _source, invoice_id
)

select
    invoices.invoice_id,
    invoices.total,
    lines.net_amount,
    taxes.tax_amount
from {{ ref('stg_stripe__invoices') }} as invoices
left join lines on invoices._source = lines._source and invoices.invoice_id = lines.invoice_id
left join taxes on invoices._source = taxes._source and invoices.invoice_id = taxes.invoice_id
where
    invoices.finalized_at is not null
    and invoices.total <> coalesce(lines.net_amount, 0) + coalesce(taxes.tax_amount, 0)
