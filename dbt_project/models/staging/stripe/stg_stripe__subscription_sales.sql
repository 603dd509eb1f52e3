-- One row per (phase, product): contract value in minor units that the phase adds over the rest of its term.
-- Value of a window = sum over its billing periods of price x quantity x days in the window / days of the period.
with phases as (
    select * from {{ ref('stg_stripe__subscription_phases') }}
),

items as (
    select * from {{ ref('stg_stripe__subscription_phase_items') }}
    where not is_metered
),

-- A new sale and a renewal count in full; every other change counts by what it adds to the terms before it.
signed as (
    select
        phases._source,
        phases.subscription_id,
        phases.phase_no,
        phases.anchor_date,
        phases.phase_start as window_start,
        phases.contract_end as window_end,
        items.product_code,
        items.unit_amount,
        items.quantity,
        items.interval_months,
        items.interval_days,
        case when items.phase_no = phases.phase_no then 1 else -1 end as sign
    from phases
    inner join items
        on phases._source = items._source
        and phases.subscription_id = items.subscription_id
        and (
            phases.phase_no = items.phase_no
            or (items.phase_no = phases.phase_no - 1 and phases.amendment_kind not in ('new', 'renewal'))
        )
    where phases.phase_start < phases.contract_end
),

-- Indices of the billing periods that can touch the window, one to spare on each side; anchor + n intervals.
indexed as (
    select
        *,
        {{ each_integer(
            "case when interval_months is not null"
            ~ " then cast(floor(" ~ months_between_firsts('anchor_date', 'window_start') ~ " / interval_months) as integer)"
            ~ " else cast(floor(" ~ days_between('anchor_date', 'window_start') ~ " / interval_days) as integer) end - 1",
            "case when interval_months is not null"
            ~ " then cast(floor(" ~ months_between_firsts('anchor_date', 'window_end') ~ " / interval_months) as integer)"
            ~ " else cast(floor(" ~ days_between('anchor_date', 'window_end') ~ " / interval_days) as integer) end",
        ) }} as n
    from signed
),

periods as (
    select
        *,
        case
            when interval_months is not null then {{ add_months('anchor_date', 'n * interval_months') }}
            else {{ add_days('anchor_date', 'n * interval_days') }}
        end as period_start,
        case
            when interval_months is not null then {{ add_months('anchor_date', '(n + 1) * interval_months') }}
            else {{ add_days('anchor_date', '(n + 1) * interval_days') }}
        end as period_end
    from indexed
),

overlapping as (
    select
        *,
        {{ days_between('period_start', 'period_end') }} as period_days,
        {{ days_between('greatest(period_start, window_start)', 'least(period_end, window_end)') }} as overlap_days
    from periods
    where period_start < window_end and period_end > window_start
),

-- Old (sign -1) and new (1) terms are each rounded once, then subtracted: the way a quote states them. The exact sum is in
-- 1/10000 minor units x 1/1000 of quantity / day_fraction_base(). A period of a length that the base does not know would
-- not be exact: it gives no amount at all.
rounded as (
    select
        _source,
        subscription_id,
        phase_no,
        product_code,
        sign,
        case
            when bool_and({{ day_fraction_base() }} % period_days = 0) then {{ divide_half_up(
                "sum(cast(unit_amount * 10000 as " ~ wide_integer() ~ ") * cast(quantity * 1000 as " ~ wide_integer() ~ ")"
                ~ " * overlap_days * " ~ divide_exact(day_fraction_base(), "period_days") ~ ")",
                "(cast(" ~ day_fraction_base() ~ " as " ~ wide_integer() ~ ") * 10000000)",
            ) }}
        end as amount
    from overlapping
    group by _source, subscription_id, phase_no, product_code, sign
),

totals as (
    select
        _source,
        subscription_id,
        phase_no,
        product_code,
        case when count(*) = count(amount) then cast(sum(sign * amount) as bigint) end as amount
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
-- An amendment that leaves a product as it was adds nothing for it.
where totals.amount is null or totals.amount <> 0 or phases.amendment_kind in ('new', 'renewal')
