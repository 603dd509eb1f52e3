-- One row per event whose object is known already by another event: business ids are unique per entity and kind of object, so
-- the first that was learned of stands and this one has no effect. An event that supersedes another one is no repeat of it.
with objects as (
    select
        event_key, entity_id, type, {{ event_business_id('type', 'data') }} as subject,
        recorded_time, effective_date, time, coalesce(sequence, '') as sequence, id
    from {{ ref('events') }}
    where
        type in (
            'invoice.posted', 'credit_note.issued', 'payment.settled', 'refund.issued', 'payout.paid', 'subscription.created',
            'amendment.booked', 'pending_charge.recorded', 'customer_balance.adjusted', 'bank.line_posted'
        )
        and {{ is_in_force('event_key') }}
),

repeated as (
    select entity_id, type, subject from objects group by entity_id, type, subject having count(*) > 1
)

select objects.event_key, objects.entity_id, objects.type, objects.subject
from objects
inner join repeated
    on objects.entity_id = repeated.entity_id and objects.type = repeated.type and objects.subject = repeated.subject
qualify row_number() over (
    partition by objects.entity_id, objects.type, objects.subject
    order by objects.recorded_time, objects.effective_date, objects.time, objects.sequence, objects.id
) > 1
