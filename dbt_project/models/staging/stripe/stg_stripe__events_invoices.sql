-- One row per invoice event: posted at finalisation, voided and uncollectible at their status transitions.
with invoices as (
    select * from {{ ref('stg_stripe__invoices') }}
    where finalized_at is not null
),

invoice_lines as (
    select * from {{ ref('stg_stripe__invoice_lines') }}
),

taxes as (
    select * from {{ ref('stg_stripe__invoice_line_taxes') }}
),

line_taxes as (
    select
        _source,
        invoice_id,
        line_id,
        {{ json_array_text(json_object_text({
            'tax_code': 'tax_code',
            'jurisdiction': 'jurisdiction',
            'rate': decimal_text('rate'),
            'amount': 'amount',
        }), 'tax_no') }} as tax_lines,
        cast(sum(case when is_inclusive then amount else 0 end) as bigint) as inclusive_tax
    from taxes
    group by _source, invoice_id, line_id
),

-- Amounts exclude tax and discounts; a price that includes tax is split here.
line_payloads as (
    select
        invoice_lines._source,
        invoice_lines.invoice_id,
        invoice_lines.line_no,
        {{ json_object_text({
            'line_id': 'invoice_lines.line_id',
            'amount': 'invoice_lines.listed_amount - invoice_lines.discount_amount - coalesce(line_taxes.inclusive_tax, 0)',
            'discount_amount': 'invoice_lines.discount_amount',
            'tax_lines': json_value('line_taxes.tax_lines'),
            'service_start': 'cast(invoice_lines.service_start as varchar)',
            'service_end': 'cast(invoice_lines.service_end as varchar)',
            'product_id': 'invoice_lines.product_code',
            'product_family': 'invoice_lines.product_family',
            'quantity': decimal_text('invoice_lines.quantity'),
            'unit_price': decimal_text('invoice_lines.unit_price'),
            'charge_kind': 'invoice_lines.charge_kind',
            'subscription_item_id': 'invoice_lines.subscription_item_id',
            'subscription_id': 'invoice_lines.subscription_id',
            'original_line_id': 'invoice_lines.original_line_id',
        }) }} as line
    from invoice_lines
    left join line_taxes
        on invoice_lines._source = line_taxes._source
        and invoice_lines.invoice_id = line_taxes.invoice_id
        and invoice_lines.line_id = line_taxes.line_id
),

invoice_payloads as (
    select
        _source,
        invoice_id,
        {{ json_array_text('line', 'line_no') }} as lines
    from line_payloads
    group by _source, invoice_id
),

posted as (
    select
        invoices._source,
        'invoice.posted' as type,
        invoices.finalized_at as time,
        invoices.entity_id,
        invoices.accounting_date as effective_date,
        invoices.invoice_id,
        invoices.opportunity_id,
        {{ json_object_text({
            'invoice_id': 'invoices.invoice_id',
            'customer_id': 'invoices.customer_id',
            'number': 'invoices.number',
            'currency': 'invoices.currency',
            'due_date': 'cast(invoices.due_date as varchar)',
            'consolidated_invoice_id': 'invoices.consolidated_invoice_id',
            'customer_balance_applied': 'nullif(invoices.customer_balance_applied, 0)',
            'lines': json_value("coalesce(invoice_payloads.lines, '[]')"),
        }) }} as data,
        invoices.finalized_seen_at as landed_at,
        invoices._landing_seq as landing_seq
    from invoices
    left join invoice_payloads
        on invoices._source = invoice_payloads._source and invoices.invoice_id = invoice_payloads.invoice_id
),

voided as (
    select
        _source,
        'invoice.voided' as type,
        voided_at as time,
        entity_id,
        {{ local_date('voided_at', 'time_zone') }} as effective_date,
        invoice_id,
        opportunity_id,
        {{ json_object_text({'invoice_id': 'invoice_id'}) }} as data,
        voided_seen_at as landed_at,
        _landing_seq as landing_seq
    from invoices
    where voided_at is not null
),

uncollectible as (
    select
        _source,
        'invoice.uncollectible' as type,
        uncollectible_at as time,
        entity_id,
        {{ local_date('uncollectible_at', 'time_zone') }} as effective_date,
        invoice_id,
        opportunity_id,
        {{ json_object_text({'invoice_id': 'invoice_id'}) }} as data,
        uncollectible_seen_at as landed_at,
        _landing_seq as landing_seq
    from invoices
    where uncollectible_at is not null
),

unioned as (
    select * from posted
    union all
    select * from voided
    union all
    select * from uncollectible
),

enveloped as (
    select
        '/stripe/' || _source as source,
        type || ':' || invoice_id as id,
        type,
        time,
        entity_id,
        effective_date,
        time as recorded_time,
        null as sequence,
        invoice_id as subject,
        opportunity_id as correlation_id,
        null as causation_id,
        null as supersedes_id,
        data,
        landed_at,
        landing_seq,
        _source || '/invoice/' || invoice_id as vendor_record
    from unioned
)

{{ event_envelope('enveloped') }}
