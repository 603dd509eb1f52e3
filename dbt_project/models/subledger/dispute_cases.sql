-- One row per dispute: its payment, policy, what was withdrawn and given back in the currency of the sale.
-- A dispute waits for its payment.
with steps as (
    {{ posted('can_dispute_events') }}
),

cases as (
    select
        steps.entity_id,
        steps.dispute_id,
        max(steps.payment_id) as payment_id,
        max(steps.currency) as currency,
        max(policies.dispute_policy) as dispute_policy,
        cast(coalesce(sum(steps.amount) filter (where steps.event_type = 'dispute.funds_withdrawn'), 0) as bigint) as withdrawn,
        cast(coalesce(sum(steps.amount) filter (where steps.event_type = 'dispute.funds_reinstated'), 0) as bigint) as reinstated,
        max(steps.outcome) as outcome
    from steps
    inner join {{ ref('line_policies') }} as policies
        on steps.entity_id = policies.entity_id
        and policies.product_family = 'default'
        and policies.currency = coalesce(steps.currency, policies.functional_currency)
    group by steps.entity_id, steps.dispute_id
)

select cases.*
from cases
inner join {{ ref('can_payments') }} as payments
    on cases.entity_id = payments.entity_id and cases.payment_id = payments.payment_id
