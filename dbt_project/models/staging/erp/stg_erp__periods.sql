-- One row per ERP fiscal period of an entity.
{{ config(tags=['after_posting']) }}
with staged as (
    {{ staged_object('erp', 'period', {
        'period_entity_id': ['$.entity_id', 'text'],
        'name': ['$.name', 'text'],
        'state': ['$.state', 'text'],
        'start_date': ['$.start_date', 'date'],
        'end_date': ['$.end_date', 'date'],
    }) }}
)

select
    _source,
    coalesce(period_entity_id, _entity_id) as entity_id,
    name,
    state,
    start_date,
    end_date
from staged
