-- One row per dispute event: opened, funds_withdrawn, funds_reinstated, closed.
with disputes as (
    select * from {{ ref('stg_stripe__disputes') }}
),

correlations as (
    select * from {{ ref('stg_stripe__correlations') }}
),

movements as (
    select
        _source,
        dispute_id,
        is_reinstatement,
        min(created_at) as moved_at,
        min(created_date) as moved_date,
        {{ json_array_text('balance_txn', 'created_at, balance_transaction_id') }} as balance_txns
    from {{ ref('stg_stripe__dispute_transactions') }}
    group by _source, dispute_id, is_reinstatement
),

opened as (
    select
        _source,
        'dispute.opened' as type,
        created_at as time,
        entity_id,
        created_date as effective_date,
        dispute_id,
        {{ json_object_text({
            'dispute_id': 'dispute_id',
            'payment_id': 'charge_id',
            'amount': 'amount',
            'currency': 'currency',
            'reason': 'reason',
        }) }} as data,
        _first_landed_at as landed_at,
        _landing_seq as landing_seq
    from disputes
),

moved as (
    select
        disputes._source,
        case when movements.is_reinstatement then 'dispute.funds_reinstated' else 'dispute.funds_withdrawn' end as type,
        movements.moved_at as time,
        disputes.entity_id,
        movements.moved_date as effective_date,
        disputes.dispute_id,
        {{ json_object_text({
            'dispute_id': 'disputes.dispute_id',
            'payment_id': 'disputes.charge_id',
            'amount': 'disputes.amount',
            'currency': 'disputes.currency',
            'balance_txns': json_value('movements.balance_txns'),
        }) }} as data,
        disputes._first_landed_at as landed_at,
        disputes._landing_seq as landing_seq
    from disputes
    inner join movements on disputes._source = movements._source and disputes.dispute_id = movements.dispute_id
),

closed as (
    select
        _source,
        'dispute.closed' as type,
        closed_at as time,
        entity_id,
        closed_date as effective_date,
        dispute_id,
        {{ json_object_text({
            'dispute_id': 'dispute_id',
            'payment_id': 'charge_id',
            'outcome': 'status',
        }) }} as data,
        closed_seen_at as landed_at,
        _landing_seq as landing_seq
    from disputes
    where status in ('won', 'lost') and closed_at is not null
),

unioned as (
    select * from opened
    union all
    select * from moved
    union all
    select * from closed
),

enveloped as (
    select
        '/stripe/' || unioned._source as source,
        unioned.type || ':' || unioned.dispute_id as id,
        unioned.type,
        unioned.time,
        unioned.entity_id,
        unioned.effective_date,
        unioned.time as recorded_time,
        null as sequence,
        unioned.dispute_id as subject,
        correlations.opportunity_id as correlation_id,
        null as causation_id,
        null as supersedes_id,
        unioned.data,
        unioned.landed_at,
        unioned.landing_seq,
        unioned._source || '/dispute/' || unioned.dispute_id as vendor_record
    from unioned
    left join correlations on unioned._source = correlations._source and unioned.dispute_id = correlations.object_id
)

{{ event_envelope('enveloped') }}
