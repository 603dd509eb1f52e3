-- One row per open exception as the data shows it now: variances and refused events, each with an owner and a next step.
{{ config(tags=['after_posting']) }}

with items as (
    select * from {{ ref('rec_items') }}
    -- Within tolerance is matched: nobody has anything to do.
    where variance_class is not null and variance_class <> 'rounding'
),

policy as (
    select * from {{ ref('rec_policy') }}
),

class_owners as (
    select * from {{ state('class_owner') }}
),

groups as (
    select
        recon_id,
        entity_id,
        variance_class,
        reference,
        min(period) as first_period,
        max(period) as last_period,
        min(currency) as currency,
        sum(difference) as net_difference,
        sum(case when difference > 0 then difference else 0 end) as positive_difference,
        sum(case when period = {{ recon_month(as_of_date(), 'entity_id') }} then difference else 0 end) as current_difference,
        max(case when gates then 1 else 0 end) = 1 as gates,
        min(customer_id) as customer_id,
        min(correlation_id) as correlation_id,
        max(erp_document) as erp_document,
        max(explanation) as explanation,
        max(expected_clear_period) as expected_clear_period
    from items
    group by recon_id, entity_id, variance_class, reference
),

open_groups as (
    select
        *,
        cast(case
            when {{ recon_is_balance('recon_id') }} then current_difference
            when variance_class = 'wrong_period' then positive_difference
            else net_difference
        end as bigint) as amount
    from groups
    where
        case
            -- A balance shows what is open in its last period.
            when {{ recon_is_balance('recon_id') }} then last_period = {{ recon_month(as_of_date(), 'entity_id') }}
            -- In transit and arrived: the two sides cancel.
            when variance_class = 'timing_in_transit' then net_difference <> 0
            else true
        end
),

variances as (
    select
        'reconciliation' as origin,
        open_groups.recon_id,
        open_groups.variance_class as category,
        open_groups.entity_id,
        open_groups.reference,
        open_groups.first_period as period,
        open_groups.currency,
        open_groups.amount,
        open_groups.gates as blocks_close,
        coalesce(
            {{ recon_json_at('policy.owner_json', "'$.' || open_groups.variance_class") }},
            class_owners.owner_team,
            policy.owner_team
        ) as owner_team,
        open_groups.customer_id,
        open_groups.correlation_id,
        cast(null as varchar) as source_event_id,
        case when open_groups.recon_id = 'R16' then open_groups.reference end as idempotency_key,
        open_groups.erp_document,
        open_groups.explanation as error_message,
        open_groups.expected_clear_period
    from open_groups
    left join policy on open_groups.recon_id = policy.recon_id and open_groups.entity_id = policy.entity_id
    left join class_owners on open_groups.variance_class = class_owners.variance_class
),

-- Events that were refused and facts that the subledger held back; what a waiting event waited for may have come since.
refused as (
    select
        'events' as origin,
        class as category,
        entity_id,
        coalesce(subject, exception_key) as reference,
        cast(null as varchar) as currency,
        cast(null as bigint) as amount,
        event_key,
        detail
    from {{ ref('event_exceptions') }}
    union all
    select
        'subledger' as origin,
        class as category,
        entity_id,
        coalesce(subject, exception_key) as reference,
        currency,
        amount,
        event_key,
        detail
    from {{ ref('posting_exceptions') }}
    where not is_resolved
),

intake as (
    select
        origin,
        category,
        entity_id,
        reference,
        min(currency) as currency,
        cast(sum(amount) as bigint) as amount,
        min(event_key) as source_event_id,
        min(detail) as error_message
    from refused
    group by origin, category, entity_id, reference
),

unioned as (
    select * from variances
    union all
    select
        intake.origin,
        cast(null as varchar) as recon_id,
        intake.category,
        intake.entity_id,
        intake.reference,
        {{ recon_month(as_of_date(), 'intake.entity_id') }} as period,
        intake.currency,
        intake.amount,
        intake.category in ('schema_invalid', 'mapping_missing', 'closed_period', 'closed_period_material') as blocks_close,
        coalesce(
            class_owners.owner_team,
            case intake.category
                when 'closed_period' then 'Controller'
                when 'closed_period_material' then 'Controller'
                when 'mapping_missing' then 'Revenue accounting'
                else 'Data platform'
            end
        ) as owner_team,
        cast(null as varchar) as customer_id,
        cast(null as varchar) as correlation_id,
        intake.source_event_id,
        cast(null as varchar) as idempotency_key,
        cast(null as varchar) as erp_document,
        intake.error_message,
        cast(null as varchar) as expected_clear_period
    from intake
    left join class_owners on intake.category = class_owners.variance_class
)

select
    {{ recon_exception_id('recon_id', 'category', 'entity_id', 'reference') }} as exception_id,
    origin,
    recon_id,
    category,
    entity_id,
    reference,
    period,
    currency,
    amount,
    blocks_close,
    {{ recon_severity('category', 'blocks_close') }} as severity,
    owner_team,
    customer_id,
    correlation_id,
    source_event_id,
    idempotency_key,
    erp_document,
    error_message,
    {{ recon_next_action('category') }} as next_action,
    expected_clear_period
from unioned
-- The same subject held back by both rooms is one exception.
qualify row_number() over (
    partition by {{ recon_exception_id('recon_id', 'category', 'entity_id', 'reference') }} order by origin
) = 1
