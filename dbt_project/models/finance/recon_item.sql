-- One row per variance of a reconciliation in a period (within tolerance is matched and not listed).
with items as (
    select
        *,
        md5(recon_id || '|' || entity_id || '|' || period || '|' || currency || '|' || item_key || '|' || variance_class) as item_id,
        {{ recon_exception_id('recon_id', 'variance_class', 'entity_id', 'reference') }} as exception_id
    from {{ ref('rec_items') }}
    where variance_class is not null and variance_class <> 'rounding'
),

policy as (
    select * from {{ ref('rec_policy') }}
),

class_owners as (
    select * from {{ state('class_owner') }}
),

currencies as (
    select * from {{ state('currencies') }}
),

periods as (
    select * from {{ state('periods') }}
),

exceptions as (
    select *
    from {{ recon_optional_state('exceptions', {
        'exception_id': 'varchar', 'resolution_note': 'varchar', 'resolved_by': 'varchar', 'resolved_at': 'timestamp'
    }) }}
),

dated as (
    select
        items.*,
        min(items.period) over (partition by items.exception_id) as first_seen_period,
        max(items.period) over (partition by items.exception_id) as last_seen_period,
        sum(items.difference) over (partition by items.exception_id) as net_difference,
        lag(items.item_id) over (
            partition by items.recon_id, items.entity_id, items.currency, items.item_key, items.variance_class order by items.period
        ) as previous_item_id
    from items
)

select
    dated.item_id,
    dated.exception_id,
    dated.recon_id as recon_code,
    dated.period,
    dated.entity_id as entity_code,
    dated.currency,
    cast(currencies.exponent as integer) as minor_unit,
    dated.variance_class as category,
    {{ recon_to_major('dated.difference', 'currencies.exponent') }} as amount,
    {{ recon_to_major('dated.left_amount', 'currencies.exponent') }} as source_amount,
    {{ recon_to_major('dated.right_amount', 'currencies.exponent') }} as target_amount,
    coalesce(
        {{ recon_json_at('policy.owner_json', "'$.' || dated.variance_class") }},
        class_owners.owner_team,
        policy.owner_team,
        'Data platform'
    ) as owner_team,
    coalesce(dated.reference, '') as reference,
    dated.first_seen_period,
    coalesce(dated.expected_clear_period, '') as expected_clear_period,
    case
        when dated.variance_class = 'timing_in_transit' and not {{ recon_is_balance('dated.recon_id') }} and dated.net_difference = 0
            then dated.last_seen_period
        when {{ recon_is_balance('dated.recon_id') }} and dated.last_seen_period < {{ recon_month(as_of_date(), 'dated.entity_id') }}
            then coalesce((
                select min(later.period) from periods as later
                where later.entity_id = dated.entity_id and later.period > dated.last_seen_period
            ), '')
        else ''
    end as cleared_in_period,
    cast(greatest({{ days_between('periods.end_date_exclusive', as_of_date()) }} + 1, 0) as integer) as age_days,
    coalesce(policy.source_label, '') as source_system,
    coalesce(dated.reference, '') as source_reference,
    coalesce(dated.right_reference, '') as target_reference,
    coalesce(dated.erp_document, '') as journal_reference,
    coalesce(dated.customer_id, '') as customer,
    coalesce(dated.correlation_id, '') as correlation_id,
    coalesce(dated.explanation, '') as explanation,
    case when exceptions.resolution_note is not null then coalesce(exceptions.resolved_by, '') else 'rule' end as explained_by,
    coalesce({{ recon_instant('exceptions.resolved_at') }}, '') as explained_at,
    case
        when dated.variance_class = 'unexplained' then 'none'
        when {{ recon_is_balance('dated.recon_id') }} or dated.recon_id = 'R12' then 'balance explanation'
        when dated.left_reference is not null and dated.right_reference is not null then 'exact key'
        else 'no partner'
    end as match_rule,
    case when {{ recon_is_balance('dated.recon_id') }} then coalesce(dated.previous_item_id, '') else '' end as carried_from_item_id
from dated
left join policy on dated.recon_id = policy.recon_id and dated.entity_id = policy.entity_id
left join class_owners on dated.variance_class = class_owners.variance_class
left join currencies on dated.currency = currencies.currency
left join exceptions on dated.exception_id = exceptions.exception_id
left join periods on dated.entity_id = periods.entity_id and dated.first_seen_period = periods.period
