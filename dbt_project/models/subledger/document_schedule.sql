-- One row per document line, segment, service period and posting date: the revenue recognised then.
-- amount is net of discounts and excludes tax; every period is listed, also those after the cut-off.
with lines as (
    select * from {{ ref('document_lines') }}
),

scheduled as (
    select
        parts.*,
        coalesce(deferred.amount_fc, parts.amount) as amount_fc
    from {{ ref('recognition_parts') }} as parts
    left join {{ ref('deferred_values') }} as deferred
        on parts.entity_id = deferred.entity_id and parts.document_type = deferred.document_type
        and parts.document_id = deferred.document_id and parts.line_id = deferred.line_id
        and deferred.kind = 'part' and parts.segment_no = deferred.segment_no and parts.part_no = deferred.part_no
),

at_once as (
    select
        lines.entity_id, lines.document_type, lines.document_id, lines.line_id, lines.line_no,
        1 as segment_no, 0 as part_no, {{ period_of('lines.posting_date', 'lines.entity_id') }} as service_period, lines.posting_date as recognised_on,
        lines.net_amount - coalesce(billed.recognised, 0) as amount, lines.contra_discount as discount_amount,
        coalesce(lines_fc.net_fc, lines.net_amount) - coalesce(billed.recognised, 0) as amount_fc
    from lines
    left join {{ ref('document_line_values') }} as lines_fc
        on lines.entity_id = lines_fc.entity_id and lines.document_type = lines_fc.document_type
        and lines.document_id = lines_fc.document_id and lines.line_id = lines_fc.line_id
    left join {{ ref('pending_billings') }} as billed
        on lines.entity_id = billed.entity_id and lines.document_type = 'invoice'
        and lines.document_id = billed.document_id and lines.line_id = billed.line_id
    where lines.at_once and lines.treatment in ('revenue', 'pending')
)

select
    schedule.entity_id,
    schedule.document_type,
    schedule.document_id,
    schedule.line_id as document_line_id,
    schedule.line_no,
    schedule.segment_no,
    schedule.part_no,
    {{ period_of('schedule.recognised_on', 'schedule.entity_id') }} as period,
    schedule.service_period,
    schedule.recognised_on as recognition_date,
    lines.currency,
    lines.functional_currency,
    schedule.amount,
    schedule.discount_amount,
    schedule.amount_fc,
    lines.product_family,
    lines.customer_id,
    lines.correlation_id,
    lines.event_key,
    lines.recorded_time,
    lines.at_once,
    lines.treatment,
    lines.rate_num,
    lines.rate_den
from (
    select
        entity_id, document_type, document_id, line_id, line_no, segment_no, part_no, service_period, recognised_on,
        amount, discount_amount, amount_fc
    from scheduled
    union all
    select
        entity_id, document_type, document_id, line_id, line_no, segment_no, part_no, service_period, recognised_on,
        amount, discount_amount, amount_fc
    from at_once
) as schedule
inner join lines
    on schedule.entity_id = lines.entity_id and schedule.document_type = lines.document_type
    and schedule.document_id = lines.document_id and schedule.line_id = lines.line_id
