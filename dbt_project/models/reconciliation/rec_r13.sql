-- One row per invoice or credit note, by month: tax billed against the tax engine's documents (R13). An entity without such
-- documents may state the balance of its tax account instead (balance.reported of system tax, or erp with tax_liability).
{{ config(tags=['before_posting']) }}

with {{ recon_reported('tax_liability', -1, true,
    "(reported.system = 'tax' or (reported.system = 'erp' and reported.account_role = 'tax_liability')) and reported.entity_id not in (select entity_id from "
    ~ ref('can_tax_documents') ~ ")") }},

voided_invoices as (
    select distinct
        entity_id,
        invoice_id
    from {{ ref('can_invoice_ends') }}
    where event_type = 'invoice.voided' and accounting_date <= {{ as_of_date() }}
),

voided_notes as (
    select distinct
        entity_id,
        credit_note_id
    from {{ ref('can_credit_note_voids') }}
    where accounting_date <= {{ as_of_date() }}
),

-- What a note credits of the tax, also where its sender left that to be derived.
credited as (
    select
        event_key,
        cast(sum(eff_tax) as bigint) as tax_amount
    from {{ ref('line_effects') }}
    where kind = 'credit'
    group by event_key
),

left_side as (
    select
        invoices.entity_id,
        invoices.accounting_date as item_date,
        invoices.currency,
        'invoice|' || invoices.invoice_id as item_key,
        invoices.tax_amount as amount,
        invoices.invoice_id as reference,
        invoices.customer_id,
        invoices.correlation_id
    from {{ ref('can_invoices') }} as invoices
    left join voided_invoices
        on invoices.entity_id = voided_invoices.entity_id and invoices.invoice_id = voided_invoices.invoice_id
    where
        invoices.accounting_date <= {{ as_of_date() }} and voided_invoices.invoice_id is null
        and invoices.entity_id not in (select reports.entity_id from reports)
    union all
    select
        notes.entity_id,
        notes.accounting_date as item_date,
        notes.currency,
        'credit_note|' || notes.credit_note_id as item_key,
        -coalesce(credited.tax_amount, notes.stated_tax_amount) as amount,
        notes.credit_note_id as reference,
        cast(null as varchar) as customer_id,
        notes.correlation_id
    from {{ ref('can_credit_notes') }} as notes
    left join credited on notes.event_key = credited.event_key
    left join voided_notes
        on notes.entity_id = voided_notes.entity_id and notes.credit_note_id = voided_notes.credit_note_id
    where
        notes.accounting_date <= {{ as_of_date() }} and voided_notes.credit_note_id is null
        and notes.entity_id not in (select reports.entity_id from reports)
),

-- The engine holds credit notes with negative amounts; a cancelled document owes nothing.
right_side as (
    select
        entity_id,
        tax_date as item_date,
        currency,
        document_type || '|' || document_id as item_key,
        tax_amount as amount,
        document_id as reference,
        cast(null as varchar) as customer_id,
        cast(null as varchar) as correlation_id
    from {{ ref('can_tax_documents') }}
    where tax_date <= {{ as_of_date() }} and lower(coalesce(status, 'committed')) not in ('cancelled', 'voided', 'temporary')
),

pairs as (
    {{ recon_pairs('R13', 'left_side', 'right_side') }}
),

classes as (
    select
        *,
        {{ recon_class([
            ("has_left and has_right and left_currency = right_currency and " ~ recon_month('left_date') ~ " <> " ~ recon_month('right_date'), 'wrong_period'),
            ('has_left and has_right and left_currency = right_currency and not is_match', 'tax'),
            ('not has_left and left_rows > 0', 'duplicate'),
        ]) }} as variance_class
    from pairs
    where left_amount <> 0 or right_amount <> 0
),

classified as (
    select
        *,
        coalesce(left_reference, right_reference) as reference,
        case variance_class
            when 'wrong_period'
                then
                    'Document of ' || cast(left_date as varchar) || ', tax reported for '
                    || cast(right_date as varchar) || '.'
            when 'tax'
                then
                    case
                        when left_amount = 0 then 'The tax engine has tax on this document, the document shows none.'
                        else 'Tax on the document differs from the tax engine.'
                    end
            when 'missing_right' then 'Tax was billed, but the tax engine has no document.'
            when 'missing_left' then 'The tax engine has a document that was never billed.'
            when 'duplicate' then 'The tax engine has the document twice.'
            when 'rounding' then 'Within tolerance.'
            else 'Currency of the document differs from the tax engine''s.'
        end as explanation,
        cast(null as varchar) as expected_clear_period
    from classes
),

documents as (
    {{ recon_items('R13', 'classified') }}
),

-- Nothing explains a part of one total.
explained as (
    select
        entity_id, period, currency,
        cast(null as varchar) as variance_class, cast(null as varchar) as reference, cast(null as varchar) as explanation,
        cast(0 as bigint) as amount
    from reported_balances
    where false
),

{{ recon_balance_rows('R13', 'reported_balances', 'explained') }}
union all
select * from documents
