-- One row per line of a document in a foreign currency: what its net and its tax are worth in functional currency.
-- The document is converted once (receivable and stored credit at spot, advances at the rate of their receipt); tax is
-- converted line by line; the net lines share the rest.
with documents as (
    select * from {{ ref('documents') }}
    where currency <> functional_currency and event_type <> 'opening_balance.loaded' and rate_num is not null
),

lines as (
    select
        lines.entity_id, lines.document_type, lines.document_id, lines.line_id, lines.line_no, lines.net_amount, lines.tax_amount,
        {{ half_up('lines.tax_amount * documents.rate_num', 'documents.rate_den') }} as tax_fc
    from {{ ref('document_lines') }} as lines
    inner join documents
        on lines.entity_id = documents.entity_id
        and lines.document_type = documents.document_type
        and lines.document_id = documents.document_id
),

-- An advance is non-monetary: it keeps the functional value of its receipt, released in proportion.
advances as (
    select
        uses.entity_id,
        uses.invoice_id,
        uses.payment_id,
        uses.amount,
        {{ share('settlements.gross_fc', 'uses.used_to_date', 'payments.amount') }}
        - {{ share('settlements.gross_fc', 'uses.used_to_date - uses.amount', 'payments.amount') }} as amount_fc
    from {{ ref('invoice_advances') }} as uses
    inner join {{ ref('can_payments') }} as payments
        on uses.entity_id = payments.entity_id and uses.payment_id = payments.payment_id
    inner join {{ ref('settlements') }} as settlements on payments.event_key = settlements.event_key
),

advances_by_invoice as (
    select entity_id, invoice_id, cast(sum(amount_fc) as bigint) as amount_fc from advances group by 1, 2
),

values_of_documents as (
    select
        documents.entity_id,
        documents.document_type,
        documents.document_id,
        {{ half_up('documents.receivable * documents.rate_num', 'documents.rate_den') }}
        + {{ half_up('documents.customer_balance_applied * documents.rate_num', 'documents.rate_den') }}
        + coalesce(advances_by_invoice.amount_fc, 0)
        + case
            when documents.document_type = 'invoice' then 0
            else {{ half_up('documents.gross_amount * documents.rate_num', 'documents.rate_den') }}
        end as total_fc
    from documents
    left join advances_by_invoice
        on documents.document_type = 'invoice'
        and documents.entity_id = advances_by_invoice.entity_id
        and documents.document_id = advances_by_invoice.invoice_id
),

shared as (
    select
        lines.*,
        values_of_documents.total_fc - cast(sum(lines.tax_fc) over whole as bigint) as net_total_fc,
        cast(sum(lines.net_amount) over whole as bigint) as net_total,
        cast(sum(lines.net_amount) over so_far as bigint) as net_to_here
    from lines
    inner join values_of_documents
        on lines.entity_id = values_of_documents.entity_id
        and lines.document_type = values_of_documents.document_type
        and lines.document_id = values_of_documents.document_id
    window
        whole as (partition by lines.entity_id, lines.document_type, lines.document_id),
        so_far as (
            partition by lines.entity_id, lines.document_type, lines.document_id order by lines.line_no
            rows between unbounded preceding and current row
        )
)

select
    entity_id,
    document_type,
    document_id,
    line_id,
    {{ share('net_total_fc', 'net_to_here', 'net_total') }}
    - {{ share('net_total_fc', 'net_to_here - net_amount', 'net_total') }} as net_fc,
    tax_fc
from shared
