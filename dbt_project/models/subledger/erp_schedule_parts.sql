-- One row per schedule (document line or obligation), service period and day: what an ERP that owns the schedules of the
-- entity is to recognise then, in and out of the cut-off. The sums of revenue.recognised entries, before they are booked.
{{ config(materialized='view') }}

with owned as (
    select entity_id
    from {{ state('policy') }}
    where key = 'schedules_owner' and value = 'erp'
),

parts as (
    select
        schedule.entity_id, schedule.document_type, schedule.document_id,
        coalesce(schedule.document_line_id, schedule.contract_line_id) as line_id,
        schedule.service_period, schedule.recognition_date, schedule.currency, schedule.functional_currency,
        schedule.product_family, schedule.customer_id, schedule.treatment,
        max(schedule.rate_num) as rate_num, max(schedule.rate_den) as rate_den,
        cast(sum(schedule.amount) as bigint) as amount,
        cast(sum(schedule.amount_fc) as bigint) as amount_fc,
        cast(sum(schedule.discount_amount) as bigint) as discount_amount
    from {{ ref('revenue_schedule') }} as schedule
    inner join owned on schedule.entity_id = owned.entity_id
    -- What a pause holds back has no day: the far future stands for it until the contract resumes.
    where schedule.is_over_time and schedule.recognition_date < date '9999-01-01'
    group by all
)

select
    entity_id, document_type, document_id, line_id, service_period, recognition_date,
    {{ period_of('recognition_date', 'entity_id') }} as period,
    currency, functional_currency, product_family, customer_id,
    case when treatment = 'pending' then 'unbilled_receivable' else 'deferred_revenue' end as balance_role,
    amount, amount_fc, discount_amount,
    case when discount_amount = 0 then 0 else {{ at_rate('discount_amount') }} end as discount_fc
from parts
where amount <> 0 or discount_amount <> 0 or amount_fc <> 0
