-- One row per invoice posted to the ERP as its own document, open there with another amount than in the books (part of R4).
{{ config(tags=['after_posting']) }}

-- Open in the books: the receivable of the invoice in every document of its own, be it the invoice, a credit note or a
-- payment; what went by summarised journals stands in the ERP on no invoice. Open in the ERP: its lines that name the
-- invoice and are not reconciled, whoever made them.
with detail as (
    select
        batch_key,
        entity_id
    from {{ state('posting_batches') }}
    where
        {{ json_text('document_json', '$.kind') }} in ('invoice', 'credit_note', 'cash_application')
        and period <= {{ recon_month(as_of_date(), 'entity_id') }}
),

erp_documents as (
    select * from {{ ref('can_erp_documents') }}
    where status = 'posted' and period <= {{ recon_month(as_of_date(), 'entity_id') }}
),

-- Only what the ERP has: what it lacks is missing as a document, not as a part of an open amount.
posted as (
    select distinct
        detail.entity_id,
        detail.batch_key
    from detail
    inner join erp_documents
        on detail.entity_id = erp_documents.entity_id and detail.batch_key = erp_documents.batch_key
),

receivables as (
    select
        booked.entity_id,
        booked.document_id as invoice_id,
        booked.currency,
        booked.amount_fc,
        booked.customer_id,
        booked.correlation_id,
        booked.posting_date,
        members.batch_key
    from {{ booked_lines() }} as booked
    inner join {{ posting_members() }} as members on booked.booked_line_id = members.booked_line_id
    inner join posted on booked.entity_id = posted.entity_id and members.batch_key = posted.batch_key
    where booked.account_role = 'accounts_receivable' and booked.document_type = 'invoice'
),

in_books as (
    select
        entity_id,
        invoice_id,
        currency,
        sum(amount_fc) as open_amount,
        min(customer_id) as customer_id,
        min(correlation_id) as correlation_id,
        min(posting_date) as item_date
    from receivables
    group by entity_id, invoice_id, currency
),

-- One row per number under which the ERP has an invoice of ours; a corrected invoice has several.
numbers as (
    select distinct
        receivables.entity_id,
        receivables.invoice_id,
        erp_documents.reference as number
    from receivables
    inner join erp_documents
        on receivables.entity_id = erp_documents.entity_id and receivables.batch_key = erp_documents.batch_key
    where erp_documents.document_kind = 'invoice'
),

receivable_accounts as (
    select distinct
        entity_id,
        account_code
    from {{ state('accounts') }}
    where account_role = 'accounts_receivable'
),

-- One row per line of the ERP that opens or settles an invoice.
erp_lines as (
    select
        erp_documents.entity_id,
        coalesce(lines.settles, case when erp_documents.document_kind is not null then erp_documents.reference end) as number,
        case when lines.is_reconciled then 0 else lines.debit - lines.credit end as open_amount,
        erp_documents.document_number,
        case when erp_documents.document_kind in ('invoice', 'credit_note') then posted.batch_key end as batch_key,
        lines.is_reconciled,
        erp_documents.document_kind = 'invoice' and posted.batch_key is not null as is_ours,
        posted.batch_key is null as is_foreign
    from erp_documents
    inner join {{ ref('can_erp_document_lines') }} as lines
        on erp_documents.entity_id = lines.entity_id and erp_documents.document_id = lines.document_id
    inner join receivable_accounts as accounts
        on lines.entity_id = accounts.entity_id and lines.account_code = accounts.account_code
    left join posted on erp_documents.entity_id = posted.entity_id and erp_documents.batch_key = posted.batch_key
    where lines.customer_id is not null
),

sent as (
    select
        batch_key,
        sum(debit_fc - credit_fc) as amount
    from {{ state('posting_batch_lines') }}
    where account_role = 'accounts_receivable'
    group by batch_key
),

-- What somebody changed on an invoice or credit note of ours is an item of rec_r04 already (altered), not an open amount.
changed as (
    select
        erp_lines.entity_id,
        erp_lines.number,
        erp_lines.batch_key,
        sum(erp_lines.open_amount) - any_value(sent.amount) as amount
    from erp_lines
    inner join sent on erp_lines.batch_key = sent.batch_key
    group by erp_lines.entity_id, erp_lines.number, erp_lines.batch_key
    having not bool_or(erp_lines.is_reconciled)
),

by_number as (
    select
        entity_id,
        number,
        sum(open_amount) as open_amount,
        max(case when is_ours then document_number end) as document_number,
        max(case when is_foreign then document_number end) as foreign_number
    from erp_lines
    group by entity_id, number
),

changes as (
    select
        entity_id,
        number,
        sum(amount) as amount
    from changed
    group by entity_id, number
),

in_erp as (
    select
        numbers.entity_id,
        numbers.invoice_id,
        cast(sum(by_number.open_amount - coalesce(changes.amount, 0)) as bigint) as open_amount,
        max(numbers.number) as number,
        max(by_number.document_number) as document_number,
        max(by_number.foreign_number) as foreign_number
    from by_number
    inner join numbers on by_number.entity_id = numbers.entity_id and by_number.number = numbers.number
    left join changes on by_number.entity_id = changes.entity_id and by_number.number = changes.number
    group by numbers.entity_id, numbers.invoice_id
),

compared as (
    select
        in_books.*,
        cast(in_books.open_amount as bigint) as left_amount,
        in_erp.open_amount as right_amount,
        in_erp.number,
        in_erp.document_number,
        in_erp.foreign_number
    from in_books
    inner join in_erp on in_books.entity_id = in_erp.entity_id and in_books.invoice_id = in_erp.invoice_id
    where in_books.open_amount <> in_erp.open_amount
)

select
    entity_id,
    'open|' || invoice_id as item_key,
    {{ recon_month('item_date', 'entity_id') }} as period,
    currency,
    left_amount,
    right_amount,
    case when foreign_number is not null then 'manual_erp_journal' else 'amount' end as variance_class,
    invoice_id as left_reference,
    document_number as right_reference,
    invoice_id as reference,
    customer_id,
    correlation_id,
    'Open on invoice ' || number || ': ' || {{ recon_amount_text('left_amount', 'currency') }} || ' in the books, '
    || {{ recon_amount_text('right_amount', 'currency') }} || ' in the ERP'
    || coalesce(' after ' || foreign_number || ', which nobody here posted', '') || '.' as explanation,
    cast(null as varchar) as expected_clear_period,
    coalesce(foreign_number, document_number) as erp_document,
    false as is_match,
    0 as match_count
from compared
