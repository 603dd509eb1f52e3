-- Grain: one uninterrupted span [segment_start, segment_end) of one subscription item on unchanged price, quantity and
-- billing terms. A pause cuts a gap; new billing terms cut without a gap; segment_end is null while the item runs.
{{ config(tags=['before_posting']) }}

with events as (

    select
        event_key,
        entity_id,
        type,
        effective_date,
        correlation_id,
        time as event_time,
        coalesce(sequence, '') as sequence,
        id as event_id,
        data,
        json_extract_string(data, '$.subscription_id') as subscription_id
    from {{ ref('events') }}
    where
        type in ('subscription.created', 'amendment.booked')
        and json_extract_string(data, '$.subscription_id') is not null

),

zoned as (

    select
        events.*,
        (timezone('UTC', events.event_time) at time zone entities.time_zone)::date as booked_date,
        json_extract_string(events.data, '$.kind') as kind
    from events
    inner join {{ state('entities') }} as entities on events.entity_id = entities.entity_id

),

subscriptions as (

    select
        entity_id,
        subscription_id,
        json_extract_string(data, '$.customer_id') as customer_id,
        json_extract_string(data, '$.currency') as currency,
        coalesce(json_extract_string(data, '$.start')::date, effective_date) as start_date,
        json_extract_string(data, '$.end')::date as planned_end
    from zoned
    where type = 'subscription.created'

),

item_actions as (

    select
        zoned.entity_id,
        zoned.subscription_id,
        zoned.event_key,
        zoned.correlation_id,
        zoned.event_time,
        zoned.booked_date,
        zoned.kind,
        coalesce(item.action, 'start') as action,  -- noqa: RF01
        item.* exclude (action),  -- noqa: RF01
        case
            when zoned.type = 'subscription.created' then subscriptions.start_date
            else zoned.effective_date
        end as action_date,
        (zoned.event_time, zoned.sequence, zoned.event_id) as action_order
    from zoned
    inner join subscriptions
        on zoned.entity_id = subscriptions.entity_id and zoned.subscription_id = subscriptions.subscription_id
    cross join lateral unnest(from_json(zoned.data -> '$.items', '[{
        "action": "VARCHAR", "item_id": "VARCHAR", "product_id": "VARCHAR", "product_family": "VARCHAR",
        "quantity": "VARCHAR", "unit_price": "VARCHAR", "tax_rate": "VARCHAR", "minimum_amount": "BIGINT", "timing": "VARCHAR"
    }]')) as t (item)

),

-- Whatever ends an item: an end action naming it, or a cancellation of the whole subscription.
ends as (

    select entity_id, subscription_id, item_id, action_date, action_order, booked_date, kind, event_time
    from item_actions
    where action = 'end'
    union all
    select
        entity_id,
        subscription_id,
        null as item_id,
        effective_date as action_date,
        (event_time, sequence, event_id) as action_order,
        booked_date,
        kind,
        event_time
    from zoned
    where kind = 'cancel'

),

-- Days that the last day of a cancelled item adds: one if the day of cancellation is billed.
started_items as (

    select
        item_actions.*,
        case
            when {{ policy_value(
                'termination_day_billed', 'false', 'item_actions.entity_id',
                "coalesce(item_actions.product_family, 'default')", 'subscriptions.currency'
            ) }} = 'true' then 1
            else 0
        end as cancel_days
    from item_actions
    inner join subscriptions
        on item_actions.entity_id = subscriptions.entity_id and item_actions.subscription_id = subscriptions.subscription_id
    where item_actions.action = 'start'

),

versions as (

    select
        started.* exclude (cancel_days),  -- noqa: RF02
        ended.action_date + case when ended.kind = 'cancel' then started.cancel_days else 0 end as end_date,
        -- a day that is billed is over, and invoiced if it is a bill date, before its cancellation counts
        ended.booked_date
        + case when ended.kind = 'cancel' and ended.booked_date = ended.action_date then started.cancel_days else 0 end
            as end_booked_date,
        ended.kind as end_kind,
        ended.event_time as end_event_time
    from started_items as started
    left join ends as ended
        on started.entity_id = ended.entity_id
        and started.subscription_id = ended.subscription_id
        and (ended.item_id is null or started.item_id = ended.item_id)
        and (ended.action_date, ended.action_order) > (started.action_date, started.action_order)
    qualify row_number() over (
        partition by started.event_key, started.item_id
        order by ended.action_date nulls last, ended.action_order nulls last
    ) = 1

),

pauses as (

    select
        entity_id,
        subscription_id,
        kind,
        effective_date as pause_date,
        booked_date,
        event_time,
        lead(effective_date) over w as resume_date
    from zoned
    where kind in ('pause', 'resume')
    window w as (partition by entity_id, subscription_id order by effective_date, event_time, sequence, event_id)

),

