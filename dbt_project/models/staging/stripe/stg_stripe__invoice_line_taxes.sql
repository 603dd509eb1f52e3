-- One row per tax of an invoice line.
with elements as (
    {{ json_elements(ref('stg_stripe__invoice_lines'), 'taxes', ['_source', 'entity_id', 'invoice_id', 'line_id']) }}
),

fields as (
    select
        _source,
        entity_id,
        invoice_id,
        line_id,
        position as tax_no,
        {{ json_texts('item', ['$.amount', '$.tax_behavior', '$.tax_rate_details.tax_rate', '$.taxability_reason']) }} as f
    from elements
),

tax_rates as (
    select * from {{ ref('stg_stripe__tax_rates') }}
)

select
    fields._source,
    fields.entity_id,
    fields.invoice_id,
    fields.line_id,
    fields.tax_no,
    cast(fields.f[1] as bigint) as amount,
    coalesce(fields.f[2] = 'inclusive', false) as is_inclusive,
    coalesce(tax_rates.tax_type, tax_rates.display_name, fields.f[3], fields.f[4], 'tax') as tax_code,
    coalesce(tax_rates.jurisdiction, tax_rates.state, tax_rates.country) as jurisdiction,
    -- A percentage as a fraction, both exact decimals.
    cast(cast(tax_rates.percentage as decimal(12, 6)) * cast('0.01' as decimal(3, 2)) as decimal(18, 8)) as rate
from fields
left join tax_rates on fields._source = tax_rates._source and fields.f[3] = tax_rates.tax_rate_id
