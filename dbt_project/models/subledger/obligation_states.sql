-- One row per contract event and obligation: price and revenue to date after it, and the revenue it books by itself.
--
-- Every contract advances one event per round, all contracts in parallel; allocations are windows over one contract.
-- An obligation is a base (revenue to date at its last modification) plus what remained then, times progress since:
-- days of its window, or units, percent, rights done. A prospective change sets a new base; a catch-up keeps it.
{# The stages of one round, innermost first; each is a select over the one before. #}

{% set joined -%}
select
    states.* exclude (step, eff_revenue, eff_piece_ends, eff_window_step, eff_remaining, eff_base, eff_start_day, eff_from_day),
    events.step, events.kind, events.amendment_kind, events.is_at_ssp, events.is_distinct, events.event_variable, events.d, events.p,
    obligations.line_id, obligations.unit, obligations.minor_per_unit, obligations.rounding, obligations.is_daily,
    coalesce(event_lines.action, '') as action,
    event_lines.option_line_id is not null as names_option,
    event_lines.amount as stated_amount,
    event_lines.expected_amount as stated_expected,
    event_lines.ssp as stated_ssp,
    coalesce(event_lines.is_residual, false) as stated_residual,
    coalesce(event_lines.discount_share, 0) as stated_discount,
    event_lines.quantity_e12 as stated_quantity,
    event_lines.service_end is not null as has_window,
    event_lines.measure,
    event_lines.cumulative_e12,
    event_lines.expected_total_e12 as stated_total,
    event_lines.new_unit_price_e12,
    event_lines.new_constrained,
    coalesce(exercised.step = events.step, false) as is_exercised,
    -- whom its price belongs to: the line that exercised it, once that has happened
    coalesce(exercised.exercised_by, obligations.line_id) as price_line_id,
    windows.starts, windows.ends, windows.done_at, windows.weights,
    windows.starts is not null as is_timed,
    case when windows.starts is null then cast(0 as bigint) else states.remaining end as segment_total,
    {{ weights_from('states.start_day', 'windows.') }} as weights_left
from states
inner join events on states.contract_no = events.contract_no and states.step + 1 = events.step
inner join obligations on states.contract_no = obligations.contract_no and states.line_no = obligations.line_no
left join event_lines
    on events.contract_no = event_lines.contract_no and events.step = event_lines.step and obligations.line_id = event_lines.line_id
left join exercised
    on events.contract_no = exercised.contract_no and events.step >= exercised.step and obligations.line_id = exercised.option_line_id
left join windows
    on obligations.contract_no = windows.contract_no and obligations.line_id = windows.line_id and states.window_step = windows.window_step
{%- endset %}

{# Revenue to date under the old terms, on the day of the new terms (d) and on the day it is booked (p). #}
{% set advanced -%}
select
    *,
    case when is_timed then {{ recognised_over_time('d', 'base', 'remaining', 'start_day', '', 'parts') }} else recognised end as old_recognised_d,
    case when is_timed then {{ recognised_over_time('p', 'base', 'remaining', 'start_day', '', 'parts') }} else recognised end as old_recognised_p,
    -- what is left on that day of what was left at the last modification, by progress and not by rounded money
    cast(case
        when is_timed then coalesce(list_sum(list_transform(range(len(starts)), lambda i: case
            when done_at[i + 1] <= d then 0
            when is_daily then greatest(ends[i + 1] - greatest(starts[i + 1], start_day, d), 0)
            else weights_left[i + 1] end)), 0)
        when is_delivered then 0
        when total_units > base_units then greatest(total_units - done_units, 0) // 1000000
        else 1 end as hugeint) as left_num,
    cast(case
        when is_timed then greatest(coalesce(list_sum(weights_left), 0), 1)
        when not is_delivered and total_units > base_units then greatest((total_units - base_units) // 1000000, 1)
        else 1 end as hugeint) as left_den,
    kind = 'amend' and amendment_kind = 'cancel' and not bool_or(action <> '') over (partition by contract_no) as is_all_ended
from ({{ split_over_weights('(' ~ joined ~ ')', total='segment_total', weights='weights_left') }}) as timed
{%- endset %}

{# Terms as the event leaves them. #}
{% set updated -%}
select
    *,
    action = 'add' as is_added,
    action = 'end' or (is_all_ended and is_active) as is_ended,
    is_active or action = 'add' as new_active,
    is_inception or (kind = 'book' and action = 'add') as new_inception,
    case when action in ('add', 'replace') then stated_amount else amount end as new_amount,
    cast(case
        when action in ('add', 'replace') then stated_expected
        when new_constrained is not null then new_constrained
        when new_unit_price_e12 is not null and total_units is not null
            then {{ half_up('new_unit_price_e12 * (total_units // 1000000) * minor_per_unit', 1000000000000000000) }}
        else expected_amount end as bigint) as new_expected,
    case when action = 'add' then coalesce(stated_ssp, stated_amount)
        when action = 'replace' then coalesce(stated_ssp, ssp) else ssp end as new_ssp,
    case when action = 'add' then stated_residual else is_residual end as new_residual,
    case when action = 'add' then stated_discount else discount_share end as new_discount,
    coalesce(event_variable, variable_amount) as new_variable,
    case
        when action = 'add' then stated_quantity
        when action = 'replace' and is_distinct then coalesce(done_units + stated_quantity, total_units)
        when action = 'replace' then coalesce(stated_quantity, total_units)
        when measure = 'percent' then cast(1000000000000 as hugeint)
        else coalesce(stated_total, total_units) end as new_total_units,
    case when action = 'add' then cast(0 as hugeint)
        when measure = 'delivered' then done_units else coalesce(cumulative_e12, done_units) end as new_done_units,
    is_delivered or coalesce(measure = 'delivered', false) as new_delivered,
    case when (action in ('add', 'replace') and has_window) or (action in ('pause', 'resume') and is_timed) then step else window_step end
        as new_window_step,
    coalesce(sum(case when is_exercised then price - old_recognised_d else 0 end) over (partition by contract_no, price_line_id), 0)
        * case when names_option then 1 else 0 end as exercised_price
from ({{ advanced }}) as advanced
{%- endset %}

{# What the obligation counts for in the price agreed at inception: its terms then, and every revised estimate since. #}
{% set inception_expected -%}
case kind when 'book' then new_expected when 'estimate' then inception_expected + new_expected - expected_amount
    else inception_expected end
{%- endset %}

{# Totals of the contract, and each line's weight in a prospective modification: what is left of it, at its own price. #}
{% set totalled -%}
select
    *,
    kind = 'amend' and is_distinct and not is_at_ssp and coalesce(amendment_kind, '') <> 'exercise_option' and not is_all_ended
        and bool_or(action in ('add', 'replace', 'end')) over (partition by contract_no) as is_prospective,
    is_added and kind = 'amend' and (is_at_ssp or coalesce(amendment_kind, '') = 'exercise_option') as is_separate,
    cast({{ inception_expected }} as bigint) as new_inception_expected,
    case when kind = 'book' then new_ssp else inception_ssp end as new_inception_ssp,
    cast(coalesce(sum(case when new_inception then {{ inception_expected }} else 0 end) over (partition by contract_no), 0)
        + new_variable as bigint) as inception_total,
    cast(coalesce(sum(case when new_inception then {{ inception_expected }} + new_discount else 0 end) over (partition by contract_no), 0)
        + new_variable as bigint) as spread_total,
    cast(coalesce(sum(case when new_inception and not new_residual
        then case when kind = 'book' then new_ssp else inception_ssp end - new_discount else 0 end)
        over (partition by contract_no), 0) as bigint) as plain_total,
    bool_or(new_inception and new_residual) over (partition by contract_no) as has_residual,
    row_number() over (partition by contract_no order by new_residual desc, new_inception desc, line_no) as residual_no,
    case when new_inception then case when kind = 'book' then new_ssp else inception_ssp end else 0 end as inception_weight,
    new_active and not is_ended and not is_exercised
        and (is_added or action = 'replace' or price <> old_recognised_d) as in_pool,
    cast(case when is_added or action = 'replace' then new_expected else price - old_recognised_d end as bigint) as pool_amount,
    case
        when is_added or stated_ssp is not null then cast(new_ssp as hugeint) * 1000000
        else coalesce(pool_weight, cast(new_ssp as hugeint) * 1000000) * left_num // left_den
    end as pool_weight_now
from ({{ updated }}) as updated
{%- endset %}

{% set incepted -%}
select
    *,
    cast(case
        when kind not in ('book', 'estimate') then inception_price
        when not new_inception then 0
        when has_residual then case
            when new_residual then case when residual_no = 1 then inception_total - plain_total else 0 end
            else new_inception_ssp - new_discount end
        else spread_price - new_discount end as bigint) as new_inception_price
from ({{ allocate_over_lines('(' ~ totalled ~ ')', 'spread_total', 'inception_weight', 'contract_no', 'spread_price') }}) as spread
{%- endset %}

{# A change of the price from before a modification reaches what that modification left over, too. #}
{% set price_delta = 'case when new_inception then new_inception_price - inception_price else new_expected - expected_amount end' %}
{% set pooled -%}
select
    *,
    -- what an option is worth by then goes to the line that exercised it
    case when kind = 'estimate' and price_line_id = line_id and pool_weight is null
        then sum({{ price_delta }}) over (partition by contract_no, price_line_id) else 0 end as own_delta,
    cast(case
        when kind = 'estimate' then coalesce(sum(case when price_pool_weight is not null then {{ price_delta }} else 0 end)
            over (partition by contract_no), 0)
        when is_prospective then coalesce(sum(case when in_pool then pool_amount else 0 end) over (partition by contract_no), 0)
        else 0 end as bigint) as pool_total,
    case when kind = 'estimate' then coalesce(pool_weight, 0) when is_prospective and in_pool then pool_weight_now else 0 end as split_weight,
    -- its remaining price is set anew, from the day of the new terms
    (is_prospective and in_pool) or is_ended or is_exercised or (kind = 'amend' and action = 'replace' and is_distinct)
    or (action in ('pause', 'resume') and is_timed) as is_reset
from (
    select
        *, max(case when price_line_id = line_id then pool_weight end) over (partition by contract_no, price_line_id) as price_pool_weight
    from ({{ incepted }}) as incepted
) as priced
{%- endset %}

{% set settled -%}
select
    *,
    cast(case
        when not new_active then 0
        when kind = 'book' then new_inception_price
        when is_ended or is_exercised then 0
        when action in ('pause', 'resume') and is_timed then price - old_recognised_d
        when is_prospective and in_pool then pool_share
        when kind = 'amend' and action = 'replace' and is_distinct then new_expected
        when kind = 'amend' and action = 'replace' then new_expected - base
        when is_added then new_expected + exercised_price
        when kind = 'estimate' and not is_distinct then remaining
        when kind = 'estimate' then remaining + own_delta + pool_share
        else remaining end as bigint) as new_remaining,
    case when is_added then cast(0 as bigint) when is_reset then old_recognised_d else base end as new_base,
    case when is_added then date '0001-01-01' when is_reset then d else start_day end as new_start_day,
    case when is_added then cast(0 as hugeint) when is_reset then done_units else base_units end as new_base_units,
    case when is_prospective then case when in_pool then pool_weight_now end else pool_weight end as new_pool_weight
from ({{ allocate_over_lines('(' ~ pooled ~ ')', 'pool_total', 'split_weight', 'contract_no', 'pool_share') }}) as shared
{%- endset %}

{% set rewindowed -%}
select
    settled.* exclude (starts, ends, done_at, weights, parts, weights_left, segment_total),
    new_windows.starts as new_starts,
    new_windows.ends as new_ends,
    new_windows.done_at as new_done_at,
    new_windows.starts is not null as new_is_timed,
    case when new_windows.starts is null then cast(0 as bigint) else settled.new_remaining end as new_segment_total,
    {{ weights_from('settled.new_start_day', 'new_windows.') }} as new_weights_left
from ({{ settled }}) as settled
left join windows as new_windows
    on settled.contract_no = new_windows.contract_no and settled.line_id = new_windows.line_id
    and settled.new_window_step = new_windows.window_step
{%- endset %}

{% set units_done -%}
unit * {{ half_up('cast(new_remaining as hugeint) * (new_done_units - new_base_units) // 1000',
    'cast(new_total_units - new_base_units as hugeint) * unit // 1000') }}
{%- endset %}

{% set evaluated -%}
select
    *,
    not is_added and (new_base <> base or new_remaining <> remaining or new_start_day <> start_day or new_window_step <> window_step)
        as is_rebased,
    cast(case
        when new_is_timed then {{ recognised_over_time('p', 'new_base', 'new_remaining', 'new_start_day', 'new_', 'new_parts') }}
        when new_delivered or (new_total_units > new_base_units and new_done_units >= new_total_units) then new_base + new_remaining
        when new_done_units = new_base_units or new_total_units is null or new_total_units <= new_base_units then new_base
        -- whole units may not pass a price that is none
        when new_remaining >= 0 then new_base + least(new_remaining, {{ units_done }})
        else new_base + greatest(new_remaining, {{ units_done }})
    end as bigint) as new_recognised
from ({{ split_over_weights('(' ~ rewindowed ~ ')', total='new_segment_total', weights='new_weights_left', parts='new_parts') }}) as renewed
{%- endset %}

with recursive obligations as (
    select *, recognition = 'ratable_daily' as is_daily from {{ ref('contract_obligations') }}
),

events as (
    select
        contract_no, step, kind, amendment_kind, is_at_ssp, is_distinct, variable_amount as event_variable,
        occurred_on as d, posting_date as p
    from {{ ref('contract_events') }}
),

event_lines as (
    select * from {{ ref('contract_event_lines') }}
),

-- An option is exercised once.
exercised as (
    select contract_no, option_line_id, min(step) as step, arg_min(line_id, row(step, line_id)) as exercised_by
    from event_lines
    where option_line_id is not null
    group by 1, 2
),

windows as (
    select contract_no, line_id, window_step, starts, ends, done_at, weights from {{ ref('obligation_windows') }}
),

states as (
    select
        contract_no,
        line_no,
        0 as step,
        false as is_active,
        false as is_inception,
        cast(0 as bigint) as amount,
        cast(0 as bigint) as expected_amount,
        cast(0 as bigint) as ssp,
        false as is_residual,
        cast(0 as bigint) as discount_share,
        cast(0 as bigint) as variable_amount,
        cast(0 as bigint) as inception_expected,
        cast(0 as bigint) as inception_ssp,
        cast(0 as bigint) as inception_price,
        cast(null as hugeint) as pool_weight,
        cast(null as hugeint) as total_units,
        cast(0 as hugeint) as base_units,
        cast(0 as hugeint) as done_units,
        false as is_delivered,
        0 as window_step,
        cast(0 as bigint) as base,
        cast(0 as bigint) as remaining,
        cast(0 as bigint) as price,
        date '0001-01-01' as start_day,
        date '0001-01-01' as from_day,
        cast(0 as bigint) as recognised,
        cast(0 as bigint) as eff_revenue,
        false as eff_piece_ends,
        0 as eff_window_step,
        cast(0 as bigint) as eff_base,
        cast(0 as bigint) as eff_remaining,
        cast(null as date) as eff_start_day,
        cast(null as date) as eff_from_day
    from obligations

    union all

    select
        contract_no, line_no, step,
        new_active, new_inception, new_amount, new_expected, new_ssp, new_residual, new_discount, new_variable,
        new_inception_expected, new_inception_ssp, new_inception_price, new_pool_weight,
        new_total_units, new_base_units, new_done_units, new_delivered, new_window_step,
        new_base, new_remaining, new_base + new_remaining as new_price, new_start_day,
        case when is_added then date '0001-01-01' when is_rebased then p else from_day end as new_from_day,
        new_recognised,
        case when is_added and new_is_timed then 0 else new_recognised - old_recognised_p end as eff_revenue,
        is_rebased and is_timed as eff_piece_ends,
        window_step as eff_window_step,
        base as eff_base,
        remaining as eff_remaining,
        start_day as eff_start_day,
        from_day as eff_from_day
    from ({{ evaluated }}) as evaluated
)

select
    states.* exclude (eff_revenue),
    -- a line that time recognises books by itself only what an event catches up
    case when windows.window_step is null or states.eff_piece_ends then states.eff_revenue else 0 end as eff_revenue,
    windows.window_step is not null as is_timed,
    events.kind,
    events.event_key,
    events.occurred_on,
    events.posting_date,
    events.time,
    events.sequence,
    events.event_id,
    events.is_prior_period,
    obligations.line_id,
    obligations.entity_id,
    obligations.contract_id
from states
inner join {{ ref('contract_events') }} as events on states.contract_no = events.contract_no and states.step = events.step
inner join obligations on states.contract_no = obligations.contract_no and states.line_no = obligations.line_no
left join windows
    on obligations.contract_no = windows.contract_no and obligations.line_id = windows.line_id
    and states.window_step = windows.window_step
where states.step > 0
