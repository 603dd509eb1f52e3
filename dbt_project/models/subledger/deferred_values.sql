-- One row per release of a deferred line in foreign currency (schedule part, or reduction): its functional value.
-- The line is non-monetary: the value left is always its share of the opening value, so it is nil with the last part.
with openings as (
    select
        lines.entity_id, lines.document_type, lines.document_id, lines.line_id, lines.net_amount,
        coalesce(lines_fc.net_fc, lines.net_amount) as net_fc
    from {{ ref('document_lines') }} as lines
    inner join {{ ref('document_line_values') }} as lines_fc
        on lines.entity_id = lines_fc.entity_id and lines.document_type = lines_fc.document_type
        and lines.document_id = lines_fc.document_id and lines.line_id = lines_fc.line_id
    where not lines.at_once
),

movements as (
    select entity_id, document_type, document_id, line_id, 'part' as kind, segment_no, part_no, recognised_on as moved_on, amount
    from {{ ref('recognition_parts') }}
    union all
    select
        entity_id, document_type, document_id, line_id, 'effect' as kind, 0 as segment_no, step as part_no, posting_date as moved_on,
        eff_unrecognised as amount
    from {{ ref('line_effects') }}
    where eff_unrecognised <> 0
),

running as (
    select
        movements.*,
        openings.net_amount,
        openings.net_fc,
        cast(sum(movements.amount) over (
            partition by movements.entity_id, movements.document_type, movements.document_id, movements.line_id
            order by movements.moved_on, movements.kind, movements.segment_no, movements.part_no
            rows between unbounded preceding and current row
        ) as bigint) as released
    from movements
    inner join openings
        on movements.entity_id = openings.entity_id and movements.document_type = openings.document_type
        and movements.document_id = openings.document_id and movements.line_id = openings.line_id
)

select
    entity_id, document_type, document_id, line_id, kind, segment_no, part_no,
    {{ share('net_fc', 'released', 'net_amount') }} - {{ share('net_fc', 'released - amount', 'net_amount') }} as amount_fc
from running
