-- One row per contract event and obligation that it books, adds, replaces, ends, pauses, resumes, estimates or performs.
-- Amounts are in contract currency; decimals are scaled by 1e12.
{%- set own_minor = pow10('own.exponent') -%}
{%- set line_minor = pow10('coalesce(other.exponent, own.exponent)') %}
with booked as (
    select
        events.contract_no, events.step, lines.line_id, 'add' as action, cast(null as varchar) as option_line_id,
        lines.kind, lines.product_family, lines.product_id, lines.amount, lines.ssp, lines.is_residual, lines.constrained_amount,
        cast(lines.quantity * 1000000000000 as hugeint) as quantity_e12,
        cast(lines.unit_price * 1000000000000 as hugeint) as unit_price_e12,
        cast(lines.expected_unit_price * 1000000000000 as hugeint) as expected_unit_price_e12,
        lines.line_currency, lines.exchange_rate_e12, lines.service_start, lines.service_end
    from {{ ref('contract_events') }} as events
    inner join {{ ref('can_contract_lines') }} as lines on events.event_key = lines.event_key
    where events.kind = 'book'
    union all
    select
        events.contract_no, events.step, lines.line_id, lines.action, lines.option_line_id,
        lines.kind, lines.product_family, lines.product_id, lines.amount, lines.ssp, lines.is_residual, lines.constrained_amount,
        cast(lines.quantity * 1000000000000 as hugeint) as quantity_e12,
        cast(lines.unit_price * 1000000000000 as hugeint) as unit_price_e12,
        cast(lines.expected_unit_price * 1000000000000 as hugeint) as expected_unit_price_e12,
        lines.line_currency, lines.exchange_rate_e12, lines.service_start, lines.service_end
    from {{ ref('contract_events') }} as events
    inner join {{ ref('can_amendment_lines') }} as lines on events.event_key = lines.event_key
    where events.kind = 'amend'
),

-- Amounts and prices of a line in another currency are converted once, at the contract rate.
converted as (
    select
        booked.* exclude (amount, ssp, constrained_amount, expected_unit_price_e12),
        contracts.currency,
        {{ own_minor }} as minor_per_unit,
        {{ line_minor }} as line_minor_per_unit,
        {{ at_contract_rate('booked.amount', own_minor, line_minor) }} as amount,
        {{ at_contract_rate('booked.ssp', own_minor, line_minor) }} as ssp,
        {{ at_contract_rate('booked.constrained_amount', own_minor, line_minor) }} as constrained_amount,
        {{ price_at_contract_rate('booked.expected_unit_price_e12') }} as expected_unit_price_e12
    from booked
    inner join {{ ref('contract_events') }} as events on booked.contract_no = events.contract_no and events.kind = 'book'
    inner join {{ ref('can_contracts') }} as contracts on events.event_key = contracts.event_key
    left join {{ state('currencies') }} as own on contracts.currency = own.currency
    left join {{ state('currencies') }} as other on booked.line_currency = other.currency
),

-- An estimate speaks of its line in the line's currency.
estimates as (
    select
        booked.contract_no, booked.step, booked.line_id, booked.expected_total,
        {{ price_at_contract_rate('booked.new_unit_price_e12') }} as new_unit_price_e12,
        {{ at_contract_rate('booked.new_constrained', 'booked.minor_per_unit', 'booked.line_minor_per_unit') }} as new_constrained
    from (
        select
            events.contract_no, events.step, estimates.line_id, estimates.expected_total,
            cast(estimates.expected_unit_price * 1000000000000 as hugeint) as new_unit_price_e12,
            estimates.constrained_amount as new_constrained,
            lines.exchange_rate_e12, lines.minor_per_unit, lines.line_minor_per_unit
        from {{ ref('contract_events') }} as events
        inner join {{ ref('can_estimates') }} as estimates on events.event_key = estimates.event_key
        left join converted as lines
            on events.contract_no = lines.contract_no and events.step > lines.step and estimates.line_id = lines.line_id
            and lines.action in ('add', 'replace')
        where events.kind = 'estimate' and estimates.line_id is not null
        qualify row_number() over (partition by events.contract_no, events.step, estimates.line_id order by lines.step desc) = 1
    ) as booked
),

-- Discounts proven for some lines: shared over their stand-alone prices.
discounts as (
    select
        converted.contract_no, converted.line_id, discounts.discount_no, discounts.amount,
        coalesce(converted.ssp, converted.amount) as weight,
        sum(coalesce(converted.ssp, converted.amount)) over (partition by converted.contract_no, discounts.discount_no) as whole
    from converted
    inner join {{ ref('contract_events') }} as events
        on converted.contract_no = events.contract_no and converted.step = events.step and events.kind = 'book'
    inner join {{ ref('can_contract_discounts') }} as discounts
        on events.event_key = discounts.event_key and converted.line_id = discounts.line_id
),

