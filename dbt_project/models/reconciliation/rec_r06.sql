-- One row per payment and per refund: payments against the invoices they pay, refunds against credit notes (R6).
{{ config(tags=['before_posting']) }}

-- A second payment on one processor transaction is held back as duplicate (R5): it pays nothing, so nothing is unapplied.
with payments as (
    select * from {{ ref('can_payments') }}
    where
        accounting_date <= {{ as_of_date() }}
        and not is_direct_charge
        and not is_advance
    qualify
        bt_id is null
        or row_number() over (partition by entity_id, bt_id order by accounting_date, time, sequence, event_id) = 1
),

-- A refund that failed in the end needs no credit note.
refunds as (
    select
        refunds.*,
        cast(null as varchar) as customer_id
    from {{ ref('can_refunds') }} as refunds
    left join {{ ref('can_refund_failures') }} as failures
        on refunds.entity_id = failures.entity_id and refunds.refund_id = failures.refund_id
    where refunds.accounting_date <= {{ as_of_date() }} and failures.refund_id is null
),

credit_notes as (
    select distinct
        entity_id,
        credit_note_id
    from {{ ref('can_credit_notes') }}
),

left_side as (
    select
        entity_id,
        accounting_date as item_date,
        currency,
        'payment|' || payment_id as item_key,
        amount,
        payment_id as reference,
        customer_id,
        correlation_id
    from payments
    union all
    select
        entity_id,
        accounting_date as item_date,
        currency,
        'refund|' || refund_id as item_key,
        -amount as amount,
        refund_id as reference,
        customer_id,
        correlation_id
    from refunds
),

-- An application counts in the payment's month: when it was made does not change what is still unapplied today. One found
-- by the remittance text is one; one to an invoice that nobody knows is not.
right_side as (
    select
        payments.entity_id,
        payments.accounting_date as item_date,
        payments.currency,
        'payment|' || payments.payment_id as item_key,
        sum(applications.amount) as amount,
        min(applications.invoice_id) as reference,
        min(payments.customer_id) as customer_id,
        min(payments.correlation_id) as correlation_id
    from {{ ref('cash_applications') }} as applications
    inner join payments
        on applications.entity_id = payments.entity_id and applications.payment_id = payments.payment_id
    where applications.is_invoice_known and applications.accounting_date <= {{ as_of_date() }}
    group by payments.entity_id, payments.accounting_date, payments.currency, payments.payment_id
    union all
    select
        refunds.entity_id,
        refunds.accounting_date as item_date,
        refunds.currency,
        'refund|' || refunds.refund_id as item_key,
        -refunds.amount as amount,
        refunds.credit_note_id as reference,
        refunds.customer_id,
        refunds.correlation_id
    from refunds
    inner join credit_notes
        on refunds.entity_id = credit_notes.entity_id and refunds.credit_note_id = credit_notes.credit_note_id
),

pairs as (
    {{ recon_pairs('R6', 'left_side', 'right_side') }}
),

classes as (
    select
        *,
        {{ recon_class([
            ("not is_match and item_key like 'payment|%' and difference > 0", 'unapplied'),
        ]) }} as variance_class
    from pairs
),

classified as (
    select
        *,
        left_reference as reference,
        case variance_class
            when 'unapplied' then 'Received, but not applied to an invoice in full.'
            when 'missing_right' then 'Refund without a credit note.'
            when 'rounding' then 'Within tolerance.'
            else 'More is applied than was received.'
        end as explanation,
        cast(null as varchar) as expected_clear_period
    from classes
)

{{ recon_items('R6', 'classified') }}
