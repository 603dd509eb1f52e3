-- One row per recognition entry: one line, service period and posting date, with its revenue and contra discount.
{{ config(materialized='ephemeral') }}
with schedule as (
    select * from {{ ref('document_schedule') }}
    where not at_once or treatment = 'pending'
),

-- Only a line that something changed can have two rows for one period; all others are entries as they stand.
changed as (
    select distinct entity_id, document_type, document_id, document_line_id
    from schedule
    where segment_no > 1 or part_no >= 10000
),

entries as (
    select
        schedule.event_key, schedule.entity_id, schedule.document_type, schedule.document_id, schedule.document_line_id,
        schedule.recognition_date as posting_date, schedule.service_period, schedule.currency, schedule.functional_currency,
        schedule.product_family, schedule.customer_id, schedule.correlation_id, schedule.treatment, schedule.recorded_time,
        schedule.rate_num, schedule.rate_den, schedule.amount, schedule.amount_fc, schedule.discount_amount
    from schedule
    left join changed
        on schedule.entity_id = changed.entity_id and schedule.document_type = changed.document_type
        and schedule.document_id = changed.document_id and schedule.document_line_id = changed.document_line_id
    where changed.document_line_id is null
    union all
    select
        schedule.event_key, schedule.entity_id, schedule.document_type, schedule.document_id, schedule.document_line_id,
        schedule.recognition_date as posting_date, schedule.service_period, schedule.currency, schedule.functional_currency,
        schedule.product_family, schedule.customer_id, schedule.correlation_id, schedule.treatment, schedule.recorded_time,
        max(schedule.rate_num) as rate_num, max(schedule.rate_den) as rate_den,
        cast(sum(schedule.amount) as bigint) as amount, cast(sum(schedule.amount_fc) as bigint) as amount_fc,
        cast(sum(schedule.discount_amount) as bigint) as discount_amount
    from schedule
    inner join changed
        on schedule.entity_id = changed.entity_id and schedule.document_type = changed.document_type
        and schedule.document_id = changed.document_id and schedule.document_line_id = changed.document_line_id
    group by all
)

-- A service period that was closed when the document was recorded shows as prior period where it is caught up.
select
    entries.*,
    md5(
        entries.entity_id || '|' || entries.document_type || '|' || entries.document_id || '|' || entries.document_line_id
        || '|' || entries.service_period || '|' || cast(entries.posting_date as varchar)
    ) as entry_key,
    {{ at_rate('entries.discount_amount', 'entries.') }} as discount_fc,
    case when entries.treatment = 'pending' then 'unbilled_receivable' else 'deferred_revenue' end as balance_role,
    closed.period is not null as is_prior_period
from entries
left join {{ ref('closed_periods') }} as closed
    on entries.service_period < {{ period_of('entries.posting_date', 'entries.entity_id') }}
    and entries.entity_id = closed.entity_id and entries.service_period = closed.period
    and entries.recorded_time >= closed.closed_from and entries.recorded_time < closed.closed_to
where entries.amount <> 0 or entries.discount_amount <> 0 or entries.amount_fc <> 0
