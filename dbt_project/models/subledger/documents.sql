-- One row per document that opens a receivable or is a sale by itself: invoice, direct charge, pending charge.
-- Keyed by (entity_id, document_type, document_id). An opening receivable counts as an invoice without lines.
with invoices as (
    {{ posted('can_invoices') }}
),

entities as (
    select entity_id, functional_currency from {{ state('entities') }}
),

-- Only invoices whose every line books its receivable when due or paid look for the first payment and the contract's terms.
late_receivables as (
    select lines.entity_id, lines.invoice_id
    from {{ ref('can_invoice_lines') }} as lines
    inner join {{ ref('line_policies') }} as policies
        on lines.entity_id = policies.entity_id and lines.product_family = policies.product_family and lines.currency = policies.currency
    where lines.entity_id in (select late.entity_id from {{ ref('line_policies') }} as late where late.receivable_timing = 'at_due_or_paid')
    group by lines.entity_id, lines.invoice_id
    having bool_and(policies.receivable_timing = 'at_due_or_paid')
),

first_payments as (
    select late_receivables.entity_id, late_receivables.invoice_id, min(matches.posting_date) as paid_date
    from {{ ref('payment_matches') }} as matches
    inner join late_receivables
        on matches.invoice_entity_id = late_receivables.entity_id and matches.invoice_id = late_receivables.invoice_id
    group by late_receivables.entity_id, late_receivables.invoice_id
),

cancellable as (
    select distinct lines.entity_id, lines.invoice_id
    from {{ ref('can_invoice_lines') }} as lines
    inner join {{ ref('can_contracts') }} as contracts
        on lines.entity_id = contracts.entity_id and lines.contract_id = contracts.contract_id
    inner join late_receivables on lines.entity_id = late_receivables.entity_id and lines.invoice_id = late_receivables.invoice_id
    where contracts.is_cancellable
),

timed as (
    select
        invoices.*,
        case
            when late_receivables.entity_id is null then invoices.posting_date
            when cancellable.invoice_id is not null then greatest(invoices.posting_date, first_payments.paid_date)
            else greatest(invoices.posting_date, least(
                coalesce(invoices.due_date, first_payments.paid_date, invoices.posting_date),
                coalesce(first_payments.paid_date, invoices.due_date, invoices.posting_date)
            ))
        end as opened_on,
        cancellable.invoice_id is not null as is_conditional,
        cancellable.invoice_id is not null and first_payments.paid_date is null as is_unconditional_never
    from invoices
    left join late_receivables on invoices.entity_id = late_receivables.entity_id and invoices.invoice_id = late_receivables.invoice_id
    left join first_payments on invoices.entity_id = first_payments.entity_id and invoices.invoice_id = first_payments.invoice_id
    left join cancellable on invoices.entity_id = cancellable.entity_id and invoices.invoice_id = cancellable.invoice_id
),

opened as (
    select
        entity_id, 'invoice' as document_type, invoice_id as document_id, event_key, 'invoice.posted' as event_type,
        customer_id, currency, opened_on as posting_date, accounting_date, is_prior_period, recorded_time, time, sequence, event_id,
        correlation_id, net_amount, tax_amount, gross_amount, customer_balance_applied, advances_applied,
        gross_amount - customer_balance_applied - advances_applied as receivable, is_conditional
    from timed
    where not is_unconditional_never
    union all
    select
        entity_id, 'payment' as document_type, payment_id as document_id, event_key, 'payment.settled' as event_type,
        customer_id, currency, posting_date, accounting_date, is_prior_period, recorded_time, time, sequence, event_id,
        correlation_id, direct_amount as net_amount, direct_tax_amount as tax_amount,
        direct_amount + direct_tax_amount as gross_amount, 0 as customer_balance_applied, 0 as advances_applied, 0 as receivable,
        false as is_conditional
    from ({{ posted('can_payments') }}) as payments
    where is_direct_charge
    union all
    select
        entity_id, 'pending_charge' as document_type, pending_charge_id as document_id, event_key,
        'pending_charge.recorded' as event_type, customer_id, currency, posting_date, accounting_date, is_prior_period,
        recorded_time, time, sequence, event_id, correlation_id, amount as net_amount, 0 as tax_amount, amount as gross_amount,
        0 as customer_balance_applied, 0 as advances_applied, 0 as receivable, false as is_conditional
    from ({{ posted('can_pending_charges') }}) as pending
    union all
    select
        entity_id, 'invoice' as document_type, document_id, event_key, 'opening_balance.loaded' as event_type,
        customer_id, currency, posting_date, accounting_date, is_prior_period, recorded_time, time, sequence, event_id,
        correlation_id, 0 as net_amount, 0 as tax_amount, 0 as gross_amount, 0 as customer_balance_applied,
        0 as advances_applied, amount as receivable, false as is_conditional
    from ({{ posted('can_opening_balances') }}) as balances
    where account_role = 'accounts_receivable' and document_id is not null
)

-- The functional value of the document's currency: spot of the accounting date, or, for a direct charge under
-- fx_rate_source = processor, what the processor paid for it.
select
    opened.*,
    entities.functional_currency,
    case
        when opened.currency = entities.functional_currency then cast(1 as hugeint)
        when opened.document_type = 'payment' and (policies.fx_rate_source = 'processor' or rates.num is null)
            then cast(settlements.gross_fc as hugeint)
        else rates.num
    end as rate_num,
    case
        when opened.currency = entities.functional_currency then cast(1 as hugeint)
        when opened.document_type = 'payment' and (policies.fx_rate_source = 'processor' or rates.num is null)
            then cast(greatest(payments.amount, 1) as hugeint)
        else rates.den
    end as rate_den
from opened
inner join entities on opened.entity_id = entities.entity_id
inner join {{ ref('line_policies') }} as policies
    on opened.entity_id = policies.entity_id
    and policies.product_family = 'default'
    and opened.currency = policies.currency
left join {{ ref('spot_rates') }} as rates
    on opened.entity_id = rates.entity_id
    and opened.currency = rates.currency
    and opened.accounting_date = rates.rate_date
left join {{ ref('can_payments') }} as payments
    on opened.document_type = 'payment' and opened.event_key = payments.event_key
left join {{ ref('settlements') }} as settlements
    on opened.document_type = 'payment' and opened.event_key = settlements.event_key
