-- One row per treasury event: fx_rate.published and bank.line_posted. A file knows only days, so an event's instant is
-- the start of its day in the zone of the entity.
with entities as (
    select * from {{ state('entities') }}
),

fx_rates as (
    select
        rates._source,
        'fx_rate.published' as type,
        'fx_rate.published:' || rates._record_id as id,
        {{ day_start_utc('rates.rate_date', "coalesce(entities.time_zone, 'UTC')") }} as time,
        rates.entity_id,
        rates.rate_date as effective_date,
        rates._record_id as subject,
        {{ json_object_text({
            'from': 'upper(rates.from_currency)',
            'to': 'upper(rates.to_currency)',
            'rate': 'rates.rate',
            'rate_type': 'rates.rate_type',
        }) }} as data,
        rates._first_landed_at as landed_at,
        rates._landing_seq as landing_seq,
        'fx_rate/' || rates._record_id as record
    from {{ ref('stg_treasury__fx_rates') }} as rates
    left join entities on rates.entity_id = entities.entity_id
),

bank_lines as (
    select
        bank._source,
        'bank.line_posted' as type,
        'bank.line_posted:' || bank._record_id as id,
        {{ day_start_utc('bank.value_date', "coalesce(entities.time_zone, 'UTC')") }} as time,
        bank.entity_id,
        bank.value_date as effective_date,
        bank.bank_line_id as subject,
        {{ json_object_text({
            'bank_line_id': 'bank.bank_line_id',
            'bank_account': 'bank.bank_account',
            'statement_id': 'bank.statement_id',
            'amount': 'bank.amount',
            'currency': 'bank.currency',
            'reference': 'bank.reference',
            'counterparty': 'bank.counterparty',
        }) }} as data,
        bank._first_landed_at as landed_at,
        bank._landing_seq as landing_seq,
        'bank_line/' || bank._record_id as record
    from {{ ref('stg_treasury__bank_lines') }} as bank
    left join entities on bank.entity_id = entities.entity_id
),

unioned as (
    select * from fx_rates
    union all
    select * from bank_lines
),

enveloped as (
    select
        '/treasury/' || _source as source,
        id,
        type,
        time,
        entity_id,
        effective_date,
        time as recorded_time,
        null as sequence,
        subject,
        null as correlation_id,
        null as causation_id,
        null as supersedes_id,
        data,
        landed_at,
        landing_seq,
        _source || '/' || record as vendor_record
    from unioned
)

{{ event_envelope('enveloped') }}
