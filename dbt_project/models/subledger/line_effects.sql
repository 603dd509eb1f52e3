-- One row per event and line of an active document: what the event takes from (or gives back to) the line, split into
-- recognised and unrecognised, and what it does to the document's receivable (on the document's first line only).
--
-- The state of all such lines advances in parallel, one event of each document per round; a round's allocations over
-- the lines of a document are windows over that document. Everything before the first event is closed form.
{# The stages of one round, innermost first; each is a select over the one before. #}

{# The state of every line whose document has a next event, with that event. #}
{% set joined %}
select
    states.* exclude (step, eff_net, eff_tax, eff_recognised, eff_unrecognised, eff_excess, eff_catch_up,
        eff_segment_recognised, eff_segment_amount, eff_segment_start, eff_segment_ends, eff_over_credit,
        eff_receivable, eff_unapplied, eff_difference, eff_bad_debt, eff_recovered,
        eff_recovered_contra, eff_customer_balance, eff_voids_extra),
    events.step, events.kind, events.purpose, events.reference_id, events.d, events.amount, events.payment_tolerance, events.names_stray_line,
    event_lines.net as event_net, event_lines.tax as event_tax, event_lines.gross as event_gross,
    coalesce(event_lines.is_tax_derived, true) as is_tax_derived,
    lines.* exclude (doc_no, line_no, receivable, line_id),
    case when lines.is_daily then 0 else states.unrecognised end as segment_total,
    list_transform(range(len(lines.weights)), lambda i:
        case when lines.done_at[i + 1] <= states.segment_start then cast(0 as bigint)
            else lines.weights[i + 1] end) as weights_left,
    cast(list_sum(list_transform(range(len(lines.weights)), lambda i:
        greatest(least(lines.ends[i + 1], events.d) - greatest(lines.starts[i + 1], states.segment_start), 0))) as hugeint) as days_before,
    cast(list_sum(list_transform(range(len(lines.weights)), lambda i:
        greatest(lines.ends[i + 1] - greatest(lines.starts[i + 1], states.segment_start), 0))) as hugeint) as days_all
from states
inner join events on states.doc_no = events.doc_no and states.step + 1 = events.step
inner join lines on states.doc_no = lines.doc_no and states.line_no = lines.line_no
left join event_lines
    on events.doc_no = event_lines.doc_no and events.step = event_lines.step
    and lines.line_id = event_lines.line_id
{% endset %}

{# Recognised before the day of the event. #}
{% set advanced %}
select
    timed.*,
    -- recognised in the current segment before the day of the event
    cast(case
        when unrecognised = 0 then 0
        when is_daily then {{ share('unrecognised', 'days_before', 'days_all') }}
        else coalesce(list_sum(list_transform(range(len(parts)), lambda i:
            case when done_at[i + 1] <= d then parts[i + 1] else 0 end)), 0)
    end as bigint) as advanced
from ({{ split_over_weights('(' ~ joined ~ ')', total='segment_total', weights='weights_left') }}) as timed
{% endset %}

{# Sums over the document, and what a payment meets: the open receivable first, then what was written off. #}
{% set measured %}
select
    *,
    recognised + advanced as recognised_now,
    unrecognised - advanced as unrecognised_now,
    cast(sum(net_left + tax_left) over (partition by doc_no) as bigint) as document_gross,
    bool_or(event_gross is not null) over (partition by doc_no) as names_lines,
    case when kind = 'reduce' then least(amount, recovered_paid) else 0 end as from_recovered,
    -- a payment pays the open receivable first, then what was written off
    case when kind = 'apply' then least(amount, greatest(open_amount, 0)) else 0 end as applied,
    case when kind = 'apply' then
        least(amount - least(amount, greatest(open_amount, 0)), written_off) else 0 end as applied_to_written_off,
    case when kind = 'apply' then least(
        least(amount - least(amount, greatest(open_amount, 0)), written_off), bad_debt_left) else 0 end as bad_debt_reversed,
    case when kind = 'apply' then
        amount - least(amount, greatest(open_amount, 0))
        - least(amount - least(amount, greatest(open_amount, 0)), written_off) else 0 end as unapplied,
    case when kind = 'apply' and open_amount > amount and open_amount - amount <= payment_tolerance
        then open_amount - amount else 0 end as difference_raw,
    list_filter(memory, lambda m: m.key = case kind when 'credit_void' then 'credit ' else 'reduce ' end || reference_id)[1] as remembered
from ({{ advanced }}) as advanced
{% endset %}

{# How much gross the event spreads over the lines of the document. #}
{% set recovered %}
select
    *,
    cast(case kind
        when 'write_off' then least(open_amount, document_gross)
        when 'reduce' then least(amount - from_recovered, greatest(document_gross, 0))
        else 0 end as bigint) as spread,
    {{ share('from_recovered', 'recovered', 'recovered_paid') }} as recovered_back
from ({{ measured }}) as measured
{% endset %}

{% set floored %}
select
    *,
    case when document_gross = 0 then 0
        else {{ floor_share('spread', '(net_left + tax_left)', 'document_gross') }} end as spread_floor
from ({{ recovered }}) as recovered
{% endset %}

{# Largest remainder over the lines of the document. #}
{% set ranked %}
select
    *,
    sum(spread_floor) over (partition by doc_no) as spread_floor_sum,
    row_number() over (
        partition by doc_no
        order by cast(spread as hugeint) * (net_left + tax_left) - cast(spread_floor as hugeint) * document_gross desc, line_no
    ) as spread_rank
from ({{ floored }}) as floored
{% endset %}

{# Gross taken from each line, and what exceeds the line or the document. #}
{% set grossed %}
select
    *,
    -- gross that the event takes from this line, and what exceeds the line or the document
    cast(case
        when kind = 'reduce' and names_lines then least(coalesce(event_gross, 0), net_left + tax_left)
        when kind in ('reduce', 'write_off') then spread_floor + case when spread_rank <= spread - spread_floor_sum then 1 else 0 end
        else 0 end as bigint) as line_gross,
    cast(case
        when kind = 'reduce' and names_lines then coalesce(event_gross, 0) - least(coalesce(event_gross, 0), net_left + tax_left)
        when kind = 'reduce' and is_first then amount - from_recovered - spread
        else 0 end as bigint) as line_excess
from ({{ ranked }}) as ranked
{% endset %}

{# Its tax part: as stated, else in proportion, cumulative over several notes. #}
{% set taxed %}
select
    *,
    cast(case kind
        when 'credit' then case
            when event_net is null then 0
            when not is_tax_derived then coalesce(event_tax, 0)
            when event_net = net_left then tax_left
            else {{ share('(tax_amount + tax_changed)', 'net_amount - net_left + event_net', 'net_amount') }} - (tax_amount + tax_changed - tax_left) end
        when 'void' then tax_left
        when 'reduce' then {{ share('line_gross', 'tax_left', 'net_left + tax_left') }}
        when 'write_off' then {{ share('line_gross', 'tax_left', 'net_left + tax_left') }}
        else 0 end as bigint) as line_tax
from ({{ grossed }}) as grossed
{% endset %}

{% set netted %}
select
    *,
    cast(case kind
        when 'credit' then coalesce(event_net, 0)
        when 'void' then net_left
        when 'reduce' then line_gross - line_tax
        when 'write_off' then line_gross - line_tax
        else 0 end as bigint) as line_net,
    -- a credit on a line that is not there, or above what is left of it, net or tax
    kind = 'credit' and bool_or(
        names_stray_line
        or case when net_left >= 0 then coalesce(event_net, 0) > net_left else coalesce(event_net, 0) < net_left end
        or (not is_tax_derived and case when tax_left >= 0 then coalesce(event_tax, 0) > tax_left else coalesce(event_tax, 0) < tax_left end)
    ) over (partition by doc_no) as is_over
from ({{ taxed }}) as taxed
{% endset %}

{# Its recognised part, by policy. #}
{% set split %}
select
    *,
    -- recognised share of what goes; the untouched policies leave the schedule alone
    cast(case
        when kind = 'void' then recognised_now
        when kind = 'credit' and credit_split = 'deferred_first' then line_net - greatest(least(line_net, unrecognised_now), 0)
        when kind = 'credit' and credit_split = 'recognised_first' then greatest(least(line_net, recognised_now), 0)
        when kind = 'reduce' and purpose = 'refund' and refund_policy = 'gross_contra' then line_net
        when kind = 'write_off' and uncollectible_policy = 'full_bad_debt' then line_net
        else {{ share('line_net', 'recognised_now', 'net_left') }}
    end as bigint) as line_recognised,
    -- share of the remembered unrecognised part that would have been recognised since
    cast(list_sum(list_transform(range(len(weights)), lambda i:
        case when is_daily then greatest(least(ends[i + 1], d) - greatest(starts[i + 1], remembered.d), 0)
            when done_at[i + 1] > remembered.d and done_at[i + 1] <= d then weights[i + 1] else 0 end)) as hugeint) as weight_since,
    cast(list_sum(list_transform(range(len(weights)), lambda i:
        case when is_daily then greatest(ends[i + 1] - greatest(starts[i + 1], remembered.d), 0)
            when done_at[i + 1] > remembered.d then weights[i + 1] else 0 end)) as hugeint) as weight_from
from ({{ netted }}) as netted
{% endset %}

{# Effects of the event on the line; nothing of an over-credit. #}
{% set effects %}
select
    *,
    cast(case when kind in ('credit', 'reduce', 'void', 'write_off') then
        case when is_over then 0 else line_net end
        when kind in ('credit_void', 'restore') then -coalesce(remembered.net, 0) else 0 end as bigint) as eff_net,
    cast(case when kind in ('credit', 'reduce', 'void', 'write_off') then case when is_over then 0 else line_tax end
        when kind in ('credit_void', 'restore') then -coalesce(remembered.tax, 0)
        when kind = 'tax_change' then -coalesce(event_tax, 0) else 0 end as bigint) as eff_tax,
    cast(case when kind in ('credit', 'reduce', 'void', 'write_off') then case when is_over then 0 else line_recognised end
        when kind in ('credit_void', 'restore') then -coalesce(remembered.recognised, 0) else 0 end as bigint) as eff_recognised,
    cast(case when kind in ('credit', 'reduce', 'void', 'write_off') then case when is_over then 0 else line_net - line_recognised end
        when kind in ('credit_void', 'restore') then -coalesce(remembered.unrecognised, 0) else 0 end as bigint) as eff_unrecognised,
    cast(case when kind = 'reduce' then line_excess
        when kind in ('credit_void', 'restore') then -coalesce(remembered.excess, 0) else 0 end as bigint) as eff_excess,
    cast(case when kind in ('credit_void', 'restore') and coalesce(remembered.unrecognised, 0) <> 0 then
        {{ share('remembered.unrecognised', 'weight_since', 'weight_from') }} else 0 end as bigint) as eff_catch_up,
    coalesce(remembered.recovered, 0) as restored_recovered_line,
    cast(case when kind = 'restore' then -coalesce(max(remembered.recovered) over (partition by doc_no), 0) else 0 end as bigint) as restored_recovered,
    cast(case when kind = 'restore' then -coalesce(max(remembered.recovered_contra) over (partition by doc_no), 0) else 0 end as bigint) as restored_contra
from ({{ split }}) as split
{% endset %}

{# Effects on the document. #}
{% set settled %}
select
    *,
    -- a segment of the schedule ends where the unrecognised part of the line changes
    eff_unrecognised <> 0 or eff_catch_up <> 0 as ends_segment,
    cast(case kind
        when 'apply' then applied + difference_raw
        when 'credit' then case when purpose = 'pre_payment' and not is_over
            then sum(eff_net + eff_tax) over (partition by doc_no) else 0 end
        when 'credit_void' then case when purpose = 'pre_payment' then sum(eff_net + eff_tax) over (partition by doc_no) else 0 end
        when 'void' then open_amount
        when 'write_off' then open_amount
        when 'tax_change' then sum(eff_tax) over (partition by doc_no)
        else 0
    end as bigint) as document_receivable,
    difference_raw as difference,
    cast(case when kind = 'write_off' then
        open_amount - case when bad_debt_tax_relief then sum(eff_tax) over (partition by doc_no) else 0 end
        - case when uncollectible_policy = 'split' then sum(eff_unrecognised) over (partition by doc_no) else 0 end
    else 0 end as bigint) as document_bad_debt
from ({{ effects }}) as effects
{% endset %}

with recursive lines as (
    select
        documents.doc_no,
        coalesce(lines.line_no, 1) as line_no,
        row_number() over (partition by documents.doc_no order by lines.line_no) = 1 as is_first,
        lines.line_id,
        coalesce(lines.net_amount, 0) as net_amount,
        coalesce(lines.tax_amount, 0) as tax_amount,
        coalesce(parts.rounding, 'cumulative') as rounding,
        coalesce(parts.at_once, true) as at_once,
        not coalesce(parts.at_once, true) and coalesce(parts.recognition, '') = 'ratable_daily' as is_daily,
        coalesce(parts.starts, [documents.posting_date]) as starts,
        coalesce(parts.ends, [documents.posting_date]) as ends,
        coalesce(parts.done_at, [documents.posting_date]) as done_at,
        coalesce(parts.weights, [cast(1 as bigint)]) as weights,
        coalesce(lines.credit_split, 'proportional') as credit_split,
        coalesce(lines.refund_policy, 'proportional') as refund_policy,
        coalesce(lines.uncollectible_policy, 'split') as uncollectible_policy,
        coalesce(lines.bad_debt_tax_relief, false) as bad_debt_tax_relief,
        documents.receivable
    from (
        select distinct events.doc_no, opened.entity_id, opened.document_type, opened.document_id, opened.posting_date, opened.receivable
        from {{ ref('document_events') }} as events
        inner join {{ ref('documents') }} as opened
            on events.entity_id = opened.entity_id
            and events.document_type = opened.document_type
            and events.document_id = opened.document_id
    ) as documents
    left join {{ ref('document_lines') }} as lines
        on documents.entity_id = lines.entity_id
        and documents.document_type = lines.document_type
        and documents.document_id = lines.document_id
    left join {{ ref('document_line_parts') }} as parts
        on lines.entity_id = parts.entity_id
        and lines.document_type = parts.document_type
        and lines.document_id = parts.document_id
        and lines.line_id = parts.line_id
),

event_lines as (
    select * from {{ ref('document_event_lines') }}
),

-- A line that its document does not have: nothing is left of it.
stray_lines as (
    select distinct event_lines.doc_no, event_lines.step
    from event_lines
    left join lines on event_lines.doc_no = lines.doc_no and event_lines.line_id = lines.line_id
    where lines.line_id is null
),

events as (
    select
        facts.doc_no, facts.step, facts.kind, facts.purpose, facts.reference_id, facts.posting_date as d, facts.amount,
        facts.payment_tolerance, stray_lines.step is not null as names_stray_line
    from {{ ref('document_events') }} as facts
    left join stray_lines on facts.doc_no = stray_lines.doc_no and facts.step = stray_lines.step
),

states as (
    select
        doc_no,
        line_no,
        0 as step,
        -- what is left of the line, and how much of that was recognised when the current segment began
        net_amount as net_left,
        tax_amount as tax_left,
        -- what recalculations added to the tax of the line
        cast(0 as bigint) as tax_changed,
        cast(0 as bigint) as recognised,
        net_amount as unrecognised,
        date '0001-01-01' as segment_start,
        1 as segment_no,
        -- the document: open receivable, written off, its bad debt, recoveries after the write-off
        greatest(receivable, 0) as open_amount,
        cast(0 as bigint) as written_off,
        cast(0 as bigint) as bad_debt_left,
        cast(0 as bigint) as recovered,
        cast(0 as bigint) as recovered_paid,
        cast([] as struct(
            key varchar, d date, net bigint, tax bigint, recognised bigint, unrecognised bigint, excess bigint,
            receivable bigint, recovered bigint, recovered_contra bigint, is_untouched boolean
        )[]) as memory,
        -- effects of the step
        cast(0 as bigint) as eff_net,
        cast(0 as bigint) as eff_tax,
        cast(0 as bigint) as eff_recognised,
        cast(0 as bigint) as eff_unrecognised,
        cast(0 as bigint) as eff_excess,
        cast(0 as bigint) as eff_catch_up,
        cast(0 as bigint) as eff_segment_recognised,
        cast(0 as bigint) as eff_segment_amount,
        cast(null as date) as eff_segment_start,
        false as eff_segment_ends,
        false as eff_over_credit,
        cast(0 as bigint) as eff_receivable,
        cast(0 as bigint) as eff_unapplied,
        cast(0 as bigint) as eff_difference,
        cast(0 as bigint) as eff_bad_debt,
        cast(0 as bigint) as eff_recovered,
        cast(0 as bigint) as eff_recovered_contra,
        cast(0 as bigint) as eff_customer_balance,
        cast(0 as bigint) as eff_voids_extra
    from lines

    union all

    select
        doc_no, line_no, step,
        net_left - eff_net as net_left,
        tax_left - eff_tax as tax_left,
        case kind when 'tax_change' then tax_changed - eff_tax else tax_changed end as tax_changed,
        case when ends_segment then recognised_now - eff_recognised + eff_catch_up else recognised - eff_recognised end as recognised,
        case when ends_segment then unrecognised_now - eff_unrecognised - eff_catch_up else unrecognised end as unrecognised,
        case when ends_segment then d else segment_start end as segment_start,
        case when ends_segment then segment_no + 1 else segment_no end as segment_no,
        open_amount - document_receivable as open_amount,
        case kind when 'write_off' then written_off + open_amount when 'void' then 0 else written_off - applied_to_written_off end as written_off,
        case kind when 'write_off' then bad_debt_left + document_bad_debt when 'void' then 0 else bad_debt_left - bad_debt_reversed end as bad_debt_left,
        case kind
            when 'apply' then recovered + applied_to_written_off - bad_debt_reversed
            when 'reduce' then recovered - recovered_back
            when 'restore' then recovered - restored_recovered
            else recovered
        end as recovered,
        case kind
            when 'apply' then recovered_paid + applied_to_written_off
            when 'reduce' then recovered_paid - from_recovered
            when 'restore' then recovered_paid - restored_recovered - restored_contra
            else recovered_paid
        end as recovered_paid,
        case
            when kind in ('credit', 'reduce') and not is_over
                then
                    list_append(memory, {
                        'key': kind || ' ' || reference_id, 'd': d, 'net': eff_net, 'tax': eff_tax, 'recognised': eff_recognised,
                        'unrecognised': eff_unrecognised, 'excess': eff_excess, 'receivable': document_receivable,
                        'recovered': recovered_back, 'recovered_contra': from_recovered - recovered_back, 'is_untouched': not ends_segment
                    })
            else memory
        end as memory,
        eff_net, eff_tax, eff_recognised, eff_unrecognised, eff_excess, eff_catch_up,
        case when ends_segment then advanced else 0 end as eff_segment_recognised,
        case when ends_segment then unrecognised else 0 end as eff_segment_amount,
        case when ends_segment then segment_start end as eff_segment_start,
        ends_segment as eff_segment_ends,
        is_over as eff_over_credit,
        case when is_first then document_receivable else 0 end as eff_receivable,
        case when is_first then unapplied else 0 end as eff_unapplied,
        case when is_first then difference else 0 end as eff_difference,
        case
            when not is_first then 0
            when kind = 'write_off' then document_bad_debt
            when kind = 'void' then -bad_debt_left
            else -bad_debt_reversed
        end as eff_bad_debt,
        case
            when not is_first then 0
            when kind = 'apply' then applied_to_written_off - bad_debt_reversed
            when kind = 'restore' then -restored_recovered
            else -recovered_back
        end as eff_recovered,
        case when is_first then case kind when 'restore' then restored_contra else from_recovered - recovered_back end else 0 end as eff_recovered_contra,
        -- what was settled before goes back to the customer; what a negative document gave is taken back
        case
            when not is_first or kind <> 'void' then 0
            when document_gross < open_amount then document_gross - open_amount
            else greatest(document_gross - open_amount - bad_debt_left, 0)
        end as eff_customer_balance,
        case when is_first and kind = 'void' then greatest(bad_debt_left - greatest(document_gross - open_amount, 0), 0) else 0 end as eff_voids_extra
    from ({{ settled }}) as settled
)

select
    states.doc_no,
    states.step,
    states.line_no,
    lines.line_id,
    lines.is_first,
    documents.entity_id,
    documents.document_type,
    documents.document_id,
    documents.kind,
    documents.purpose,
    documents.reference_id,
    documents.event_key,
    documents.posting_date,
    documents.amount,
    states.net_left,
    states.tax_left,
    states.segment_no,
    states.unrecognised as segment_amount_after,
    states.segment_start as segment_start_after,
    states.eff_net,
    states.eff_tax,
    states.eff_recognised,
    states.eff_unrecognised,
    states.eff_excess,
    states.eff_catch_up,
    states.eff_segment_ends,
    states.eff_segment_start,
    states.eff_segment_amount,
    states.eff_segment_recognised,
    states.eff_over_credit,
    states.eff_receivable,
    states.eff_unapplied,
    states.eff_difference,
    states.eff_bad_debt,
    states.eff_recovered,
    states.eff_recovered_contra,
    states.eff_customer_balance,
    states.eff_voids_extra
from states
inner join lines on states.doc_no = lines.doc_no and states.line_no = lines.line_no
inner join {{ ref('document_events') }} as documents on states.doc_no = documents.doc_no and states.step = documents.step
where states.step > 0
