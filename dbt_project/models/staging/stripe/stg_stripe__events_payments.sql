-- One row per payment or refund event: payment.settled, payment.failed, refund.issued, refund.failed.
with charges as (
    select * from {{ ref('stg_stripe__charges') }}
),

refunds as (
    select * from {{ ref('stg_stripe__refunds') }}
),

balance_transactions as (
    select * from {{ ref('stg_stripe__balance_transactions') }}
),

credit_note_refunds as (
    select
        _source,
        refund_id,
        min(credit_note_id) as credit_note_id
    from {{ ref('stg_stripe__credit_note_refunds') }}
    group by _source, refund_id
),

correlations as (
    select * from {{ ref('stg_stripe__correlations') }}
),

applications as (
    select
        _source,
        charge_id,
        min(invoice_id) as first_invoice_id,
        {{ json_array_text(json_object_text({'invoice_id': 'invoice_id', 'amount': 'amount'}), 'invoice_id') }} as applications
    from {{ ref('stg_stripe__payment_applications') }}
    group by _source, charge_id
),

settled as (
    select
        charges._source,
        'payment.settled' as type,
        charges.created_at as time,
        charges.entity_id,
        charges.created_date as effective_date,
        'charge' as vendor_object,
        charges.charge_id as object_id,
        {{ json_object_text({
            'payment_id': 'charges.charge_id',
            'customer_id': 'charges.customer_id',
            'amount': 'charges.amount',
            'currency': 'charges.currency',
            'channel': "'processor'",
            'applications': json_value('applications.applications'),
            'balance_txn': json_value('balance_transactions.balance_txn'),
        }) }} as data,
        charges.settled_seen_at as landed_at,
        charges._landing_seq as landing_seq
    from charges
    left join applications on charges._source = applications._source and charges.charge_id = applications.charge_id
    left join balance_transactions
        on charges._source = balance_transactions._source
        and charges.balance_transaction_id = balance_transactions.balance_transaction_id
    -- An authorisation that was never captured moved no money.
    where charges.status = 'succeeded' and charges.is_captured
),

failed as (
    select
        charges._source,
        'payment.failed' as type,
        charges.created_at as time,
        charges.entity_id,
        charges.created_date as effective_date,
        'charge' as vendor_object,
        charges.charge_id as object_id,
        {{ json_object_text({
            'payment_id': 'charges.charge_id',
            'customer_id': 'charges.customer_id',
            'invoice_id': 'applications.first_invoice_id',
            'amount': 'charges.amount',
            'currency': 'charges.currency',
            'failure_code': 'charges.failure_code',
        }) }} as data,
        charges.failed_seen_at as landed_at,
        charges._landing_seq as landing_seq
    from charges
    left join applications on charges._source = applications._source and charges.charge_id = applications.charge_id
    where charges.status = 'failed'
),

refunded as (
    select
        refunds._source,
        'refund.issued' as type,
        refunds.created_at as time,
        refunds.entity_id,
        refunds.created_date as effective_date,
        'refund' as vendor_object,
        refunds.refund_id as object_id,
        {{ json_object_text({
            'refund_id': 'refunds.refund_id',
            'payment_id': 'refunds.charge_id',
            'amount': 'refunds.amount',
            'currency': 'refunds.currency',
            'reason': 'refunds.reason',
            'credit_note_id': 'credit_note_refunds.credit_note_id',
            'balance_txn': json_value('balance_transactions.balance_txn'),
        }) }} as data,
        refunds._first_landed_at as landed_at,
        refunds._landing_seq as landing_seq
    from refunds
    left join credit_note_refunds
        on refunds._source = credit_note_refunds._source and refunds.refund_id = credit_note_refunds.refund_id
    left join balance_transactions
        on refunds._source = balance_transactions._source
        and refunds.balance_transaction_id = balance_transactions.balance_transaction_id
    -- Until its balance transaction exists a refund is only a wish.
    where refunds.balance_transaction_id is not null or refunds.status = 'succeeded'
),

refund_failed as (
    select
        refunds._source,
        'refund.failed' as type,
        coalesce(balance_transactions.created_at, refunds.created_at) as time,
        refunds.entity_id,
        coalesce(balance_transactions.created_date, refunds.created_date) as effective_date,
        'refund' as vendor_object,
        refunds.refund_id as object_id,
        {{ json_object_text({'refund_id': 'refunds.refund_id'}) }} as data,
        refunds.failed_seen_at as landed_at,
        refunds._landing_seq as landing_seq
    from refunds
    left join balance_transactions
        on refunds._source = balance_transactions._source
        and refunds.failure_transaction_id = balance_transactions.balance_transaction_id
    where refunds.status in ('failed', 'canceled') and refunds.balance_transaction_id is not null
),

unioned as (
    select * from settled
    union all
    select * from failed
    union all
    select * from refunded
    union all
    select * from refund_failed
),

enveloped as (
    select
        '/stripe/' || unioned._source as source,
        unioned.type || ':' || unioned.object_id as id,
        unioned.type,
        unioned.time,
        unioned.entity_id,
        unioned.effective_date,
        unioned.time as recorded_time,
        null as sequence,
        unioned.object_id as subject,
        correlations.opportunity_id as correlation_id,
        null as causation_id,
        null as supersedes_id,
        unioned.data,
        unioned.landed_at,
        unioned.landing_seq,
        unioned._source || '/' || unioned.vendor_object || '/' || unioned.object_id as vendor_record
    from unioned
    left join correlations on unioned._source = correlations._source and unioned.object_id = correlations.object_id
)

{{ event_envelope('enveloped') }}
