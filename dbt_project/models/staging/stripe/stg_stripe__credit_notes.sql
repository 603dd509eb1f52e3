-- One row per credit note, effective day in the zone of the entity.
with staged as (
    {{ staged_object('stripe', 'credit_note', {
        'credit_note_id': ['$.id', 'text'],
        'invoice_id': ['$.invoice', 'text'],
        'number': ['$.number', 'text'],
        'currency': ['$.currency', 'text'],
        'status': ['$.status', 'text'],
        'credit_note_type': ['$.type', 'text'],
        'reason': ['$.reason', 'text'],
        'created_at': ['$.created', 'unix'],
        'effective_at': ['$.effective_at', 'unix'],
        'voided_at': ['$.voided_at', 'unix'],
        'total': ['$.total', 'integer'],
        'out_of_band_amount': ['$.out_of_band_amount', 'integer'],
        'lines': ['$.lines.data', 'json'],
        'refunds': ['$.refunds', 'json'],
    }, seen={'voided_seen_at': 'voided_at is not null'}) }}
),

entities as (
    select * from {{ state('entities') }}
)

select
    staged._source,
    staged._entity_id as entity_id,
    staged._landing_seq,
    staged._first_landed_at,
    staged.voided_seen_at,
    staged.credit_note_id,
    staged.invoice_id,
    staged.number,
    upper(staged.currency) as currency,
    staged.credit_note_type,
    staged.reason,
    staged.created_at,
    {{ local_date('coalesce(staged.effective_at, staged.created_at)', 'entities.time_zone') }} as effective_date,
    staged.voided_at,
    {{ local_date('staged.voided_at', 'entities.time_zone') }} as voided_date,
    staged.total,
    coalesce(staged.out_of_band_amount, 0) as out_of_band_amount,
    coalesce(staged.lines, '[]') as lines,
    coalesce(staged.refunds, '[]') as refunds
from staged
inner join entities on staged._entity_id = entities.entity_id
