-- A returned row is a moment at which a line (or obligation) shows more revenue than its price, or less than none. Where
-- one end of a schedule absorbs the roundings of all parts, it may pass the price by half a unit per part.
{{ config(meta={'dagster': {'ref': {'name': 'revenue_schedule'}}}) }}
with moments as (
    select
        schedule.entity_id, schedule.document_type, schedule.document_id, schedule.document_line_id as line_id,
        lines.net_amount as price, lines.rounding,
        schedule.recognition_date, sum(schedule.amount) as amount
    from {{ ref('revenue_schedule') }} as schedule
    inner join {{ ref('document_lines') }} as lines
        on schedule.entity_id = lines.entity_id and schedule.document_type = lines.document_type
        and schedule.document_id = lines.document_id and schedule.document_line_id = lines.line_id
    where schedule.treatment = 'revenue' and lines.pending_charge_id is null
    group by all
    union all
    select
        obligations.entity_id, 'contract' as document_type, obligations.contract_id as document_id, obligations.line_id,
        obligations.price, 'cumulative' as rounding, obligations.posting_date as recognition_date, obligations.recognised as amount
    from {{ ref('obligation_states') }} as obligations
    where not obligations.is_timed
),

running as (
    select
        *,
        case when document_type = 'contract' then amount
            else sum(amount) over (
                partition by entity_id, document_type, document_id, line_id order by recognition_date
                rows between unbounded preceding and current row
            ) end as to_date,
        case when rounding in ('first_absorbs', 'last_absorbs')
            then (count(*) over (partition by entity_id, document_type, document_id, line_id) + 1) // 2 else 0 end as slack
    from moments
)

select * from running
where abs(to_date) > abs(price) + slack or to_date * sign(price) < -slack
