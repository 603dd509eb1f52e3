-- One row per event that does not simply post on its own date: moved out of a closed period, or blocked with a class.
with affected as (
    select
        events.event_key,
        events.entity_id,
        events.type as event_type,
        events.effective_date,
        events.recorded_time,
        {{ event_business_id('events.type', 'events.data') }} as business_id,
        events.id as event_id
    from {{ ref('events') }} as events
    inner join {{ ref('closed_periods') }} as closed
        on events.entity_id = closed.entity_id
        and {{ period_of('events.effective_date', 'events.entity_id') }} = closed.period
        and events.recorded_time >= closed.closed_from
        and events.recorded_time < closed.closed_to
    where
        events.type not like 'period.%' and events.type not like '%.reported' and events.type not like 'erp.%'
        and events.type not in ('fx_rate.published', 'dunning.status_changed', 'payment.failed', 'subscription.created')
),

-- Candidate periods after the closed one, up to one more than the entity ever closed: the first not closed then.
candidates as (
    select
        affected.*,
        {{ period_first_day('affected.effective_date', 'affected.entity_id', 'ahead.n') }} as first_day
    from affected
    cross join (
        select unnest(range(1, (select count(distinct period) + 2 from {{ ref('closed_periods') }}))) as n
    ) as ahead
),

first_open as (
    select candidates.event_key, min(candidates.first_day) as posting_date
    from candidates
    left join {{ ref('closed_periods') }} as closed
        on candidates.entity_id = closed.entity_id
        and {{ period_of('candidates.first_day', 'candidates.entity_id') }} = closed.period
        and candidates.recorded_time >= closed.closed_from
        and candidates.recorded_time < closed.closed_to
    where closed.period is null
    group by candidates.event_key
),

late_note_voids as (
    select voids.event_key, notes.event_key as note_key
    from {{ ref('can_credit_note_voids') }} as voids
    inner join affected on voids.event_key = affected.event_key
    inner join {{ ref('can_credit_notes') }} as notes
        on voids.entity_id = notes.entity_id and voids.credit_note_id = notes.credit_note_id
),

-- Tax of late credit notes (and of those that are voided late) whose sender left it to be derived from the invoice line.
derived_taxes as (
    select lines.event_key, cast(sum({{ share('invoiced.tax_amount', 'lines.amount', 'invoiced.amount') }}) as bigint) as tax
    from {{ ref('can_credit_note_lines') }} as lines
    inner join {{ ref('can_credit_notes') }} as notes on lines.event_key = notes.event_key
    inner join {{ ref('can_invoice_lines') }} as invoiced
        on notes.entity_id = invoiced.entity_id and notes.invoice_id = invoiced.invoice_id
        and lines.invoice_line_id = invoiced.line_id
    where
        lines.tax_amount is null and invoiced.amount <> 0
        and lines.event_key in (
            select affected.event_key from affected
            union all
            select late_note_voids.note_key from late_note_voids
        )
    group by lines.event_key
),

amounts as (
    select event_key, currency, abs(gross_amount) as gross from {{ ref('can_invoices') }}
    union all
    select notes.event_key, notes.currency, abs(notes.net_amount + notes.stated_tax_amount + coalesce(derived.tax, 0)) as gross
    from {{ ref('can_credit_notes') }} as notes
    left join derived_taxes as derived on notes.event_key = derived.event_key
    union all
    select voids.event_key, notes.currency, abs(notes.net_amount + notes.stated_tax_amount + coalesce(derived.tax, 0)) as gross
    from late_note_voids as voids
    inner join {{ ref('can_credit_notes') }} as notes on voids.note_key = notes.event_key
    left join derived_taxes as derived on notes.event_key = derived.event_key
    union all
    select applications.event_key, payments.currency, abs(cast(sum(applications.amount) as bigint)) as gross
    from {{ ref('can_payment_applications') }} as applications
    inner join affected on applications.event_key = affected.event_key
    inner join {{ ref('can_payments') }} as payments
        on applications.entity_id = payments.entity_id and applications.payment_id = payments.payment_id
    where applications.event_type = 'payment.applied'
    group by applications.event_key, payments.currency
    union all
    select failures.event_key, refunds.currency, abs(refunds.amount) as gross
    from {{ ref('can_refund_failures') }} as failures
    inner join {{ ref('can_refunds') }} as refunds
        on failures.entity_id = refunds.entity_id and failures.refund_id = refunds.refund_id
    union all
    select changes.event_key, documents.currency, abs(cast(sum(changes.new_amount - changes.old_amount) as bigint)) as gross
    from {{ ref('can_tax_recalculations') }} as changes
    inner join affected on changes.event_key = affected.event_key
    inner join (
        select entity_id, 'invoice' as document_type, invoice_id as document_id, currency from {{ ref('can_invoices') }}
        union all
        select entity_id, 'credit_note' as document_type, credit_note_id as document_id, currency from {{ ref('can_credit_notes') }}
    ) as documents
        on changes.entity_id = documents.entity_id and changes.document_type = documents.document_type
        and changes.document_id = documents.document_id
    group by changes.event_key, documents.currency
    union all
    select event_key, currency, abs(amount) as gross from {{ ref('can_payments') }}
    union all
    select event_key, currency, abs(amount) as gross from {{ ref('can_refunds') }}
    union all
    select event_key, currency, abs(amount) as gross from {{ ref('can_dispute_events') }} where amount is not null
    union all
    select event_key, currency, abs(amount) as gross from {{ ref('can_usage_rated') }}
    union all
    select event_key, currency, abs(amount) as gross from {{ ref('can_pending_charges') }}
    union all
    select event_key, currency, abs(amount) as gross from {{ ref('can_customer_balance_adjustments') }}
    union all
    select event_key, currency, abs(amount) as gross from {{ ref('can_payouts') }}
    union all
    select ends.event_key, invoices.currency, abs(invoices.gross_amount) as gross
    from {{ ref('can_invoice_ends') }} as ends
    inner join {{ ref('can_invoices') }} as invoices
        on ends.entity_id = invoices.entity_id and ends.invoice_id = invoices.invoice_id
),

