-- One row per event (or document) that did not simply post: blocked, over-credited, or waiting for what it refers to.
-- is_resolved: the object it waited for has arrived, and the event has posted since.
with blocked as (
    select blocked_class as class, entity_id, subject, event_key, detail, false as is_resolved
    from {{ ref('event_verdicts') }}
    where blocked_class is not null
),

over_credit as (
    select distinct
        'over_credit' as class, entity_id, reference_id as subject, event_key,
        'credit note exceeds what is left of a line of ' || document_id as detail, false as is_resolved
    from {{ ref('line_effects') }}
    where eff_over_credit
),

objects as (
    select entity_id, 'invoice' as kind, invoice_id as object_id, recorded_time from {{ ref('can_invoices') }}
    union all
    select entity_id, 'invoice' as kind, document_id as object_id, recorded_time
    from {{ ref('can_opening_balances') }} where document_id is not null
    union all
    select entity_id, 'credit_note' as kind, credit_note_id as object_id, recorded_time from {{ ref('can_credit_notes') }}
    union all
    select entity_id, 'payment' as kind, payment_id as object_id, recorded_time from {{ ref('can_payments') }}
    union all
    select entity_id, 'refund' as kind, refund_id as object_id, recorded_time from {{ ref('can_refunds') }}
    union all
    select entity_id, 'dispute' as kind, dispute_id as object_id, recorded_time
    from {{ ref('can_dispute_events') }}
    where event_type in ('dispute.opened', 'dispute.funds_withdrawn')
    union all
    select entity_id, 'contract' as kind, contract_id as object_id, recorded_time from {{ ref('can_contracts') }}
    union all
    select entity_id, 'subscription' as kind, subscription_id as object_id, recorded_time from {{ ref('can_subscriptions') }}
),

known as (
    select entity_id, kind, object_id, min(recorded_time) as recorded_time
    from objects
    group by entity_id, kind, object_id
),

mentions as (
    select event_key, entity_id, credit_note_id as subject, recorded_time, 'invoice' as kind, invoice_id as object_id, entity_id as object_entity_id
    from {{ ref('can_credit_notes') }}
    union all
    select event_key, entity_id, invoice_id as subject, recorded_time, 'invoice' as kind, invoice_id as object_id, entity_id as object_entity_id
    from {{ ref('can_invoice_ends') }}
    union all
    select event_key, entity_id, credit_note_id as subject, recorded_time, 'credit_note' as kind, credit_note_id as object_id, entity_id as object_entity_id
    from {{ ref('can_credit_note_voids') }}
    union all
    select event_key, entity_id, payment_id as subject, recorded_time, 'invoice' as kind, invoice_id as object_id, invoice_entity_id as object_entity_id
    from {{ ref('can_payment_applications') }}
    union all
    select event_key, entity_id, payment_id as subject, recorded_time, 'payment' as kind, payment_id as object_id, entity_id as object_entity_id
    from {{ ref('can_payment_applications') }}
    where event_type = 'payment.applied'
    union all
    select event_key, entity_id, refund_id as subject, recorded_time, 'payment' as kind, payment_id as object_id, entity_id as object_entity_id
    from {{ ref('can_refunds') }}
    union all
    select event_key, entity_id, refund_id as subject, recorded_time, 'credit_note' as kind, credit_note_id as object_id, entity_id as object_entity_id
    from {{ ref('can_refunds') }}
    where credit_note_id is not null
    union all
    select event_key, entity_id, refund_id as subject, recorded_time, 'refund' as kind, refund_id as object_id, entity_id as object_entity_id
    from {{ ref('can_refund_failures') }}
    union all
    select event_key, entity_id, dispute_id as subject, recorded_time, 'payment' as kind, payment_id as object_id, entity_id as object_entity_id
    from {{ ref('can_dispute_events') }}
    where payment_id is not null
    union all
    select event_key, entity_id, dispute_id as subject, recorded_time, 'dispute' as kind, dispute_id as object_id, entity_id as object_entity_id
    from {{ ref('can_dispute_events') }}
    where event_type in ('dispute.funds_reinstated', 'dispute.closed')
    union all
    select event_key, entity_id, document_id as subject, recorded_time, document_type as kind, document_id as object_id, entity_id as object_entity_id
    from {{ ref('can_tax_recalculations') }}
    union all
    select event_key, entity_id, contract_id as subject, recorded_time, 'contract' as kind, contract_id as object_id, entity_id as object_entity_id
    from {{ ref('can_performance') }}
    union all
    select event_key, entity_id, contract_id as subject, recorded_time, 'contract' as kind, contract_id as object_id, entity_id as object_entity_id
    from {{ ref('can_estimates') }}
    union all
    select event_key, entity_id, amendment_id as subject, recorded_time, 'contract' as kind, contract_id as object_id, entity_id as object_entity_id
    from {{ ref('can_amendments') }}
    where contract_id is not null
    union all
    select event_key, entity_id, amendment_id as subject, recorded_time, 'subscription' as kind, subscription_id as object_id, entity_id as object_entity_id
    from {{ ref('can_amendments') }}
    where subscription_id is not null
),

-- The object is not there, or was learned of only after the event that needs it.
waiting as (
    select
        'unknown_reference' as class, mentions.entity_id, mentions.subject, mentions.event_key,
        min('refers to ' || mentions.kind || ' ' || mentions.object_id || ', not known when it was recorded') as detail,
        bool_and(known.object_id is not null) as is_resolved
    from mentions
    left join known
        on mentions.object_entity_id = known.entity_id and mentions.kind = known.kind and mentions.object_id = known.object_id
    where known.object_id is null or known.recorded_time > mentions.recorded_time
    group by mentions.entity_id, mentions.subject, mentions.event_key
),

listed as (
    select * from blocked
    union all
    select * from over_credit
    union all
    select class, entity_id, subject, event_key, detail, is_resolved from waiting
),

amounts as (
    select event_key, currency, gross_amount as amount from {{ ref('can_invoices') }}
    union all
    select event_key, currency, net_amount + stated_tax_amount as amount from {{ ref('can_credit_notes') }}
    union all
    select event_key, currency, amount from {{ ref('can_payments') }}
    union all
    select event_key, currency, amount from {{ ref('can_refunds') }}
    union all
    select event_key, currency, amount from {{ ref('can_dispute_events') }} where amount is not null
    union all
    select event_key, currency, amount from {{ ref('can_usage_rated') }}
    union all
    select event_key, currency, amount from {{ ref('can_pending_charges') }}
)

select
    md5(listed.class || '|' || listed.event_key || '|' || listed.subject) as exception_key,
    listed.class,
    listed.entity_id,
    listed.subject,
    listed.event_key,
    amounts.amount,
    amounts.currency,
    listed.detail,
    listed.is_resolved
from listed
left join amounts on listed.event_key = amounts.event_key
