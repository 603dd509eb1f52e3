-- One row per phase of a subscription that took effect: its terms from phase_start until the next phase or the end.
with schedules as (
    {{ staged_object('stripe', 'subscription_schedule', {
        'schedule_id': ['$.id', 'text'],
        'subscription_id': ['$.subscription', 'text'],
        'released_subscription_id': ['$.released_subscription', 'text'],
        'created_at': ['$.created', 'unix'],
        'phases': ['$.phases', 'json'],
    }) }}
),

subscriptions as (
    select * from {{ ref('stg_stripe__subscriptions') }}
),

entities as (
    select * from {{ state('entities') }}
),

scheduled as (
    {{ json_elements('schedules', 'phases', [
        '_source', 'schedule_id', 'coalesce(subscription_id, released_subscription_id) as subscription_id',
    ]) }}
),

scheduled_fields as (
    select
        _source,
        subscription_id,
        {{ json_texts('item', [
            '$.start_date', '$.end_date', '$.metadata.salesforce_opportunity_id', '$.metadata.amendment_kind',
            '$.metadata.booked_at', '$.metadata.contract_start', '$.metadata.contract_end', '$.items',
        ]) }} as f
    from scheduled
    where subscription_id is not null
),

terms as (
    select
        scheduled_fields._source,
        scheduled_fields.subscription_id,
        {{ local_date(unix_to_utc('scheduled_fields.f[1]'), 'entities.time_zone') }} as phase_start,
        coalesce(scheduled_fields.f[3], subscriptions.opportunity_id) as opportunity_id,
        coalesce(scheduled_fields.f[4], subscriptions.amendment_kind, 'new') as amendment_kind,
        coalesce({{ iso_to_utc('scheduled_fields.f[5]') }}, {{ unix_to_utc('scheduled_fields.f[1]') }}) as booked_at,
        coalesce(cast(scheduled_fields.f[6] as date), subscriptions.contract_start) as contract_start,
        coalesce(cast(scheduled_fields.f[7] as date), subscriptions.contract_end) as contract_end,
        coalesce(scheduled_fields.f[8], '[]') as items
    from scheduled_fields
    inner join subscriptions
        on scheduled_fields._source = subscriptions._source and scheduled_fields.subscription_id = subscriptions.subscription_id
    inner join entities on subscriptions.entity_id = entities.entity_id

    union all

    -- A subscription nobody scheduled has one phase: what it is made of now.
    select
        subscriptions._source,
        subscriptions.subscription_id,
        subscriptions.start_date as phase_start,
        subscriptions.opportunity_id,
        coalesce(subscriptions.amendment_kind, 'new') as amendment_kind,
        coalesce(subscriptions.booked_at, subscriptions.created_at) as booked_at,
        subscriptions.contract_start,
        subscriptions.contract_end,
        coalesce(subscriptions.items, '[]') as items
    from subscriptions
    left join (select distinct _source, subscription_id from scheduled_fields) as with_schedule
        on subscriptions._source = with_schedule._source and subscriptions.subscription_id = with_schedule.subscription_id
    where with_schedule.subscription_id is null
)

select
    terms._source,
    subscriptions.entity_id,
    terms.subscription_id,
    cast(row_number() over (
        partition by terms._source, terms.subscription_id
        order by terms.phase_start, terms.booked_at
    ) as integer) as phase_no,
    subscriptions.customer_id,
    subscriptions.billing_customer_id,
    subscriptions.currency,
    subscriptions.anchor_date,
    terms.phase_start,
    lead(terms.phase_start) over (
        partition by terms._source, terms.subscription_id
        order by terms.phase_start, terms.booked_at
    ) as next_phase_start,
    subscriptions.end_date as subscription_end,
    terms.opportunity_id,
    terms.amendment_kind,
    terms.booked_at,
    terms.contract_start,
    terms.contract_end,
    terms.items = '[]' as is_end,
    terms.items
from terms
inner join subscriptions on terms._source = subscriptions._source and terms.subscription_id = subscriptions.subscription_id
-- Phases planned for after the end never took effect. A cancellation may be recorded as a last phase without items,
-- which begins on the day the subscription ends.
where
    subscriptions.end_date is null
    or terms.phase_start < subscriptions.end_date
    or (terms.phase_start = subscriptions.end_date and terms.items = '[]')
