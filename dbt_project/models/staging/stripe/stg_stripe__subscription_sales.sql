-- One row per (phase, product): contract value in minor units that the phase adds over the rest of its term.
with parts as (
    select * from {{ ref('stg_stripe__phase_value_parts') }}
),

phases as (
    select * from {{ ref('stg_stripe__subscription_phases') }}
),

-- Old and new terms are each rounded once, then subtracted: the way a quote states them.
rounded as (
    select
        _source,
        subscription_id,
        phase_no,
        product_code,
        sign,
        {{ divide_half_up('sum(value_numerator)', '(cast(' ~ day_fraction_base() ~ ' as ' ~ wide_integer() ~ ') * 10000000)') }}
            as amount
    from parts
    group by _source, subscription_id, phase_no, product_code, sign
),

totals as (
    select
        _source,
        subscription_id,
        phase_no,
        product_code,
        cast(sum(amount) as bigint) as amount
    from rounded
    group by _source, subscription_id, phase_no, product_code
)

select
    phases.entity_id,
    phases.subscription_id,
    phases.opportunity_id,
    phases.customer_id,
    phases.phase_no,
    phases.amendment_kind,
    totals.product_code,
    phases.currency,
    totals.amount,
    phases.phase_start as term_start,
    phases.contract_end as term_end,
    phases.booked_at
from totals
inner join phases
    on totals._source = phases._source
    and totals.subscription_id = phases.subscription_id
    and totals.phase_no = phases.phase_no
