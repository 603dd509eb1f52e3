-- One row per balance event: payout.paid, payout.failed, balance_txn.reported, balance.reported.
with payouts as (
    select * from {{ ref('stg_stripe__payouts') }}
),

balance_transactions as (
    select * from {{ ref('stg_stripe__balance_transactions') }}
),

balance_reports as (
    select * from {{ ref('stg_stripe__balance_reports') }}
),

correlations as (
    select * from {{ ref('stg_stripe__correlations') }}
),

members as (
    select
        _source,
        payout_id,
        {{ json_array_text('balance_transaction_id', 'balance_transaction_id', quote=true) }} as members
    from {{ ref('stg_stripe__payout_members') }}
    group by _source, payout_id
),

-- The balance goes down when the payout's own transaction is made, not when the bank receives it.
paid as (
    select
        payouts._source,
        'payout.paid' as type,
        'payout.paid:' || payouts.payout_id as id,
        coalesce(balance_transactions.created_at, payouts.created_at) as time,
        payouts.entity_id,
        coalesce(balance_transactions.created_date, payouts.created_date) as effective_date,
        payouts.payout_id as subject,
        payouts.payout_id as object_id,
        {{ json_object_text({
            'payout_id': 'payouts.payout_id',
            'account': 'payouts._source',
            'amount': 'payouts.amount',
            'currency': 'payouts.currency',
            'arrival_date': 'cast(payouts.arrival_date as varchar)',
            'destination': 'payouts.destination',
            'reference': 'payouts.payout_id',
            'members': json_value('members.members'),
        }) }} as data,
        payouts._first_landed_at as landed_at,
        payouts._landing_seq as landing_seq,
        'payout/' || payouts.payout_id as record
    from payouts
    left join members on payouts._source = members._source and payouts.payout_id = members.payout_id
    left join balance_transactions
        on payouts._source = balance_transactions._source
        and payouts.balance_transaction_id = balance_transactions.balance_transaction_id
),

failed as (
    select
        payouts._source,
        'payout.failed' as type,
        'payout.failed:' || payouts.payout_id as id,
        coalesce(balance_transactions.created_at, payouts.created_at) as time,
        payouts.entity_id,
        coalesce(balance_transactions.created_date, payouts.created_date) as effective_date,
        payouts.payout_id as subject,
        payouts.payout_id as object_id,
        {{ json_object_text({
            'payout_id': 'payouts.payout_id',
            'account': 'payouts._source',
            'amount': 'payouts.amount',
            'currency': 'payouts.currency',
        }) }} as data,
        payouts.failed_seen_at as landed_at,
        payouts._landing_seq as landing_seq,
        'payout/' || payouts.payout_id as record
    from payouts
    left join balance_transactions
        on payouts._source = balance_transactions._source
        and payouts.failure_transaction_id = balance_transactions.balance_transaction_id
    where payouts.status in ('failed', 'canceled')
),

reported as (
    select
        _source,
        'balance_txn.reported' as type,
        'balance_txn.reported:' || balance_transaction_id as id,
        created_at as time,
        entity_id,
        created_date as effective_date,
        balance_transaction_id as subject,
        object_id,
        {{ json_object_text({
            'balance_txn': json_value('balance_txn'),
            'object_id': 'object_id',
        }) }} as data,
        _first_landed_at as landed_at,
        _landing_seq as landing_seq,
        'balance_transaction/' || balance_transaction_id as record
    from balance_transactions
),

balances as (
    select
        _source,
        'balance.reported' as type,
        'balance.reported:' || _record_id as id,
        period_end_at as time,
        entity_id,
        period_end as effective_date,
        _source || ':' || _record_id as subject,
        cast(null as varchar) as object_id,
        {{ json_object_text({
            'system': "'processor'",
            'account': '_source',
            'currency': 'currency',
            'balance': 'ending_balance',
        }) }} as data,
        _first_landed_at as landed_at,
        _landing_seq as landing_seq,
        'balance_report/' || _record_id as record
    from balance_reports
),

unioned as (
    select * from paid
    union all
    select * from failed
    union all
    select * from reported
    union all
    select * from balances
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
        correlations.opportunity_id as correlation_id,
        null as causation_id,
        null as supersedes_id,
        unioned.data,
        unioned.landed_at,
        unioned.landing_seq,
        unioned._source || '/' || unioned.record as vendor_record
    from unioned
    left join correlations on unioned._source = correlations._source and unioned.object_id = correlations.object_id
)

{{ event_envelope('enveloped') }}
