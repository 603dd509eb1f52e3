-- One row per line, segment and part of its schedule: revenue in transaction currency, by service period and posting date.
-- A segment is a stretch without a change to what is left; it ends where a credit, refund or void takes from the rest.
with parts as (
    select * from {{ ref('document_line_parts') }} where not at_once
),

effects as (
    select * from {{ ref('line_effects') }}
),

changed as (
    select entity_id, document_type, document_id, line_id from effects where eff_segment_ends group by all
),

ended as (
    select
        entity_id, document_type, document_id, line_id, segment_no - 1 as segment_no, eff_segment_start as segment_start,
        eff_segment_amount as total, posting_date as segment_end, eff_segment_recognised as recognised
    from effects
    where eff_segment_ends
),

last_states as (
    select
        entity_id, document_type, document_id, line_id, segment_no, segment_start_after as segment_start,
        segment_amount_after as total, cast(null as date) as segment_end, cast(null as bigint) as recognised
    from effects
    qualify row_number() over (partition by doc_no, line_no order by step desc) = 1
),

segments as (
    select
        parts.*, 1 as segment_no, date '0001-01-01' as segment_start, parts.net_amount as total,
        cast(null as date) as segment_end, cast(null as bigint) as recognised
    from parts
    left join changed
        on parts.entity_id = changed.entity_id and parts.document_type = changed.document_type
        and parts.document_id = changed.document_id and parts.line_id = changed.line_id
    where changed.line_id is null
    union all
    select parts.*, pieces.segment_no, pieces.segment_start, pieces.total, pieces.segment_end, pieces.recognised
    from parts
    inner join changed
        on parts.entity_id = changed.entity_id and parts.document_type = changed.document_type
        and parts.document_id = changed.document_id and parts.line_id = changed.line_id
    inner join (
        select * from ended
        union all
        select * from last_states
    ) as pieces
        on parts.entity_id = pieces.entity_id and parts.document_type = pieces.document_type
        and parts.document_id = pieces.document_id and parts.line_id = pieces.line_id
),

weighted as (
    select
        segments.*,
        list_transform(range(len(weights)), lambda i: case
            when done_at[i + 1] <= segment_start then cast(0 as bigint)
            when recognition = 'ratable_daily' then cast(greatest(ends[i + 1] - greatest(starts[i + 1], segment_start), 0) as bigint)
            else weights[i + 1]
        end) as weights_left
    from segments
),

split as (
    {{ split_over_weights('weighted', total='total', weights='weights_left', parts='amounts') }}
),

-- The discount shown as contra is recognised by the same schedule. What a credit, refund or void took from the rest
-- takes its share of the discount along; parts already recognised keep theirs.
with_discount as (
    select *, cast(null as bigint[]) as discounts from split where contra_discount = 0
    union all
    select * from (
        {{ split_over_weights("(select * from split where contra_discount <> 0)", total='contra_discount', weights='weights', parts='discounts') }}
    ) as discounted
),

unnested as (
    select
        entity_id, document_type, document_id, line_id, line_no, recognition, posting_date, segment_no, segment_start, segment_end,
        contra_discount, net_amount,
        unnest(range(1, len(weights) + 1)) as part_no,
        unnest(done_at) as done_at,
        unnest(recognised_on) as recognised_on,
        unnest(amounts) as amount,
        coalesce(unnest(discounts), 0) as discount_amount
    from with_discount
),

