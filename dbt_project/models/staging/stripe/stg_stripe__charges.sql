-- One row per charge, failed attempts included.
with staged as (
    {{ staged_object('stripe', 'charge', {
        'charge_id': ['$.id', 'text'],
        'billing_customer_id': ['$.customer', 'text'],
        'amount': ['$.amount', 'integer'],
        'amount_captured': ['$.amount_captured', 'integer'],
        'currency': ['$.currency', 'text'],
        'status': ['$.status', 'text'],
        'is_captured': ['$.captured', 'boolean'],
        'created_at': ['$.created', 'unix'],
        'payment_intent_id': ['$.payment_intent', 'text'],
        'balance_transaction_id': ['$.balance_transaction', 'text'],
        'failure_code': ['$.failure_code', 'text'],
        'description': ['$.description', 'text'],
    }, seen={'settled_seen_at': "status = 'succeeded'", 'failed_seen_at': "status = 'failed'"}) }}
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
    staged.settled_seen_at,
    staged.failed_seen_at,
    staged.charge_id,
    coalesce(customers.crm_account_id, staged.billing_customer_id) as customer_id,
    case when staged.status = 'succeeded' then coalesce(staged.amount_captured, staged.amount) else staged.amount end as amount,
    upper(staged.currency) as currency,
    staged.status,
    coalesce(staged.is_captured, true) as is_captured,
    staged.created_at,
    {{ local_date('staged.created_at', 'entities.time_zone') }} as created_date,
    staged.payment_intent_id,
    staged.balance_transaction_id,
    staged.failure_code
from staged
inner join entities on staged._entity_id = entities.entity_id
left join customers on staged._source = customers._source and staged.billing_customer_id = customers.billing_customer_id
