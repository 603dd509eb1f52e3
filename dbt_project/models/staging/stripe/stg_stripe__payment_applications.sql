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
),

-- An invoice payment names its charge or, as a rule, the payment intent behind it.
matches as (
    select
        charges._source,
        charges.entity_id,
        charges.charge_id,
        charges.status as charge_status,
        invoice_payments.invoice_id,
        invoice_payments.status,
        invoice_payments.amount_paid
    from charges
    inner join invoice_payments
        on charges._source = invoice_payments._source
        and charges.charge_id = invoice_payments.charge_id
    union all
    select
        charges._source,
        charges.entity_id,
        charges.charge_id,
        charges.status as charge_status,
        invoice_payments.invoice_id,
        invoice_payments.status,
        invoice_payments.amount_paid
    from charges
    inner join invoice_payments
        on charges._source = invoice_payments._source
        and charges.payment_intent_id = invoice_payments.payment_intent_id
    where invoice_payments.charge_id is null and (charges.status = 'failed' or charges.settlement_rank = 1)
)

select
    _source,
    entity_id,
    charge_id,
    invoice_id,
    cast(sum(case when charge_status = 'succeeded' then amount_paid end) as bigint) as amount
from matches
where charge_status = 'failed' or (charge_status = 'succeeded' and status = 'paid')
group by _source, entity_id, charge_id, invoice_id
