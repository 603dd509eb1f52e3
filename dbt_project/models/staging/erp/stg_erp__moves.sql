-- One row per ERP accounting move. batch_key is set where the description is one of our keys, never for a person's text.
{{ config(tags=['after_posting']) }}
with staged as (
    {{ staged_object('erp', 'move', {
        'move_id': ['$.id', 'text'],
        'number': ['$.number', 'text'],
        'description': ['$.description', 'text'],
        'state': ['$.state', 'text'],
        'move_date': ['$.date', 'date'],
        'period': ['$.period', 'text'],
        'move_entity_id': ['$.entity_id', 'text'],
        'journal': ['$.journal', 'text'],
        'document_kind': ['$.document_kind', 'text'],
        'reference': ['$.reference', 'text'],
        'lines': ['$.lines', 'json'],
    }) }}
)

select
    _source,
    _landing_seq,
    coalesce(move_entity_id, _entity_id) as entity_id,
    move_id,
    number,
    description,
    state,
    move_date,
    period,
    journal,
    document_kind,
    reference,
    case when {{ is_hex_key('description', 32) }} then description end as batch_key,
    coalesce(lines, '[]') as lines
from staged
