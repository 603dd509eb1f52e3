-- One row per (tax document, line, jurisdiction): taxable base, rate and tax, signed like the document.
with documents as (
    select
        *,
        case transaction_type when 'ReturnInvoice' then 'credit_note' else 'invoice' end as document_type
    from {{ ref('stg_avalara__transactions') }}
),

document_lines as (
    {{ json_elements('documents', 'lines', ['entity_id', 'document_code', 'document_type', 'currency']) }}
),

line_details as (
    select
        entity_id,
        document_code,
        document_type,
        currency,
        {{ json_text('item', '$.lineNumber') }} as line_no,
        coalesce({{ json_text('item', '$.details') }}, '[]') as details
    from document_lines
),

details as (
    {{ json_elements('line_details', 'details', ['entity_id', 'document_code', 'document_type', 'currency', 'line_no']) }}
),

fields as (
    select
        entity_id,
        document_code,
        document_type,
        currency,
        line_no,
        position as detail_no,
        {{ json_texts('item', ['$.jurisName', '$.jurisType', '$.jurisCode', '$.taxName', '$.rate', '$.taxableAmount', '$.tax']) }} as f
    from details
),

currencies as (
    select * from {{ state('currencies') }}
)

select
    fields.entity_id,
    fields.document_code as document_id,
    fields.document_type,
    fields.line_no,
    fields.detail_no,
    fields.f[1] as jurisdiction,
    fields.f[2] as jurisdiction_type,
    fields.f[3] as jurisdiction_code,
    fields.f[4] as tax_name,
    cast(fields.f[5] as decimal(18, 8)) as rate,
    fields.currency,
    {{ major_to_minor('fields.f[6]', 'currencies.exponent') }} as taxable_amount,
    {{ major_to_minor('fields.f[7]', 'currencies.exponent') }} as tax_amount
from fields
left join currencies on fields.currency = currencies.currency
