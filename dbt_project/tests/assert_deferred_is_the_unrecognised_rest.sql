-- A returned row is a document line whose deferred revenue at the cut-off is not the sum of its schedule still to come.
{{ config(meta={'dagster': {'ref': {'name': 'journal_lines'}}}) }}
with balances as (
    select entity_id, document_type, document_id, document_line_id as line_id, -sum(amount_tc) as deferred
    from {{ ref('journal_lines') }}
    where account_role = 'deferred_revenue'
    group by 1, 2, 3, 4
),

ahead as (
    select entity_id, document_type, document_id, document_line_id as line_id, sum(amount) as amount
    from {{ ref('revenue_schedule') }}
    where treatment = 'revenue' and recognition_date > {{ as_of() }}
    group by 1, 2, 3, 4
),

-- A reduction after the cut-off still belongs to what is deferred on that day.
reduced_later as (
    select entity_id, document_type, document_id, line_id, sum(eff_unrecognised) as amount
    from {{ ref('line_effects') }}
    where posting_date > {{ as_of() }}
    group by 1, 2, 3, 4
)

select lines.entity_id, lines.document_type, lines.document_id, lines.line_id,
    coalesce(balances.deferred, 0) as deferred, coalesce(ahead.amount, 0) as ahead
from {{ ref('document_lines') }} as lines
left join balances
    on lines.entity_id = balances.entity_id and lines.document_type = balances.document_type
    and lines.document_id = balances.document_id and lines.line_id = balances.line_id
left join ahead
    on lines.entity_id = ahead.entity_id and lines.document_type = ahead.document_type
    and lines.document_id = ahead.document_id and lines.line_id = ahead.line_id
left join reduced_later
    on lines.entity_id = reduced_later.entity_id and lines.document_type = reduced_later.document_type
    and lines.document_id = reduced_later.document_id and lines.line_id = reduced_later.line_id
where lines.treatment = 'revenue' and not lines.at_once and lines.posting_date <= {{ as_of() }}
    and coalesce(balances.deferred, 0) <> coalesce(ahead.amount, 0) + coalesce(reduced_later.amount, 0)
