-- One row per subscription event: subscription.created for the first phase, amendment.booked for each later change of
-- items and for the end of the subscription.
with subscriptions as (
    select * from {{ ref('stg_stripe__subscriptions') }}
),

phases as (
    select * from {{ ref('stg_stripe__subscription_phases') }}
),

-- Metered items have no fixed price: what they cost comes as usage.rated, not as an expected charge.
items as (
    select * from {{ ref('stg_stripe__subscription_phase_items') }}
    where not is_metered
),

billing_terms as (
    select
        _source,
        subscription_id,
        phase_no,
        max(case
            when recurring_interval = 'month' and interval_count = 3 then 'quarter'
            when interval_count = 1 then recurring_interval
            else cast(interval_count as varchar) || ' ' || recurring_interval
        end) as billing_interval,
        bool_and(is_metered) as is_metered
    from {{ ref('stg_stripe__subscription_phase_items') }}
    group by _source, subscription_id, phase_no
),

item_starts as (
    select
        *,
        {{ json_object_text({
            'item_id': 'item_id',
            'product_id': 'product_code',
            'product_family': 'product_family',
            'quantity': decimal_text('quantity'),
            'unit_price': decimal_text('unit_price'),
        }) }} as item,
        {{ json_object_text({
            'action': "'start'",
            'item_id': 'item_id',
            'product_id': 'product_code',
            'product_family': 'product_family',
            'quantity': decimal_text('quantity'),
            'unit_price': decimal_text('unit_price'),
        }) }} as start_action,
        {{ json_object_text({'action': "'end'", 'item_id': 'item_id'}) }} as end_action
    from items
),

first_items as (
    select
        _source,
        subscription_id,
        {{ json_array_text('item', 'item_id') }} as items
    from item_starts
    where phase_no = 1
    group by _source, subscription_id
),

created as (
    select
        phases._source,
        'subscription.created' as type,
        'subscription.created:' || phases.subscription_id as id,
        phases.booked_at as time,
        phases.entity_id,
        phases.phase_start as effective_date,
        phases.subscription_id,
        phases.subscription_id as subject,
        phases.opportunity_id,
        {{ json_object_text({
            'subscription_id': 'phases.subscription_id',
            'customer_id': 'phases.customer_id',
            'currency': 'phases.currency',
            'start': 'cast(phases.phase_start as varchar)',
            'billing': json_value(json_object_text({
                'interval': 'billing_terms.billing_interval',
                'anchor': 'cast(phases.anchor_date as varchar)',
                'timing': "case when billing_terms.is_metered then 'in_arrears' else 'in_advance' end",
            })),
            'items': json_value("coalesce(first_items.items, '[]')"),
        }) }} as data,
        subscriptions._first_landed_at as landed_at
    from phases
    inner join subscriptions
        on phases._source = subscriptions._source and phases.subscription_id = subscriptions.subscription_id
    left join billing_terms
        on phases._source = billing_terms._source
        and phases.subscription_id = billing_terms.subscription_id
        and billing_terms.phase_no = 1
    left join first_items
        on phases._source = first_items._source and phases.subscription_id = first_items.subscription_id
    where phases.phase_no = 1
),

-- Old and new state of every item around a change; an item whose quantity moves ends and starts again.
changes as (
    select
        coalesce(after._source, before._source) as _source,
        coalesce(after.subscription_id, before.subscription_id) as subscription_id,
        coalesce(after.phase_no, before.phase_no + 1) as phase_no,
        coalesce(after.item_id, before.item_id) as item_id,
        before.end_action,
        after.start_action
    from item_starts as after
    full outer join item_starts as before
        on after._source = before._source
        and after.subscription_id = before.subscription_id
        and after.item_id = before.item_id
        and after.phase_no = before.phase_no + 1
    where before.item_id is null or after.item_id is null or before.quantity <> after.quantity
),

actions as (
    select _source, subscription_id, phase_no, item_id, 1 as action_order, end_action as action
    from changes
    where end_action is not null
    union all
    select _source, subscription_id, phase_no, item_id, 2 as action_order, start_action as action
    from changes
    where start_action is not null
),

