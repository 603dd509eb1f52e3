-- One row per application of a payment to an invoice, known or not: stated by the sender, or found by the remittance text.
with payments as (
    {{ posted('can_payments') }}
),

stated as (
    {{ posted('can_payment_applications') }}
),

-- What the payment itself does not place anywhere is matched by reference (policy reference_match).
unplaced as (
    select
        payments.*,
        payments.amount - payments.applied_amount - payments.direct_amount - payments.direct_tax_amount as remainder,
        policies.reference_match,
        {{ normalised('payments.reference') }} as normalised_reference
    from payments
    inner join {{ ref('line_policies') }} as policies
        on payments.entity_id = policies.entity_id
        and policies.product_family = 'default'
        and payments.currency = policies.currency
    where
        payments.reference is not null and not payments.is_advance and payments.application_fee_amount is null
        and payments.amount > payments.applied_amount + payments.direct_amount + payments.direct_tax_amount
),

names as (
    select entity_id, invoice_id, currency, accounting_date, customer_id, number as name from {{ ref('can_invoices') }} where number is not null
    union
    select entity_id, invoice_id, currency, accounting_date, customer_id, invoice_id as name from {{ ref('can_invoices') }}
),

words as (
    select event_key, entity_id, currency, reference as word, 'exact' as how from unplaced
    union all
    select event_key, entity_id, currency, normalised_reference as word, 'normalised' as how
    from unplaced where reference_match in ('normalised', 'contains')
    union all
    select event_key, entity_id, currency, {{ normalised('token') }} as word, 'normalised' as how
    from (
        select event_key, entity_id, currency, unnest(string_split_regex(reference, '\s+')) as token
        from unplaced where reference_match = 'contains'
    ) as tokens
),

found as (
    select words.event_key, names.invoice_id, names.accounting_date
    from words
    inner join names
        on words.entity_id = names.entity_id
        and words.currency = names.currency
        and words.word = case words.how when 'exact' then names.name else {{ normalised('names.name') }} end
    where words.word <> ''
    qualify row_number() over (partition by words.event_key order by names.accounting_date, names.invoice_id) = 1
),

matched as (
    select
        unplaced.event_key, unplaced.entity_id, unplaced.accounting_date, unplaced.time, unplaced.sequence, unplaced.event_id,
        unplaced.recorded_time, unplaced.correlation_id, 'payment.settled' as event_type, unplaced.payment_id,
        1000 as application_no, found.invoice_id, unplaced.entity_id as invoice_entity_id, unplaced.remainder as amount,
        unplaced.posting_date, unplaced.is_prior_period
    from unplaced
    inner join found on unplaced.event_key = found.event_key
)

select
    event_key, entity_id, accounting_date, time, sequence, event_id, recorded_time, correlation_id, event_type, payment_id,
    application_no, invoice_id, invoice_entity_id, amount, posting_date, is_prior_period
from stated
union all
select
    event_key, entity_id, accounting_date, time, sequence, event_id, recorded_time, correlation_id, event_type, payment_id,
    application_no, invoice_id, invoice_entity_id, amount, posting_date, is_prior_period
from matched
