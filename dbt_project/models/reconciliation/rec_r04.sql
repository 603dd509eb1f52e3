-- One row per invoice, credit note, altered ERP document or open amount that differs: billed against ERP receivables (R4).
{{ config(tags=['after_posting']) }}

-- Posting is summarised: a receivable stands in the ERP inside the document of its batch. An invoice is carried as often
-- as posted documents with the key of one of its batches are read back; reversals count with their sign. Billed is what
-- the customer owes in all: receivable, stored credit and advances used; of a credit note also what is to be given back
-- (a refund liability that an invoice opens is part of its deferred revenue).
{% set owed_roles = "('accounts_receivable', 'customer_balance', 'refund_liability', 'external_customer_balance')" %}
with booked as (
    select
        booked_line_id,
        entity_id,
        event_type,
        event_key,
        document_id,
        posting_date,
        currency,
        case
            when account_role in ('accounts_receivable', 'customer_balance') then amount_tc
            when account_role in {{ owed_roles }} and event_type = 'credit_note.issued' then amount_tc
            when account_role = 'deferred_revenue' and document_line_id is null then amount_tc
            else 0
        end as owed,
        case when account_role = 'tax_liability' then -amount_tc else 0 end as tax
    from {{ booked_lines() }}
    where
        posting_period <= {{ recon_month(as_of_date(), 'entity_id') }}
        and event_type in ('invoice.posted', 'credit_note.issued')
        and (
            account_role in {{ owed_roles }}
            or account_role = 'tax_liability'
            or (account_role = 'deferred_revenue' and document_line_id is null)
        )
),

batches as (
    select * from {{ state('posting_batches') }}
),

erp_documents as (
    select
        *,
        row_number() over (partition by entity_id, batch_key order by document_date, document_id) as copy_no
    from {{ ref('can_erp_documents') }}
    where status = 'posted' and batch_key is not null and period <= {{ recon_month(as_of_date(), 'entity_id') }}
),

copies as (
    select
        entity_id,
        batch_key,
        count(*) as copy_count,
        max(case when copy_no = 1 then document_number end) as document_number
    from erp_documents
    group by entity_id, batch_key
),

-- One row per booked line and batch it is in; a line without a batch has one too.
memberships as (
    select
        booked.*,
        members.batch_key,
        coalesce(copies.copy_count, 0) as copy_count,
        copies.document_number,
        row_number() over (partition by booked.booked_line_id order by members.batch_key) as use_no,
        members.batch_key is null or coalesce(batches.status, '') not in ('posted', 'verified', 'dead') as may_come
    from booked
    left join {{ posting_members() }} as members on booked.booked_line_id = members.booked_line_id
    left join batches on members.batch_key = batches.batch_key
    left join copies on booked.entity_id = copies.entity_id and members.batch_key = copies.batch_key
),

credit_notes as (
    select * from {{ ref('can_credit_notes') }}
    where accounting_date <= {{ as_of_date() }}
),

carried as (
    select
        memberships.entity_id,
        case
            when memberships.event_type = 'invoice.posted' then 'invoice|' || memberships.document_id
            else 'credit_note|' || coalesce(credit_notes.credit_note_id, memberships.event_key)
        end as item_key,
        coalesce(credit_notes.credit_note_id, memberships.document_id) as reference,
        memberships.currency,
        cast(sum(memberships.owed * memberships.copy_count) as bigint) as amount,
        cast(sum(memberships.tax * memberships.copy_count) as bigint) as tax_amount,
        cast(sum(case when memberships.copy_count = 0 and memberships.may_come then memberships.owed else 0 end) as bigint) as on_its_way,
        cast(sum(
            memberships.owed * case when memberships.use_no = 1 then greatest(memberships.copy_count - 1, 0) else memberships.copy_count end
        ) as bigint) as repeated,
        max(memberships.copy_count) as copy_count,
        min(memberships.posting_date) as item_date,
        max(memberships.document_number) as document_number,
        max(memberships.batch_key) as batch_key
    from memberships
    left join credit_notes on memberships.event_type = 'credit_note.issued' and memberships.event_key = credit_notes.event_key
    group by
        memberships.entity_id, memberships.event_type, memberships.document_id, memberships.event_key, credit_notes.credit_note_id,
        memberships.currency
),