kept as (
    select
        entity_id, document_type, document_id, line_id, line_no, recognition, posting_date, segment_no, part_no,
        recognised_on, amount,
        case
            when segment_no = 1 then discount_amount
            when contra_discount = 0 or net_amount = 0 then 0
            else {{ share('contra_discount', 'amount', 'net_amount') }}
        end as discount_amount
    from unnested
    where segment_end is null or done_at <= segment_end
    union all
    -- what the segment recognised in the running period up to its end
    select
        entity_id, document_type, document_id, line_id, line_no, recognition, posting_date, segment_no, 10000 as part_no,
        {{ period_last_day('segment_end') }} as recognised_on,
        recognised - recognised_before as amount,
        case
            when contra_discount = 0 or net_amount = 0 then 0
            else {{ share('contra_discount', '(recognised - recognised_before)', 'net_amount') }}
        end as discount_amount
    from (
        select
            *,
            cast(coalesce(list_sum(
                list_transform(range(1, len(amounts) + 1), lambda i: case when done_at[i] <= segment_end then amounts[i] else 0 end)
            ), 0) as bigint) as recognised_before
        from split
        where segment_end is not null
    ) as ended_segments
    union all
    -- what the whole schedule would have recognised by the day a credit was taken back
    select
        effects.entity_id, effects.document_type, effects.document_id, effects.line_id, parts.line_no, parts.recognition,
        parts.posting_date, effects.segment_no, 20000 + effects.step as part_no,
        {{ period_last_day('effects.posting_date', 'effects.entity_id') }} as recognised_on,
        effects.eff_catch_up as amount,
        case
            when parts.contra_discount = 0 or parts.net_amount = 0 then 0
            else {{ share('parts.contra_discount', 'effects.eff_catch_up', 'parts.net_amount') }}
        end as discount_amount
    from effects
    inner join parts
        on effects.entity_id = parts.entity_id and effects.document_type = parts.document_type
        and effects.document_id = parts.document_id and effects.line_id = parts.line_id
    where effects.eff_catch_up <> 0
),

dated as (
    select
        * exclude (recognised_on),
        {{ period_of('recognised_on') }} as service_period,
        case
            when recognised_on >= posting_date then recognised_on
            when recognition = 'monthly_anniversary' then posting_date
            else {{ period_last_day('posting_date') }}
        end as recognised_on
    from kept
    where amount <> 0 or discount_amount <> 0
),

-- A pending charge is recognised until an invoice line names it; from then on the invoice line carries on. The line
-- starts with what the pending charge has recognised in earlier periods, so that nothing is recognised twice.
billed_pending as (
    select
        lines.entity_id, lines.pending_charge_id, lines.document_id, lines.line_id, lines.line_no, lines.posting_date, lines.recognition
    from (
        select * from {{ ref('document_lines') }} where document_type = 'invoice' and pending_charge_id is not null
    ) as lines
    inner join {{ ref('document_lines') }} as pending
        on lines.entity_id = pending.entity_id and pending.document_type = 'pending_charge'
        and lines.pending_charge_id = pending.document_id
    qualify row_number() over (
        partition by lines.entity_id, lines.pending_charge_id order by lines.posting_date, lines.document_id, lines.line_no
    ) = 1
),

dated_with_billing as (
    select dated.*, billed_pending.posting_date as billed_on
    from dated
    left join billed_pending
        on dated.document_type = 'pending_charge'
        and dated.entity_id = billed_pending.entity_id and dated.document_id = billed_pending.pending_charge_id
),

pending_kept as (
    select * from dated_with_billing where billed_on is null or recognised_on < {{ period_first_day('billed_on') }}
),

carried_over as (
    select
        billed_pending.entity_id, 'invoice' as document_type, billed_pending.document_id, billed_pending.line_id, billed_pending.line_no,
        billed_pending.recognition, billed_pending.posting_date, 1 as segment_no, 30000 as part_no,
        -cast(sum(pending_kept.amount) as bigint) as amount, 0 as discount_amount,
        {{ period_of('billed_pending.posting_date', 'billed_pending.entity_id') }} as service_period,
        {{ period_last_day('billed_pending.posting_date', 'billed_pending.entity_id') }} as recognised_on
    from billed_pending
    inner join pending_kept
        on billed_pending.entity_id = pending_kept.entity_id and pending_kept.document_type = 'pending_charge'
        and billed_pending.pending_charge_id = pending_kept.document_id
    group by all
)

select
    entity_id, document_type, document_id, line_id, line_no, segment_no, part_no, service_period, recognised_on,
    amount, discount_amount
from pending_kept
union all
select
    entity_id, document_type, document_id, line_id, line_no, segment_no, part_no, service_period, recognised_on,
    amount, discount_amount
from carried_over
