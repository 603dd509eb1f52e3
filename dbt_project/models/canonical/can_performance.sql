-- One row per recorded performance of an obligation (delivery, units, percent, rights exercised).
with recorded as (
    {{ events_of(['performance.recorded'], {
        'contract_id': 'VARCHAR', 'line_id': 'VARCHAR', 'measure': 'VARCHAR', 'cumulative': 'VARCHAR',
        'expected_total': 'VARCHAR',
    }) }}
)

select
    {{ envelope() }},
    d.contract_id,
    d.line_id,
    d.measure,
    cast(d.cumulative as decimal(25, 12)) as cumulative,
    cast(d.expected_total as decimal(25, 12)) as expected_total
from recorded
