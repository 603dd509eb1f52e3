-- Up to the cut-off, what an ERP is told to recognise is what we compute: a returned row is a line and day where they differ.
{{ config(meta={'dagster': {'ref': {'name': 'erp_schedule_parts'}}}) }}
with owned as (
    select entity_id
    from {{ state('policy') }}
    where key = 'schedules_owner' and value = 'erp'
),

told as (
    select
        entity_id, document_type, document_id, line_id, service_period, recognition_date,
        sum(amount + discount_amount) as revenue, sum(amount_fc + discount_fc) as revenue_fc
    from {{ ref('erp_schedule_parts') }}
    where recognition_date <= {{ as_of() }}
    group by all
),

computed as (
    select
        lines.entity_id, lines.document_type, lines.document_id, lines.document_line_id as line_id, lines.service_period,
        lines.accounting_date as recognition_date, -sum(lines.amount_tc) as revenue, -sum(lines.amount_fc) as revenue_fc
    from {{ ref('journal_lines') }} as lines
    inner join owned on lines.entity_id = owned.entity_id
    where lines.event_type = 'revenue.recognised' and lines.account_role = 'revenue'
    group by all
),

signed as (
    select * from told
    union all
    select * replace (-revenue as revenue, -revenue_fc as revenue_fc) from computed
)

select
    entity_id, document_type, document_id, line_id, service_period, recognition_date,
    sum(revenue) as difference, sum(revenue_fc) as difference_fc
from signed
group by all
having sum(revenue) <> 0 or sum(revenue_fc) <> 0
