-- One row per (charge, invoice): what a settled charge paid, or which invoice a failed one was meant for (amount null).
with charges as (
    select
        *,
        -- One payment intent settles once; of several settled charges that name it, the first is the one.
        row_number() over (
            partition by _source, payment_intent_id, status
            order by created_at, charge_id
        ) as settlement_rank
    from {{ ref('stg_stripe__charges') }}
),

invoice_payments as (
    select * from {{ ref('stg_stripe__invoice_payments') }}
)

select
    charges._source,
    charges.entity_id,
    charges.charge_id,
    invoice_payments.invoice_id,
    cast(sum(case
        when charges.status = 'succeeded' and invoice_payments.status = 'paid' then invoice_payments.amount_paid
    end) as bigint) as amount
from charges
inner join invoice_payments
    on charges._source = invoice_payments._source
    and (
        charges.charge_id = invoice_payments.charge_id
        or (invoice_payments.charge_id is null and charges.payment_intent_id = invoice_payments.payment_intent_id)
    )
where
    charges.status = 'failed'
    or (
        charges.status = 'succeeded'
        and invoice_payments.status = 'paid'
        and (charges.settlement_rank = 1 or charges.charge_id = invoice_payments.charge_id)
    )
group by charges._source, charges.entity_id, charges.charge_id, invoice_payments.invoice_id
