-- One row per subscription, dates in the zone of the entity.
with staged as (
    {{ staged_object('stripe', 'subscription', {
        'subscription_id': ['$.id', 'text'],
        'billing_customer_id': ['$.customer', 'text'],
        'currency': ['$.currency', 'text'],
        'status': ['$.status', 'text'],
        'created_at': ['$.created', 'unix'],
        'started_at': ['$.start_date', 'unix'],
        'anchor_at': ['$.billing_cycle_anchor', 'unix'],
        'canceled_at': ['$.canceled_at', 'unix'],
        'ended_at': ['$.ended_at', 'unix'],
        'opportunity_id': ['$.metadata.salesforce_opportunity_id', 'text'],
        'crm_account_id': ['$.metadata.salesforce_account_id', 'text'],
        'amendment_kind': ['$.metadata.amendment_kind', 'text'],
        'booked_at': ['$.metadata.booked_at', 'iso'],
        'contract_start': ['$.metadata.contract_start', 'date'],
        'contract_end': ['$.metadata.contract_end', 'date'],
        'items': ['$.items.data', 'json'],
    }, seen={'end_seen_at': 'ended_at is not null'}) }}
),

customers as (
    select * from {{ ref('stg_stripe__customers') }}
),

entities as (
    select * from {{ state('entities') }}
)

select
    staged._source,
    staged._entity_id as entity_id,
    staged._landing_seq,
    staged._first_landed_at,
    staged.end_seen_at,
    staged.subscription_id,
    coalesce(staged.crm_account_id, customers.crm_account_id, staged.billing_customer_id) as customer_id,
    staged.billing_customer_id,
    upper(staged.currency) as currency,
    staged.status,
    staged.created_at,
    {{ local_date('staged.started_at', 'entities.time_zone') }} as start_date,
    {{ local_date('staged.anchor_at', 'entities.time_zone') }} as anchor_date,
    {{ local_date('staged.ended_at', 'entities.time_zone') }} as end_date,
    staged.ended_at,
    staged.canceled_at,
    staged.opportunity_id,
    staged.amendment_kind,
    staged.booked_at,
    staged.contract_start,
    staged.contract_end,
    staged.items
from staged
inner join entities on staged._entity_id = entities.entity_id
left join customers on staged._source = customers._source and staged.billing_customer_id = customers.billing_customer_id
-- A first payment that never came leaves no subscription.
where staged.status not in ('incomplete', 'incomplete_expired')
