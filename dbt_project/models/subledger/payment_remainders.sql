-- One row per payment: what no application, direct sale or matching placed, and whether that is within tolerance.
with applied as (
    select
        event_key,
        count(*) as application_count,
        cast(sum(amount) as bigint) as amount,
        cast(sum(case when is_invoice_known then 0 else amount end) as bigint) as unknown_amount
    from {{ ref('cash_applications') }}
    where event_type <> 'payment.applied'
    group by 1
),

rested as (
    select
        payments.event_key,
        payments.entity_id,
        payments.payment_id,
        coalesce(applied.application_count, 0) as application_count,
        coalesce(applied.unknown_amount, 0) as unknown_amount,
        policies.payment_tolerance,
        case
            when payments.is_advance or payments.application_fee_amount is not null then 0
            else payments.amount - coalesce(applied.amount, 0) - payments.direct_amount - payments.direct_tax_amount
        end as remainder
    from ({{ posted('can_payments') }}) as payments
    inner join {{ ref('line_policies') }} as policies
        on payments.entity_id = policies.entity_id and policies.product_family = 'default' and payments.currency = policies.currency
    left join applied on payments.event_key = applied.event_key
)

select
    event_key,
    entity_id,
    payment_id,
    cast(remainder as bigint) as remainder,
    application_count > 0 and abs(remainder) <= payment_tolerance as is_difference,
    -- what stays with the customer: the rest beyond tolerance, and applications to invoices that nobody knows
    cast(unknown_amount + case
        when application_count > 0 and abs(remainder) <= payment_tolerance then 0
        else greatest(remainder, 0)
    end as bigint) as unapplied
from rested