stated_taxes as (
    select
        entity_id,
        credit_note_id,
        count(*) = count(tax_amount) as is_tax_stated
    from {{ ref('can_credit_note_lines') }}
    group by entity_id, credit_note_id
),

-- Where the receivable arises only when due or paid, an invoice may stand outside the books for a while.
late_entities as (
    select distinct entity_id from {{ ref('line_policies') }}
    where receivable_timing = 'at_due_or_paid'
),

opened as (
    select
        entity_id,
        document_id
    from {{ ref('documents') }}
    where document_type = 'invoice' and posting_date <= {{ as_of_date() }}
),

-- A credit note may leave its tax to be derived; then only what it says of the net can be compared.
left_side as (
    select
        invoices.entity_id,
        invoices.accounting_date as item_date,
        invoices.currency,
        'invoice|' || invoices.invoice_id as item_key,
        invoices.net_amount + invoices.tax_amount as amount,
        invoices.tax_amount,
        invoices.invoice_id as reference,
        invoices.customer_id,
        invoices.correlation_id,
        late_entities.entity_id is not null and opened.document_id is null as is_not_due
    from {{ ref('can_invoices') }} as invoices
    left join late_entities on invoices.entity_id = late_entities.entity_id
    left join opened on invoices.entity_id = opened.entity_id and invoices.invoice_id = opened.document_id
    where invoices.accounting_date <= {{ as_of_date() }}
    union all
    select
        notes.entity_id,
        notes.accounting_date as item_date,
        notes.currency,
        'credit_note|' || notes.credit_note_id as item_key,
        case
            when stated_taxes.is_tax_stated then -notes.net_amount - notes.stated_tax_amount
            else coalesce(carried.tax_amount, 0) - notes.net_amount
        end as amount,
        case when stated_taxes.is_tax_stated then -notes.stated_tax_amount else coalesce(carried.tax_amount, 0) end as tax_amount,
        notes.credit_note_id as reference,
        cast(null as varchar) as customer_id,
        notes.correlation_id,
        false as is_not_due
    from credit_notes as notes
    left join stated_taxes
        on notes.entity_id = stated_taxes.entity_id and notes.credit_note_id = stated_taxes.credit_note_id
    left join carried
        on notes.entity_id = carried.entity_id and carried.item_key = 'credit_note|' || notes.credit_note_id
),

right_side as (
    select
        entity_id,
        item_date,
        currency,
        item_key,
        amount,
        reference,
        cast(null as varchar) as customer_id,
        cast(null as varchar) as correlation_id
    from carried
    where copy_count > 0
),

pairs as (
    {{ recon_pairs('R4', 'left_side', 'right_side') }}
),

left_facts as (
    select
        entity_id,
        item_key,
        tax_amount,
        is_not_due
    from left_side
    qualify row_number() over (partition by entity_id, item_key order by item_date, reference) = 1
),

facts as (
    select
        pairs.*,
        coalesce(left_facts.tax_amount, 0) as left_tax,
        coalesce(left_facts.is_not_due, false) as is_not_due,
        coalesce(carried.tax_amount, 0) as right_tax,
        coalesce(carried.on_its_way, 0) as on_its_way,
        coalesce(carried.repeated, 0) as repeated,
        carried.document_number,
        carried.batch_key
    from pairs
    left join left_facts
        on pairs.entity_id = left_facts.entity_id and pairs.item_key = left_facts.item_key and pairs.occurrence = 1
    left join carried
        on pairs.entity_id = carried.entity_id and pairs.item_key = carried.item_key and pairs.occurrence = 1
),

classes as (
    select
        facts.*,
        {{ recon_class([
            ('has_left and not has_right and occurrence > 1', 'duplicate'),
            ('has_left and not has_right and is_not_due', 'timing_in_transit'),
            ('has_left and difference <> 0 and difference = on_its_way', 'timing_in_transit'),
            ('has_left and has_right and left_currency = right_currency and difference <> 0 and difference = -repeated', 'duplicate'),
            ('has_left and has_right and is_match and left_tax <> right_tax', 'tax'),
        ]) }} as variance_class
    from facts
    -- Nothing is owed on a document of nil: the ledger has no line for it.
    where left_amount <> 0 or right_amount <> 0
),

