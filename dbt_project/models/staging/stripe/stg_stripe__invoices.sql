-- One row per invoice, drafts included; accounting date = day of finalisation in the zone of the entity.
with staged as (
    {{ staged_object('stripe', 'invoice', {
        'invoice_id': ['$.id', 'text'],
        'number': ['$.number', 'text'],
        'billing_customer_id': ['$.customer', 'text'],
        'currency': ['$.currency', 'text'],
        'status': ['$.status', 'text'],
        'due_at': ['$.due_date', 'unix'],
        'finalized_at': ['$.status_transitions.finalized_at', 'unix'],
        'voided_at': ['$.status_transitions.voided_at', 'unix'],
        'uncollectible_at': ['$.status_transitions.marked_uncollectible_at', 'unix'],
        'starting_balance': ['$.starting_balance', 'integer'],
        'ending_balance': ['$.ending_balance', 'integer'],
        'total': ['$.total', 'integer'],
        'subscription_id': ['$.parent.subscription_details.subscription', 'text'],
        'opportunity_id': ['$.metadata.salesforce_opportunity_id', 'text'],
        'consolidated_invoice_id': ['$.metadata.consolidated_invoice_id', 'text'],
        'lines': ['$.lines.data', 'json'],
    }, seen={
        'finalized_seen_at': 'finalized_at is not null',
        'voided_seen_at': 'voided_at is not null',
        'uncollectible_seen_at': 'uncollectible_at is not null',
    }) }}
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
    entities.time_zone,
    staged._landing_seq,
    staged.finalized_seen_at,
    staged.voided_seen_at,
    staged.uncollectible_seen_at,
    staged.invoice_id,
    staged.number,
    coalesce(customers.crm_account_id, staged.billing_customer_id) as customer_id,
    upper(staged.currency) as currency,
    staged.status,
    staged.finalized_at,
    staged.voided_at,
    staged.uncollectible_at,
    {{ local_date('staged.finalized_at', 'entities.time_zone') }} as accounting_date,
    {{ local_date('staged.due_at', 'entities.time_zone') }} as due_date,
    -- A credit of the customer is a negative balance, so what the invoice used of it is the rise of the balance.
    coalesce(staged.ending_balance, staged.starting_balance, 0) - coalesce(staged.starting_balance, 0) as customer_balance_applied,
    staged.total,
    staged.subscription_id,
    staged.opportunity_id,
    staged.consolidated_invoice_id,
    staged.lines
from staged
inner join entities on staged._entity_id = entities.entity_id
left join customers on staged._source = customers._source and staged.billing_customer_id = customers.billing_customer_id
