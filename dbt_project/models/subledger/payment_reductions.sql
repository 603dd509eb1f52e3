-- One row per refund or dispute event that takes back what a payment brought: how much of it exceeds the charge (other loss),
-- how much was never applied, and what is left to reduce what the payment paid for. A refund that pays the liability of a
-- credit note reduces nothing, but counts towards the charge.
with refunds as (
    select facts.*, payments.amount as charged
    from ({{ posted('can_refunds') }}) as facts
    -- a refund waits for its payment
    inner join {{ ref('can_payments') }} as payments
        on facts.entity_id = payments.entity_id and facts.payment_id = payments.payment_id
),

disputes as (
    select facts.*, cases.payment_id as disputed_payment_id, cases.dispute_policy, cases.withdrawn, cases.reinstated, payments.amount as charged
    from ({{ posted('can_dispute_events') }}) as facts
    inner join {{ ref('dispute_cases') }} as cases
        on facts.entity_id = cases.entity_id and facts.dispute_id = cases.dispute_id
    inner join {{ ref('can_payments') }} as payments
        on cases.entity_id = payments.entity_id and cases.payment_id = payments.payment_id
),

stated as (
    select distinct event_key from {{ ref('can_refund_allocations') }}
),

reductions as (
    select
        refunds.event_key, refunds.entity_id, refunds.accounting_date, refunds.time, refunds.sequence, refunds.event_id,
        refunds.posting_date, refunds.payment_id, refunds.charged, refunds.amount, 'refund' as purpose, refunds.refund_id as reduction_id,
        stated.event_key is not null as is_stated
    from refunds
    left join stated on refunds.event_key = stated.event_key
    where refunds.credit_note_id is null
    union all
    select
        event_key, entity_id, accounting_date, time, sequence, event_id, posting_date, disputed_payment_id as payment_id, charged,
        case when dispute_policy = 'proportional_contra' then amount else withdrawn - reinstated end as amount,
        'dispute' as purpose, dispute_id as reduction_id, false as is_stated
    from disputes
    where
        (dispute_policy = 'proportional_contra' and event_type = 'dispute.funds_withdrawn')
        or (dispute_policy = 'park_in_receivable' and event_type = 'dispute.closed' and outcome = 'lost' and withdrawn > reinstated)
),

-- All that ever went back of a payment, and what of that came again.
flows as (
    select entity_id, payment_id, event_key, {{ fact_order() }}, amount, amount as taken
    from reductions
    union all
    select entity_id, payment_id, event_key, {{ fact_order() }}, 0 as amount, amount as taken
    from refunds
    where credit_note_id is not null
    union all
    select
        failures.entity_id, refunds.payment_id, failures.event_key, {{ fact_order('failures.') }}, 0 as amount, -refunds.amount as taken
    from ({{ posted('can_refund_failures') }}) as failures
    inner join refunds on failures.entity_id = refunds.entity_id and failures.refund_id = refunds.refund_id
    union all
    select entity_id, disputed_payment_id as payment_id, event_key, {{ fact_order() }}, 0 as amount, -amount as taken
    from disputes
    where dispute_policy = 'proportional_contra' and event_type = 'dispute.funds_reinstated'
),

taken as (
    select
        event_key,
        coalesce(sum(taken) over (
            partition by entity_id, payment_id order by {{ fact_order() }} rows between unbounded preceding and 1 preceding
        ), 0) as taken_before
    from flows
),

charged as (
    select
        reductions.*,
        case
            when reductions.is_stated then 0
            else greatest(least(reductions.amount, taken.taken_before + reductions.amount - reductions.charged), 0)
        end as over_charge
    from reductions
    inner join taken on reductions.event_key = taken.event_key
),

-- What of a payment was never applied goes back first.
unapplied_flows as (
    select entity_id, payment_id, event_key, {{ fact_order() }}, amount - over_charge as reduced, 0 as applied_later
    from charged
    where not is_stated
    union all
    select entity_id, payment_id, event_key, {{ fact_order() }}, 0 as reduced, amount as applied_later
    from {{ ref('cash_applications') }}
    where event_type = 'payment.applied'
),

unapplied as (
    select event_key, least(reduced, greatest(unapplied - used_before, 0)) as from_unapplied
    from (
        select
            flows.*,
            remainders.unapplied,
            coalesce(sum(flows.reduced + flows.applied_later) over (
                partition by flows.entity_id, flows.payment_id order by {{ fact_order('flows.') }}
                rows between unbounded preceding and 1 preceding
            ), 0) as used_before
        from unapplied_flows as flows
        inner join {{ ref('payment_remainders') }} as remainders
            on flows.entity_id = remainders.entity_id and flows.payment_id = remainders.payment_id
        where remainders.unapplied > 0
    ) as running
    where reduced > 0
)

select
    charged.event_key,
    charged.entity_id,
    charged.accounting_date,
    charged.time,
    charged.sequence,
    charged.event_id,
    charged.posting_date,
    charged.payment_id,
    charged.purpose,
    charged.reduction_id,
    charged.is_stated,
    charged.amount,
    cast(charged.over_charge as bigint) as over_charge,
    cast(coalesce(unapplied.from_unapplied, 0) as bigint) as from_unapplied,
    cast(charged.amount - charged.over_charge - coalesce(unapplied.from_unapplied, 0) as bigint) as reduction
from charged
left join unapplied on charged.event_key = unapplied.event_key