-- An item runs again from every resume inside its life.
runs as (

    select versions.*, versions.action_date as run_start
    from versions
    union all
    select versions.*, pauses.resume_date as run_start
    from versions
    inner join pauses
        on versions.entity_id = pauses.entity_id
        and versions.subscription_id = pauses.subscription_id
        and pauses.kind = 'pause'
        and versions.action_date <= pauses.pause_date
        and versions.action_date < pauses.resume_date
        and (versions.end_date is null or versions.end_date > pauses.resume_date)

),

paused as (

    select
        runs.* exclude (end_date, end_booked_date, end_kind, end_event_time),
        coalesce(pauses.pause_date, runs.end_date) as end_date,
        case when pauses.pause_date is null then runs.end_booked_date else pauses.booked_date end as end_booked_date,
        case when pauses.pause_date is null then runs.end_kind else 'pause' end as end_kind,
        case when pauses.pause_date is null then runs.end_event_time else pauses.event_time end as end_event_time
    from runs
    left join pauses
        on runs.entity_id = pauses.entity_id
        and runs.subscription_id = pauses.subscription_id
        and pauses.kind = 'pause'
        and runs.run_start <= pauses.pause_date
        and (runs.end_date is null or runs.end_date > pauses.pause_date)
    qualify row_number() over (
        partition by runs.event_key, runs.item_id, runs.run_start
        order by pauses.pause_date nulls last
    ) = 1

),

-- Billing terms in force from a date on; the first terms reach back to the beginning.
terms as (

    select
        entity_id,
        subscription_id,
        booked_date as terms_booked_date,
        event_time as terms_event_time,
        json_extract_string(data, '$.billing.interval') as billing_interval,
        json_extract_string(data, '$.billing.anchor')::date as anchor,
        coalesce(json_extract_string(data, '$.billing.timing'), 'in_advance') as billing_timing,
        case when type = 'subscription.created' then date '0001-01-01' else effective_date end as terms_start,
        lead(effective_date) over w as terms_end
    from zoned
    where json_extract_string(data, '$.billing.interval') is not null
    window w as (
        partition by entity_id, subscription_id
        order by case when type = 'subscription.created' then 0 else 1 end, effective_date, event_time, sequence, event_id
    )

),

changed_terms as (

    select
        terms.*,
        lead(terms_booked_date) over w as next_booked_date,
        lead(terms_event_time) over w as next_event_time
    from terms
    window w as (partition by entity_id, subscription_id order by terms_start)

),

final as (

    select
        paused.entity_id,
        paused.subscription_id,
        subscriptions.customer_id,
        subscriptions.currency,
        subscriptions.planned_end,
        paused.item_id,
        paused.product_id,
        coalesce(paused.product_family, 'default') as product_family,
        coalesce(paused.quantity, '1') as quantity,
        paused.unit_price,
        paused.tax_rate,
        paused.minimum_amount,
        changed_terms.billing_interval,
        changed_terms.anchor,
        paused.event_key,
        paused.correlation_id,
        coalesce(paused.timing, changed_terms.billing_timing) as timing,
        greatest(paused.run_start, changed_terms.terms_start) as segment_start,
        case
            when paused.end_date is null or changed_terms.terms_end < paused.end_date then changed_terms.terms_end
            else paused.end_date
        end as segment_end,
        case
            when paused.end_date is null or changed_terms.terms_end < paused.end_date then changed_terms.next_booked_date
            else paused.end_booked_date
        end as end_booked_date,
        case
            when paused.end_date is null or changed_terms.terms_end < paused.end_date then changed_terms.next_event_time
            else paused.end_event_time
        end as end_event_time,
        case
            when paused.end_date is null or changed_terms.terms_end < paused.end_date then 'billing_terms'
            else paused.end_kind
        end as end_kind
    from paused
    inner join subscriptions
        on paused.entity_id = subscriptions.entity_id and paused.subscription_id = subscriptions.subscription_id
    inner join changed_terms
        on paused.entity_id = changed_terms.entity_id
        and paused.subscription_id = changed_terms.subscription_id
        and (changed_terms.terms_end is null or paused.run_start < changed_terms.terms_end)
        and (paused.end_date is null or paused.end_date > changed_terms.terms_start)

)

select
    final.*,
    row_number() over (
        partition by entity_id, subscription_id, item_id
        order by segment_start, event_key
    ) as segment_no
from final
-- one ended from its first day is billed all the same, and credited, if that was agreed after its bill date
where segment_end is null or segment_end > segment_start or (segment_end = segment_start and end_booked_date > segment_start)
