-- One row per leg of the entry that opens an invoice: receivable, stored credit and advances against deferred revenue,
-- revenue at once, unbilled usage and tax. (A direct charge opens with its payment, a pending charge has no document.)
{{ config(materialized='ephemeral') }}
with invoices as (
    select * from {{ ref('documents') }} where document_type = 'invoice' and event_type = 'invoice.posted'
),

lines as (
    select
        lines.*,
        coalesce(lines_fc.net_fc, lines.net_amount) as net_fc,
        coalesce(lines_fc.tax_fc, lines.tax_amount) as tax_fc,
        case lines.treatment when 'usage' then coalesce(usage_billings.released, 0) else coalesce(pending.recognised, 0) end as unbilled,
        case lines.treatment when 'usage' then lines.subscription_item_id else lines.pending_charge_id end as unbilled_item
    from {{ ref('document_lines') }} as lines
    left join {{ ref('document_line_values') }} as lines_fc
        on lines.entity_id = lines_fc.entity_id and lines.document_type = lines_fc.document_type
        and lines.document_id = lines_fc.document_id and lines.line_id = lines_fc.line_id
    left join {{ ref('usage_billings') }} as usage_billings
        on lines.entity_id = usage_billings.entity_id and lines.document_id = usage_billings.document_id
        and lines.line_id = usage_billings.line_id
    left join {{ ref('pending_billings') }} as pending
        on lines.entity_id = pending.entity_id and lines.document_id = pending.document_id and lines.line_id = pending.line_id
    where lines.document_type = 'invoice' and lines.treatment <> 'contract'
),

valued as (
    select
        *,
        {{ at_rate('unbilled') }} as unbilled_fc,
        {{ at_rate('contra_discount') }} as discount_fc
    from lines
),

advances as (
    select
        uses.event_key, uses.entity_id, uses.payment_id, uses.amount, invoices.currency, invoices.functional_currency,
        invoices.event_type, invoices.posting_date, invoices.accounting_date, invoices.is_prior_period, invoices.document_type,
        invoices.document_id, invoices.customer_id, invoices.correlation_id, invoices.rate_num, invoices.rate_den,
        row_number() over (partition by uses.event_key order by uses.payment_id) as advance_no
    from {{ ref('invoice_advances') }} as uses
    inner join invoices on uses.event_key = invoices.event_key
),

-- What of an invoice on a contract that can be cancelled is not paid yet, or is now.
conditional as (
    select
        receipts.*, lines.currency, lines.functional_currency, lines.rate_num, lines.rate_den, lines.product_family, lines.customer_id,
        lines.correlation_id, receipts.net_change + receipts.tax_change as gross_change
    from {{ ref('conditional_receipts') }} as receipts
    inner join {{ ref('document_lines') }} as lines
        on receipts.entity_id = lines.entity_id and receipts.document_type = lines.document_type
        and receipts.document_id = lines.document_id and receipts.line_id = lines.line_id
),

taxes as (
    select
        lines.*,
        taxes.tax_line_no,
        taxes.tax_code as leg_tax_code,
        taxes.jurisdiction as leg_jurisdiction,
        taxes.amount as leg_tax,
        sum(taxes.amount) over (
            partition by taxes.event_key, taxes.line_no order by taxes.tax_line_no rows between unbounded preceding and current row
        ) as tax_to_here
    from {{ ref('can_invoice_tax_lines') }} as taxes
    inner join (
        select lines.*, coalesce(lines_fc.tax_fc, lines.tax_amount) as tax_fc
        from {{ ref('document_lines') }} as lines
        left join {{ ref('document_line_values') }} as lines_fc
            on lines.entity_id = lines_fc.entity_id and lines.document_type = lines_fc.document_type
            and lines.document_id = lines_fc.document_id and lines.line_id = lines_fc.line_id
        where lines.document_type = 'invoice'
    ) as lines
        on taxes.event_key = lines.event_key and taxes.line_id = lines.line_id and taxes.line_no = lines.line_no
)

{{ leg('invoices', "case when receivable > 0 then 'accounts_receivable' else 'customer_balance' end", 'receivable',
    at_rate('receivable'), leg_no=1, customer_id='customer_id',
    pool="case when receivable > 0 then 'accounts_receivable|' || document_id else 'customer_balance|' || coalesce(customer_id, '') end") }}
union all
{{ leg('invoices', "'customer_balance'", 'customer_balance_applied', at_rate('customer_balance_applied'), is_release='customer_balance_applied > 0',
    pool="'customer_balance|' || coalesce(customer_id, '')", leg_no=2, customer_id='customer_id') }}
union all
{{ leg('advances', "'deferred_revenue'", 'amount', at_rate('amount'), is_release='true', pool="'advance|' || payment_id",
    leg_no='10 + advance_no', customer_id='customer_id') }}
union all
{{ leg('valued', "'unbilled_receivable'", '-unbilled', '-unbilled_fc', is_release='true', pool="'unbilled_receivable|' || unbilled_item",
    leg_no='1000 + line_no * 100', line_id='line_id', product_family='product_family', customer_id='customer_id') }}
union all
{{ leg('valued', "'deferred_revenue'", '-(net_amount - unbilled)', '-(net_fc - unbilled_fc)', leg_no='1001 + line_no * 100',
    line_id='line_id', product_family='product_family', customer_id='customer_id', where='not at_once') }}
union all
{{ leg('valued', "'revenue'", '-(net_amount - unbilled + contra_discount)', '-(net_fc - unbilled_fc + discount_fc)',
    leg_no='1002 + line_no * 100', line_id='line_id', product_family='product_family', customer_id='customer_id', where='at_once') }}
union all
{{ leg('valued', "'discounts'", 'contra_discount', 'discount_fc', leg_no='1003 + line_no * 100',
    line_id='line_id', product_family='product_family', customer_id='customer_id', where='at_once') }}
union all
{{ leg('taxes', "'tax_liability'", '-leg_tax',
    '-(' ~ share('tax_fc', 'tax_to_here', 'tax_amount') ~ ' - ' ~ share('tax_fc', 'tax_to_here - leg_tax', 'tax_amount') ~ ')',
    leg_no='1009 + line_no * 100 + tax_line_no', line_id='line_id', product_family='product_family', customer_id='customer_id',
    jurisdiction='leg_jurisdiction', tax_code='leg_tax_code') }}
union all
{{ leg('conditional', "'accounts_receivable'", 'gross_change', at_rate('gross_change'), is_release='gross_change < 0', leg_no='3 + line_no * 2',
    line_id='line_id', customer_id='customer_id', pool="'accounts_receivable|' || document_id") }}
union all
{{ leg('conditional', "'tax_liability'", '-tax_change', '-(' ~ at_rate('tax_change') ~ ')', leg_no='4 + line_no * 2', line_id='line_id',
    product_family='product_family', customer_id='customer_id') }}
