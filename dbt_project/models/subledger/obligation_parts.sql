-- One row per obligation recognised over time, piece of its terms and part: revenue by service period and posting date.
-- A piece runs from the day its terms were booked to the day the next terms were; what an event catches up stands in
-- obligation_states, so that parts and events add up to the price.
with obligations as (
    select *, recognition = 'ratable_daily' as is_daily from {{ ref('contract_obligations') }}
),

states as (
    select * from {{ ref('obligation_states') }}
),

added as (
    select contract_no, line_id, min(posting_date) as added_on from states where is_active group by 1, 2
),

pieces as (
    select
        contract_no, line_id, step, eff_window_step as window_step, eff_base as base, eff_remaining as remaining,
        eff_start_day as start_day, eff_from_day as from_day, posting_date as to_day
    from states
    where eff_piece_ends
    union all
    select contract_no, line_id, step + 1 as step, window_step, base, remaining, start_day, from_day, null as to_day
    from (
        select * from states
        qualify row_number() over (partition by contract_no, line_id order by step desc) = 1
    ) as last_states
    where is_timed
),

windowed as (
    select
        pieces.*, obligations.entity_id, obligations.line_no, obligations.rounding, obligations.is_daily, obligations.recognition, added.added_on,
        windows.starts, windows.ends, windows.done_at, windows.weights, windows.recognised_on,
        {{ weights_from('pieces.start_day', 'windows.') }} as weights_left
    from pieces
    inner join obligations on pieces.contract_no = obligations.contract_no and pieces.line_id = obligations.line_id
    inner join added on pieces.contract_no = added.contract_no and pieces.line_id = added.line_id
    inner join {{ ref('obligation_windows') }} as windows
        on pieces.contract_no = windows.contract_no and pieces.line_id = windows.line_id and pieces.window_step = windows.window_step
),

split as (
    {{ split_over_weights('windowed', total='remaining', weights='weights_left') }}
),

-- The running period at either end of a piece: what passed of it before.
edges as (
    select
        *,
        {{ recognised_over_time('from_day', '0', 'remaining', 'start_day', '', 'parts') }}
        - cast(list_sum(list_transform(range(len(parts)), lambda i: case when done_at[i + 1] <= from_day then parts[i + 1] else 0 end)) as bigint)
            as before_from,
        case
            when to_day is null then 0
            else
                {{ recognised_over_time('to_day', '0', 'remaining', 'start_day', '', 'parts') }}
                - cast(list_sum(list_transform(range(len(parts)), lambda i: case when done_at[i + 1] <= to_day then parts[i + 1] else 0 end)) as bigint)
        end as before_to
    from split
),

unnested as (
    select
        entity_id, contract_no, line_id, step, from_day, to_day, added_on, recognition,
        unnest(range(1, len(parts) + 1)) as part_no,
        unnest(done_at) as done_at,
        unnest(recognised_on) as recognised_on,
        unnest(parts) as amount
    from edges
),

kept as (
    select entity_id, contract_no, line_id, step, part_no, added_on, recognition, recognised_on, amount
    from unnested
    where done_at > from_day and (to_day is null or done_at <= to_day)
    union all
    select
        entity_id, contract_no, line_id, step, 10000 as part_no, added_on, recognition, {{ period_last_day('to_day') }} as recognised_on,
        before_to as amount
    from edges
    where before_to <> 0
    union all
    select
        entity_id, contract_no, line_id, step, 20000 as part_no, added_on, recognition, {{ period_last_day('from_day') }} as recognised_on,
        -before_from as amount
    from edges
    where before_from <> 0
)

select
    contract_no,
    line_id,
    step,
    part_no,
    {{ period_of('recognised_on') }} as service_period,
    case
        when recognised_on >= added_on then recognised_on
        when recognition = 'monthly_anniversary' then added_on
        else {{ period_last_day('added_on') }}
    end as recognised_on,
    amount
from kept
where amount <> 0