phase_actions as (
    select
        _source,
        subscription_id,
        phase_no,
        {{ json_array_text('action', 'action_order, item_id') }} as items
    from actions
    group by _source, subscription_id, phase_no
),

amended as (
    select
        phases._source,
        'amendment.booked' as type,
        'amendment.booked:' || phases.subscription_id || ':' || cast(phases.phase_start as varchar) as id,
        phases.booked_at as time,
        phases.entity_id,
        phases.phase_start as effective_date,
        phases.subscription_id,
        phases.subscription_id || ':' || cast(phases.phase_start as varchar) as subject,
        phases.opportunity_id,
        {{ json_object_text({
            'amendment_id': "phases.subscription_id || ':' || cast(phases.phase_start as varchar)",
            'kind': "case when phases.is_end then 'cancel' when phases.amendment_kind in ('quantity', 'co_term') then phases.amendment_kind else 'change' end",
            'subscription_id': 'phases.subscription_id',
            'items': json_value("coalesce(phase_actions.items, '[]')"),
        }) }} as data,
        subscriptions._first_landed_at as landed_at
    from phases
    inner join subscriptions
        on phases._source = subscriptions._source and phases.subscription_id = subscriptions.subscription_id
    left join phase_actions
        on phases._source = phase_actions._source
        and phases.subscription_id = phase_actions.subscription_id
        and phases.phase_no = phase_actions.phase_no
    -- A renewal on unchanged items just goes on.
    where phases.phase_no > 1 and (phase_actions.items is not null or phases.is_end)
),

last_items as (
    select
        item_starts._source,
        item_starts.subscription_id,
        {{ json_array_text('item_starts.end_action', 'item_starts.item_id') }} as items
    from item_starts
    inner join phases
        on item_starts._source = phases._source
        and item_starts.subscription_id = phases.subscription_id
        and item_starts.phase_no = phases.phase_no
    where phases.next_phase_start is null
    group by item_starts._source, item_starts.subscription_id
),

ended as (
    select
        subscriptions._source,
        'amendment.booked' as type,
        'amendment.booked:' || subscriptions.subscription_id || ':end' as id,
        coalesce(subscriptions.canceled_at, subscriptions.ended_at) as time,
        subscriptions.entity_id,
        subscriptions.end_date as effective_date,
        subscriptions.subscription_id,
        subscriptions.subscription_id || ':end' as subject,
        phases.opportunity_id,
        {{ json_object_text({
            'amendment_id': "subscriptions.subscription_id || ':end'",
            'kind': "'cancel'",
            'subscription_id': 'subscriptions.subscription_id',
            'items': json_value("coalesce(last_items.items, '[]')"),
        }) }} as data,
        subscriptions.end_seen_at as landed_at
    from subscriptions
    left join phases
        on subscriptions._source = phases._source
        and subscriptions.subscription_id = phases.subscription_id
        and phases.next_phase_start is null
    left join last_items
        on subscriptions._source = last_items._source and subscriptions.subscription_id = last_items.subscription_id
    -- Ended without a phase that says so: the term ran out and was not renewed.
    where subscriptions.end_date is not null and not coalesce(phases.is_end, false)
),

unioned as (
    select * from created
    union all
    select * from amended
    union all
    select * from ended
),

enveloped as (
    select
        '/stripe/' || unioned._source as source,
        unioned.id,
        unioned.type,
        unioned.time,
        unioned.entity_id,
        unioned.effective_date,
        unioned.time as recorded_time,
        null as sequence,
        unioned.subject,
        unioned.opportunity_id as correlation_id,
        null as causation_id,
        null as supersedes_id,
        unioned.data,
        unioned.landed_at,
        subscriptions._landing_seq as landing_seq,
        unioned._source || '/subscription/' || unioned.subscription_id as vendor_record
    from unioned
    inner join subscriptions
        on unioned._source = subscriptions._source and unioned.subscription_id = subscriptions.subscription_id
)

{{ event_envelope('enveloped') }}
