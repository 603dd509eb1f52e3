-- One row per (phase, product, sign, billing period): exact share of a phase's contract value that falls in the period.
-- sign 1 = items of the phase itself, -1 = what the items before the change would have cost over the same days.
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
            items.phase_no = phases.phase_no
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
        case when interval_months is not null
            then {{ add_months('anchor_date', 'n * interval_months') }}
            else {{ add_days('anchor_date', 'n * interval_days') }}
        end as period_start,
        case when interval_months is not null
            then {{ add_months('anchor_date', '(n + 1) * interval_months') }}
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
)

select
    _source,
    subscription_id,
    phase_no,
    product_code,
    sign,
    period_start,
    period_end,
    period_days,
    overlap_days,
    -- Unit amount in 1/10000 minor units x quantity in 1/1000 x days, over day_fraction_base().
    cast(sum(
        sign
        * cast(unit_amount * 10000 as {{ wide_integer() }})
        * cast(quantity * 1000 as {{ wide_integer() }})
        * overlap_days
        * {{ divide_exact(day_fraction_base(), 'period_days') }}
    ) as {{ wide_integer() }}) as value_numerator
from overlapping
group by _source, subscription_id, phase_no, product_code, sign, period_start, period_end, period_days, overlap_days