discount_floors as (
    select *, case when whole = 0 then 0 else {{ floor_share('amount', 'weight', 'whole') }} end as floor_amount from discounts
),

discount_shares as (
    select contract_no, line_id, cast(sum(share_amount) as bigint) as discount_share
    from (
        select
            contract_no, line_id,
            floor_amount + case
                when row_number() over (
                    partition by contract_no, discount_no
                    order by cast(amount as hugeint) * weight - cast(floor_amount as hugeint) * whole desc, line_id
                ) <= amount - sum(floor_amount) over (partition by contract_no, discount_no) then 1 else 0
            end as share_amount
        from discount_floors
    ) as shared
    group by 1, 2
),

changes as (
    select
        converted.contract_no, converted.step, converted.line_id, converted.action, converted.option_line_id, converted.kind,
        converted.product_family, converted.product_id, converted.amount, converted.ssp, converted.is_residual,
        -- expected consideration: stated, unless returns or rebates are expected
        case
            when converted.constrained_amount is not null then converted.constrained_amount
            when converted.expected_unit_price_e12 is not null and converted.quantity_e12 is not null
                then {{ half_up('converted.expected_unit_price_e12 * (converted.quantity_e12 // 1000000) * converted.minor_per_unit', 1000000000000000000) }}
            else converted.amount
        end as expected_amount,
        converted.quantity_e12, converted.minor_per_unit, converted.service_start, converted.service_end,
        coalesce(discount_shares.discount_share, 0) as discount_share,
        cast(null as varchar) as measure, cast(null as hugeint) as cumulative_e12, cast(null as hugeint) as expected_total_e12,
        cast(null as hugeint) as new_unit_price_e12, cast(null as bigint) as new_constrained
    from converted
    left join discount_shares
        on converted.contract_no = discount_shares.contract_no and converted.line_id = discount_shares.line_id and converted.step = 1
),

revisions as (
    select
        contract_no, step, line_id, 'estimate' as action, null as option_line_id, null as kind,
        null as product_family, null as product_id, null as amount, null as ssp, false as is_residual, null as expected_amount,
        null as quantity_e12, null as minor_per_unit, null as service_start, null as service_end, 0 as discount_share,
        null as measure, null as cumulative_e12, cast(expected_total * 1000000000000 as hugeint) as expected_total_e12,
        new_unit_price_e12, new_constrained
    from estimates
    union all
    select
        events.contract_no, events.step, performances.line_id, 'perform' as action, null as option_line_id, null as kind,
        null as product_family, null as product_id, null as amount, null as ssp, false as is_residual, null as expected_amount,
        null as quantity_e12, null as minor_per_unit, null as service_start, null as service_end, 0 as discount_share,
        performances.measure, cast(performances.cumulative * 1000000000000 as hugeint) as cumulative_e12,
        cast(performances.expected_total * 1000000000000 as hugeint) as expected_total_e12,
        null as new_unit_price_e12, null as new_constrained
    from {{ ref('contract_events') }} as events
    inner join {{ ref('can_performance') }} as performances on events.event_key = performances.event_key
    where events.kind = 'perform'
),

toggles as (
    select
        contract_no, step, occurred_on, amendment_kind,
        coalesce(lag(amendment_kind) over (partition by contract_no order by step), 'resume') as kind_before
    from {{ ref('contract_events') }}
    where amendment_kind in ('pause', 'resume')
),

-- Pause and resume reach every line with a window that the amendment does not name itself. The end of the window stays: what
-- is left is earned between the day of the resumption and that end, or on that day if the end has passed.
gaps as (
    select
        toggles.contract_no, toggles.step, lines.line_id, toggles.amendment_kind as action, null as option_line_id, null as kind,
        null as product_family, null as product_id, null as amount, null as ssp, false as is_residual, null as expected_amount,
        null as quantity_e12, null as minor_per_unit, toggles.occurred_on as service_start,
        greatest(lines.service_end, {{ add_days('toggles.occurred_on', 1) }}) as service_end, 0 as discount_share,
        null as measure, null as cumulative_e12, null as expected_total_e12, null as new_unit_price_e12, null as new_constrained
    from toggles
    inner join changes as lines
        on toggles.contract_no = lines.contract_no and toggles.step > lines.step
        and lines.action in ('add', 'replace') and lines.service_end > lines.service_start
    left join changes as named
        on toggles.contract_no = named.contract_no and toggles.step = named.step and lines.line_id = named.line_id
    where named.line_id is null and toggles.amendment_kind <> toggles.kind_before
    qualify row_number() over (partition by toggles.contract_no, toggles.step, lines.line_id order by lines.step desc) = 1
),

together as (
    select * from changes
    union all
    select * from revisions
    union all
    select * from gaps
)

select * from together