classified as (
    select
        *,
        coalesce(left_reference, right_reference) as reference,
        case
            when variance_class = 'timing_in_transit' and is_not_due then 'The receivable arises when the invoice is due or paid.'
            when variance_class = 'timing_in_transit'
                then 'Booked, but not yet in the ERP' || coalesce(' (batch ' || batch_key || ').', ': waiting for its posting batch.')
            when variance_class = 'duplicate' and has_right
                then 'The ERP carries this document twice, the last time in ' || document_number || '.'
            when variance_class = 'duplicate' then 'The document was reported twice; the ERP carries the first.'
            when variance_class = 'missing_right' and batch_key is null then 'Not booked: no posting batch carries this document.'
            when variance_class = 'missing_right'
                then 'Batch ' || batch_key || ' carries it, but the ERP has no posted document with its key.'
            when variance_class = 'missing_left'
                then 'ERP document ' || document_number || ' carries a document that billing does not have.'
            when variance_class = 'tax'
                then
                    'Gross agrees; tax of the document is ' || {{ recon_amount_text('left_tax', 'left_currency') }}
                    || ', in the ERP ' || {{ recon_amount_text('right_tax', 'left_currency') }} || '.'
            when variance_class = 'rounding' then 'Within tolerance.'
            when variance_class = 'wrong_currency' then 'Billed and carried in different currencies.'
            else 'ERP document ' || document_number || ' carries another amount than was billed.'
        end as explanation,
        cast(null as varchar) as expected_clear_period
    from classes
),

-- What an ERP document says on the accounts of what is owed, against its batch: a change there belongs to no single invoice.
batch_accounts as (
    select distinct
        batches.entity_id,
        batches.batch_key,
        batches.period,
        lines.account_code
    from batches
    inner join {{ state('posting_batch_lines') }} as lines on batches.batch_key = lines.batch_key
    where
        batches.event_class in ('invoice.posted', 'credit_note.issued')
        and batches.period <= {{ recon_month(as_of_date(), 'batches.entity_id') }}
        and lines.account_role in {{ owed_roles }}
),

batch_sums as (
    select
        accounts.entity_id,
        accounts.batch_key,
        accounts.period,
        sum(lines.debit_fc - lines.credit_fc) as amount
    from batch_accounts as accounts
    inner join {{ state('posting_batch_lines') }} as lines
        on accounts.batch_key = lines.batch_key and accounts.account_code = lines.account_code
    group by accounts.entity_id, accounts.batch_key, accounts.period
),

document_sums as (
    select
        erp_documents.entity_id,
        erp_documents.batch_key,
        erp_documents.document_number,
        cast(sum(coalesce(lines.debit, 0) - coalesce(lines.credit, 0)) as bigint) as amount
    from erp_documents
    inner join batch_accounts as accounts
        on erp_documents.entity_id = accounts.entity_id and erp_documents.batch_key = accounts.batch_key
    left join {{ ref('can_erp_document_lines') }} as lines
        on erp_documents.entity_id = lines.entity_id
        and erp_documents.document_id = lines.document_id
        and accounts.account_code = lines.account_code
    where erp_documents.copy_no = 1
    group by erp_documents.entity_id, erp_documents.batch_key, erp_documents.document_number
),

altered as (
    select
        sums.entity_id,
        sums.batch_key || '|altered' as item_key,
        sums.period,
        entities.functional_currency as currency,
        0 as left_amount,
        documents.amount - sums.amount as right_amount,
        'amount' as variance_class,
        sums.batch_key as left_reference,
        documents.document_number as right_reference,
        sums.batch_key as reference,
        cast(null as varchar) as customer_id,
        cast(null as varchar) as correlation_id,
        'ERP document ' || documents.document_number || ' no longer carries the receivables that its batch posted.' as explanation,
        cast(null as varchar) as expected_clear_period,
        documents.document_number as erp_document,
        false as is_match,
        0 as match_count
    from batch_sums as sums
    inner join document_sums as documents on sums.entity_id = documents.entity_id and sums.batch_key = documents.batch_key
    inner join {{ state('entities') }} as entities on sums.entity_id = entities.entity_id
    where documents.amount <> sums.amount
)

{{ recon_items('R4', 'classified', apart=['wrong_currency'], erp_document='c.document_number') }}
union all
{{ recon_shape('R4', 'altered') }}
union all
{{ recon_shape('R4', ref('rec_open_items')) }}
