-- One row per credit note event: issued on its effective day, voided when it was.
with credit_notes as (
    select * from {{ ref('stg_stripe__credit_notes') }}
),

correlations as (
    select * from {{ ref('stg_stripe__correlations') }}
),

line_payloads as (
    select
        _source,
        credit_note_id,
        {{ json_array_text(json_object_text({
            'invoice_line_id': 'invoice_line_id',
            'amount': 'amount',
            'tax_amount': 'tax_amount',
        }), 'line_no') }} as lines,
        cast(sum(amount + tax_amount) as bigint) as gross_amount
    from {{ ref('stg_stripe__credit_note_lines') }}
    group by _source, credit_note_id
),

refunds as (
    select
        _source,
        credit_note_id,
        cast(sum(amount) as bigint) as refund_amount
    from {{ ref('stg_stripe__credit_note_refunds') }}
    group by _source, credit_note_id
),

-- A note on a paid invoice returns the money: refunds and out of band are stated, the rest is stored credit.
settled as (
    select
        credit_notes.*,
        line_payloads.lines as line_list,
        coalesce(refunds.refund_amount, 0) as refund_amount,
        line_payloads.gross_amount - coalesce(refunds.refund_amount, 0) - credit_notes.out_of_band_amount as balance_amount
    from credit_notes
    left join line_payloads
        on credit_notes._source = line_payloads._source and credit_notes.credit_note_id = line_payloads.credit_note_id
    left join refunds
        on credit_notes._source = refunds._source and credit_notes.credit_note_id = refunds.credit_note_id
),

issued as (
    select
        _source,
        'credit_note.issued' as type,
        created_at as time,
        entity_id,
        effective_date,
        credit_note_id,
        {{ json_object_text({
            'credit_note_id': 'credit_note_id',
            'invoice_id': 'invoice_id',
            'number': 'number',
            'currency': 'currency',
            'timing': 'credit_note_type',
            'reason': 'reason',
            'lines': json_value("coalesce(line_list, '[]')"),
            'settlement': json_value("case when credit_note_type = 'post_payment' then " ~ json_object_text({
                'refund': 'nullif(refund_amount, 0)',
                'customer_balance': 'nullif(balance_amount, 0)',
                'out_of_band': 'nullif(out_of_band_amount, 0)',
            }) ~ ' end'),
        }) }} as data,
        _first_landed_at as landed_at,
        _landing_seq as landing_seq
    from settled
),

voided as (
    select
        _source,
        'credit_note.voided' as type,
        voided_at as time,
        entity_id,
        voided_date as effective_date,
        credit_note_id,
        {{ json_object_text({'credit_note_id': 'credit_note_id'}) }} as data,
        voided_seen_at as landed_at,
        _landing_seq as landing_seq
    from settled
    where voided_at is not null
),

unioned as (
    select * from issued
    union all
    select * from voided
),

enveloped as (
    select
        '/stripe/' || unioned._source as source,
        unioned.type || ':' || unioned.credit_note_id as id,
        unioned.type,
        unioned.time,
        unioned.entity_id,
        unioned.effective_date,
        unioned.time as recorded_time,
        null as sequence,
        unioned.credit_note_id as subject,
        correlations.opportunity_id as correlation_id,
        null as causation_id,
        null as supersedes_id,
        unioned.data,
        unioned.landed_at,
        unioned.landing_seq,
        unioned._source || '/credit_note/' || unioned.credit_note_id as vendor_record
    from unioned
    left join correlations
        on unioned._source = correlations._source and unioned.credit_note_id = correlations.object_id
)

{{ event_envelope('enveloped') }}
