-- One row per leg of a recognition entry: deferred revenue (or unbilled receivable of a pending charge) into revenue,
-- one entry per line, service period and posting date.
with scheduled as (
    select
        schedule.event_key,
        md5(schedule.entity_id || '|' || schedule.document_type || '|' || schedule.document_id || '|'
            || schedule.document_line_id || '|' || schedule.service_period || '|' || cast(schedule.recognition_date as varchar)) as entry_id,
        'revenue.recognised' as event_type,
        schedule.entity_id,
        schedule.document_type,
        schedule.document_id,
        schedule.document_line_id,
        schedule.recognition_date as posting_date,
        schedule.service_period,
        schedule.currency,
        schedule.functional_currency,
        schedule.product_family,
        schedule.customer_id,
        schedule.correlation_id,
        schedule.treatment,
        max(schedule.recorded_time) as recorded_time,
        cast(sum(schedule.amount) as bigint) as amount,
        cast(sum(schedule.amount_fc) as bigint) as amount_fc,
        cast(sum(schedule.discount_amount) as bigint) as discount_amount,
        max(schedule.rate_num) as rate_num,
        max(schedule.rate_den) as rate_den
    from {{ ref('revenue_schedule') }} as schedule
    where not schedule.at_once or schedule.treatment = 'pending'
    group by all
),

-- A service period that was closed when the document was recorded shows as prior period where it is caught up.
flagged as (
    select
        scheduled.*,
        closed.period is not null as is_prior_period,
        {{ at_rate('scheduled.discount_amount', 'scheduled.') }} as discount_fc
    from scheduled
    left join {{ ref('closed_periods') }} as closed
        on scheduled.service_period < {{ period_of('scheduled.posting_date') }}
        and scheduled.entity_id = closed.entity_id and scheduled.service_period = closed.period
        and scheduled.recorded_time >= closed.closed_from and scheduled.recorded_time < closed.closed_to
)

{{ leg('flagged', "case treatment when 'pending' then 'unbilled_receivable' else 'deferred_revenue' end", 'amount', 'amount_fc',
    pool="case treatment when 'pending' then 'unbilled_receivable|' || document_id end", leg_no=1, entry_id='entry_id',
    service_period='service_period', line_id='document_line_id', product_family='product_family', customer_id='customer_id') }}
union all
{{ leg('flagged', "'discounts'", 'discount_amount', 'discount_fc', leg_no=2, entry_id='entry_id',
    service_period='service_period', line_id='document_line_id', product_family='product_family', customer_id='customer_id') }}
union all
{{ leg('flagged', "'revenue'", '-(amount + discount_amount)', '-(amount_fc + discount_fc)', leg_no=3, entry_id='entry_id',
    service_period='service_period', line_id='document_line_id', product_family='product_family', customer_id='customer_id') }}