late as (
    select
        affected.event_key,
        affected.entity_id,
        coalesce(affected.business_id, affected.event_id) as subject,
        first_open.posting_date,
        case
            when coalesce(own.closed_period_policy, policies.closed_period_policy) = 'reject' then 'closed_period'
            when case when own.currency is null then policies.prior_period_materiality else own.prior_period_materiality end < case
                when amounts.currency = policies.functional_currency or rates.num is null then amounts.gross
                else {{ half_up('amounts.gross * rates.num', 'rates.den') }}
            end then 'closed_period_material'
        end as blocked_class,
        'accounting date ' || cast(affected.effective_date as varchar) || ' is in a period closed when it was recorded' as detail
    from affected
    inner join first_open on affected.event_key = first_open.event_key
    inner join {{ ref('line_policies') }} as policies
        on affected.entity_id = policies.entity_id
        and policies.product_family = 'default'
        and policies.currency = policies.functional_currency
    left join amounts on affected.event_key = amounts.event_key
    -- the policy of the document's own currency, where the event has one
    left join {{ ref('line_policies') }} as own
        on affected.entity_id = own.entity_id and own.product_family = 'default' and amounts.currency = own.currency
    left join {{ ref('spot_rates') }} as rates
        on affected.entity_id = rates.entity_id
        and amounts.currency = rates.currency
        and affected.effective_date = rates.rate_date
),

balance_txns as (
    select event_key, entity_id, bt_id, 'payment ' || payment_id as object_id, payment_id as subject, accounting_date, time, sequence, event_id
    from {{ ref('can_payments') }} where bt_id is not null
    union all
    select event_key, entity_id, bt_id, 'refund ' || refund_id as object_id, refund_id as subject, accounting_date, time, sequence, event_id
    from {{ ref('can_refunds') }} where bt_id is not null
    union all
    select
        txns.event_key, txns.entity_id, txns.bt_id, 'dispute ' || txns.dispute_id as object_id, txns.dispute_id as subject,
        steps.accounting_date, steps.time, steps.sequence, steps.event_id
    from {{ ref('can_dispute_txns') }} as txns
    inner join {{ ref('can_dispute_events') }} as steps on txns.event_key = steps.event_key
    where txns.bt_id is not null
),

duplicates as (
    select event_key, entity_id, subject, bt_id
    from (
        select
            *,
            first_value(object_id) over (
                partition by entity_id, bt_id order by accounting_date, time, sequence, event_id
            ) as first_object
        from balance_txns
    ) as ranked
    where object_id <> first_object
),

-- What is in a foreign currency needs a spot rate on or before its date; settlements only if they bring none.
foreign_documents as (
    select event_key, entity_id, invoice_id as subject, currency, accounting_date from {{ ref('can_invoices') }}
    union all
    select event_key, entity_id, usage_id as subject, currency, accounting_date from {{ ref('can_usage_rated') }}
    union all
    select event_key, entity_id, pending_charge_id as subject, currency, accounting_date from {{ ref('can_pending_charges') }}
    union all
    select event_key, entity_id, payment_id as subject, coalesce(bt_currency, settled_currency, currency) as currency, accounting_date
    from {{ ref('can_payments') }}
    union all
    select event_key, entity_id, refund_id as subject, coalesce(bt_currency, currency) as currency, accounting_date
    from {{ ref('can_refunds') }}
    union all
    select event_key, entity_id, dispute_id as subject, bt_currency as currency, accounting_date from {{ ref('can_dispute_txns') }}
    union all
    select event_key, entity_id, adjustment_id as subject, currency, accounting_date from {{ ref('can_customer_balance_adjustments') }}
    union all
    select event_key, entity_id, event_id as subject, currency, accounting_date
    from {{ ref('can_opening_balances') }}
    where amount_fc is null
),

rate_missing as (
    select documents.event_key, documents.entity_id, documents.subject, documents.currency
    from foreign_documents as documents
    inner join {{ state('entities') }} as entities on documents.entity_id = entities.entity_id
    left join {{ ref('spot_rates') }} as rates
        on documents.entity_id = rates.entity_id
        and documents.currency = rates.currency
        and documents.accounting_date = rates.rate_date
    left join {{ ref('processor_rates') }} as processor_rates on documents.event_key = processor_rates.event_key
    where documents.currency <> entities.functional_currency and rates.num is null and processor_rates.num is null
),

verdicts as (
    select event_key, entity_id, subject, posting_date, true as is_prior_period, blocked_class, detail, 1 as preference from late
    union all
    select
        event_key, entity_id, subject, null as posting_date, false as is_prior_period, 'duplicate' as blocked_class,
        'balance transaction ' || bt_id || ' is used by another object already' as detail, 2 as preference
    from duplicates
    union all
    select
        event_key, entity_id, subject, null as posting_date, false as is_prior_period, 'duplicate' as blocked_class,
        subject || ' is known by an earlier event already' as detail, 2 as preference
    from {{ ref('event_repeats') }}
    union all
    select
        event_key, entity_id, subject, null as posting_date, false as is_prior_period, 'fx_rate_missing' as blocked_class,
        'no spot rate for ' || currency || ' on or before its date' as detail, 3 as preference
    from rate_missing
)

select event_key, entity_id, subject, posting_date, is_prior_period, blocked_class, detail
from verdicts
qualify row_number() over (partition by event_key order by blocked_class is null, preference) = 1
