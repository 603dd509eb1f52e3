-- A returned row is a document line whose whole schedule is not its net less what reductions took from the unrecognised
-- part: every minor unit is recognised once, after any sequence of credits, refunds, disputes and voids.
{{ config(meta={'dagster': {'ref': {'name': 'revenue_schedule'}}}) }}
with scheduled as (
    select entity_id, document_type, document_id, document_line_id as line_id, sum(amount) as amount
    from {{ ref('revenue_schedule') }}
    where treatment = 'revenue'
    group by 1, 2, 3, 4
),

reduced as (
    select entity_id, document_type, document_id, line_id, sum(eff_unrecognised) as amount
    from {{ ref('line_effects') }}
    group by 1, 2, 3, 4
)

select lines.entity_id, lines.document_type, lines.document_id, lines.line_id, lines.net_amount,
    coalesce(scheduled.amount, 0) as scheduled, coalesce(reduced.amount, 0) as reduced
from {{ ref('document_lines') }} as lines
left join {{ ref('pending_billings') }} as pending
    on lines.entity_id = pending.entity_id and lines.document_id = pending.document_id and lines.line_id = pending.line_id
left join scheduled
    on lines.entity_id = scheduled.entity_id and lines.document_type = scheduled.document_type
    and lines.document_id = scheduled.document_id and lines.line_id = scheduled.line_id
left join reduced
    on lines.entity_id = reduced.entity_id and lines.document_type = reduced.document_type
    and lines.document_id = reduced.document_id and lines.line_id = reduced.line_id
where lines.treatment = 'revenue'
    and coalesce(scheduled.amount, 0) + coalesce(reduced.amount, 0) + coalesce(pending.recognised, 0) <> lines.net_amount
