-- Grain: one line that the billing platform should have invoiced by the cut-off: per item, billing period and kind.
-- charge: price x quantity x fraction; credit: unused rest of a period billed in advance; true_up: minimum commitment.
{{ config(tags=['before_posting']) }}

with segments as (

    select
        s.*,
        currencies.exponent,
        case s.billing_interval when 'week' then 0 when 'month' then 1 when 'quarter' then 3 else 12 end as interval_months,
        {{ policy_value('proration_basis', 'actual_period', 's.entity_id', 's.product_family', 's.currency') }} as basis,
        {{ policy_value('cancel_credit', 'prorated', 's.entity_id', 's.product_family', 's.currency') }} as cancel_credit,
        coalesce(s.segment_end, date '9999-12-31') as last_end
    from {{ ref('subscription_item_segments') }} as s
    inner join {{ state('currencies') }} as currencies on s.currency = currencies.currency

),

-- Bill dates are anchor +/- n intervals, clipped to the month's end. One row per billing period touched.
numbered as (

    select
        segments.*,
        unnest(
            case
                when interval_months = 0
                    then range(
                        (date_diff('day', anchor, segment_start) // 7) - 1,
                        (date_diff('day', anchor, least(last_end, date '{{ var("as_of") }}')) // 7) + 2
                    )
                else range(
                    (date_diff('month', anchor, segment_start) // interval_months) - 1,
                    (date_diff('month', anchor, least(last_end, date '{{ var("as_of") }}')) // interval_months) + 2
                )
            end
        ) as n
    from segments

),

periods as (

    select
        numbered.*,
        (anchor + case when interval_months = 0 then to_days((7 * n)::integer) else to_months((interval_months * n)::integer) end)::date
            as period_start,
        (anchor + case when interval_months = 0 then to_days((7 * (n + 1))::integer) else to_months((interval_months * (n + 1))::integer) end)::date
            as period_end
    from numbered

),

touched as (

    select
        periods.*,
        case when interval_months = 0 then 'actual_period' else basis end as day_basis,
        greatest(period_start, segment_start) as service_start,
        -- The end that is known when the line is billed: an end booked later is credited, one agreed before is a stub.
        least(
            period_end,
            coalesce(planned_end, date '9999-12-31'),
            case
                when
                    timing = 'in_arrears'
                    or end_booked_date <= greatest(period_start, segment_start)
                    then last_end
                else date '9999-12-31'
            end
        ) as service_end
    from periods
    where
        period_end > segment_start
        -- A period begun after the end is billed only if the end was booked after its bill date (backdated amendment).
        and (
            period_start < last_end
            or (timing = 'in_advance' and end_booked_date > greatest(period_start, segment_start))
        )

),

billed as (

    select
        touched.*,
        case when timing = 'in_arrears' then service_end else service_start end as bill_date,
        {{ full_days('service_start', 'service_end') }}::hugeint as period_days,
        {{ day_count('service_start', 'service_end', 'day_basis') }}::hugeint as service_days,
        -- 10^-18 of a minor unit: price carries 12 digits, quantity 6.
        {{ scaled_decimal('unit_price', 12) }} * {{ scaled_decimal('quantity', 6) }} * (10 ** exponent)::hugeint as period_price
    from touched
    where service_end > service_start

),

due as (

    select
        billed.*,
        {{ scaled_decimal("coalesce(tax_rate, '0')", 9) }} as tax_rate_scaled
    from billed
    where bill_date <= date '{{ var("as_of") }}'

),

charges as (

    select
        due.*,
        'charge' as kind,
        {{ round_half_up('(period_price * service_days)', '(period_days * 1000000000000000000::hugeint)') }}::bigint as amount,
        {{ round_half_up(
            '((period_price // 1000000) * service_days * tax_rate_scaled)', '(period_days * 1000000000000000000000::hugeint)'
        ) }}::bigint as tax
    from due
    -- the price of an item with a commitment is that of its usage
    where period_price <> 0 and coalesce(minimum_amount, 0) = 0

),

-- Credit notes already issued on the item's invoice lines: a credit never exceeds what is left of the line it credits.
credited as (

    select
        lines.entity_id,
        lines.subscription_item_id as item_id,
        lines.service_start,
        notes.time as credited_at,
        credit_lines.amount
    from {{ ref('can_credit_note_lines') }} as credit_lines
    inner join {{ ref('can_credit_notes') }} as notes
        on credit_lines.entity_id = notes.entity_id and credit_lines.credit_note_id = notes.credit_note_id
    inner join {{ ref('can_invoice_lines') }} as lines
        on credit_lines.entity_id = lines.entity_id
        and credit_lines.invoice_line_id = lines.line_id
        and notes.invoice_id = lines.invoice_id
    left join {{ ref('can_credit_note_voids') }} as voids
        on notes.entity_id = voids.entity_id and notes.credit_note_id = voids.credit_note_id
    where lines.subscription_item_id is not null and lines.service_start is not null and voids.credit_note_id is null

),

unused as (

    select
        charges.* exclude (service_start, service_end, bill_date, kind, service_days, period_days, amount, tax),
        amount as charged_amount,
        service_start as charged_start,
        greatest(service_start, last_end) as service_start,
        service_end,
        greatest(end_booked_date, last_end) as bill_date,
        'credit' as kind,
        {{ full_days('greatest(service_start, last_end)', 'service_end') }}::hugeint as period_days,
        {{ day_count('greatest(service_start, last_end)', 'service_end', 'day_basis') }}::hugeint as service_days
    from charges
    where
        timing = 'in_advance'
        and last_end < service_end
        and (cancel_credit = 'prorated' or end_kind not in ('cancel', 'pause'))

),

unused_amounts as (

    select
        unused.*,
        row_number() over () as expected_charge_no,
        {{ round_half_up('(period_price * service_days)', '(period_days * 1000000000000000000::hugeint)') }}::bigint as unused_amount,
        {{ round_half_up(
            '((period_price // 1000000) * service_days * tax_rate_scaled)', '(period_days * 1000000000000000000000::hugeint)'
        ) }}::bigint as unused_tax
    from unused
    where bill_date <= date '{{ var("as_of") }}'

),

remaining as (

    select
        u.expected_charge_no,
        greatest(any_value(u.charged_amount) - coalesce(sum(c.amount), 0), 0)::bigint as left_amount
    from unused_amounts as u
    left join credited as c
        on u.entity_id = c.entity_id
        and u.item_id = c.item_id
        and u.charged_start <= c.service_start
        and u.service_end > c.service_start
        and u.end_event_time > c.credited_at
    group by u.expected_charge_no

),

credits as (

    select
        u.* exclude (charged_amount, unused_amount, unused_tax, charged_start),  -- noqa: RF02
        -least(u.unused_amount, r.left_amount)::bigint as amount,
        -case
            when u.unused_amount <= r.left_amount then u.unused_tax
            else {{ round_half_up('(r.left_amount::hugeint * u.tax_rate_scaled)', '1000000000::hugeint') }}
        end::bigint as tax
    from unused_amounts as u
    inner join remaining as r on u.expected_charge_no = r.expected_charge_no

),

-- The newest rating of each usage record; the aggregate of an item's window is what was used of the commitment.
ratings as (

    select *
    from {{ ref('can_usage_rated') }}
    qualify row_number() over (partition by entity_id, usage_id order by rate_version desc, accounting_date desc, time desc, sequence desc, event_id desc) = 1

),

usage as (

    select
        entity_id,
        subscription_item_id as item_id,
        window_start,
        any_value(aggregation) as aggregation,
        case any_value(aggregation)
            when 'sum' then sum(amount)
            when 'max' then max(amount)
            else max_by(amount, (accounting_date, time, sequence, event_id))
        end as amount
    from ratings
    group by entity_id, subscription_item_id, window_start

),

-- A minimum commitment is trued up at the end of its period (or of the item), whatever the item's own timing.
committed as (

    select distinct
        touched.* exclude (service_end, unit_price, quantity),
        least(period_end, last_end, coalesce(planned_end, date '9999-12-31')) as service_end
    from touched
    where minimum_amount > 0 and period_start < last_end

),

-- What the span asks for, and what the item used since the period began.
measured as (

    select
        c.* exclude (service_end),  -- noqa: RF02
        c.service_end,
        any_value({{ round_half_up(
            "(c.minimum_amount::hugeint * " ~ day_count('c.service_start', 'c.service_end', 'c.day_basis') ~ ")",
            "(" ~ full_days('c.service_start', 'c.service_end', 'c.') ~ ")::hugeint"
        ) }})::bigint as minimum_due,
        coalesce(
            sum(usage.amount) filter (where usage.window_start >= c.period_start),
            -- last_ever stands until another record comes
            max_by(usage.amount, usage.window_start),
            0
        )::bigint as used
    from committed as c
    left join usage
        on c.entity_id = usage.entity_id
        and c.item_id = usage.item_id
        and c.service_end > usage.window_start
        and (c.period_start <= usage.window_start or usage.aggregation = 'last_ever')
    where c.service_end > c.service_start and c.service_end <= date '{{ var("as_of") }}'
    group by all

),

-- Two spans of one period (a pause inside it) share its usage: it counts once, against the first that it covers.
accumulated as (

    select
        *,
        sum(minimum_due) over spans - used as short_to_date
    from measured
    window spans as (partition by entity_id, subscription_id, item_id, period_start order by service_start)

),

owed as (

    select
        *,
        greatest(max(short_to_date) over spans, 0) as owed_to_date
    from accumulated
    window spans as (partition by entity_id, subscription_id, item_id, period_start order by service_start)

),

true_ups as (

    select
        *,
        (owed_to_date - coalesce(lag(owed_to_date) over spans, 0))::bigint as amount
    from owed
    window spans as (partition by entity_id, subscription_id, item_id, period_start order by service_start)

),

all_lines as (

    select
        entity_id, subscription_id, item_id, segment_no, kind, service_start, service_end, period_start, period_end, bill_date,
        amount, tax, currency, product_id, product_family, customer_id, event_key, correlation_id
    from charges
    union all
    select
        entity_id, subscription_id, item_id, segment_no, kind, service_start, service_end, period_start, period_end, bill_date,
        amount, tax, currency, product_id, product_family, customer_id, event_key, correlation_id
    from credits
    where amount <> 0
    union all
    select
        entity_id, subscription_id, item_id, segment_no, 'true_up' as kind, service_start, service_end, period_start, period_end,
        service_end as bill_date, amount, 0 as tax, currency, product_id, product_family, customer_id, event_key, correlation_id
    from true_ups
    where amount > 0

)

select
    md5(concat_ws('|', entity_id, subscription_id, item_id, segment_no, kind, service_start, service_end)) as expected_charge_key,
    entity_id,
    subscription_id,
    item_id,
    kind,
    service_start,
    service_end,
    period_start as billing_period_start,
    period_end as billing_period_end,
    bill_date,
    amount,
    tax,
    currency,
    product_id,
    product_family,
    customer_id,
    event_key,
    correlation_id
from all_lines
