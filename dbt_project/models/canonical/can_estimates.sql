-- One row per revised estimate of a contract's price or expected total.
with revised as (
    {{ events_of(['estimate.revised'], {
        'contract_id': 'VARCHAR', 'line_id': 'VARCHAR', 'variable_amount': 'BIGINT', 'constrained_amount': 'BIGINT',
        'expected_unit_price': 'VARCHAR', 'expected_total': 'VARCHAR',
    }) }}
)

select
    {{ envelope() }},
    d.contract_id,
    d.line_id,
    d.variable_amount,
    d.constrained_amount,
    cast(d.expected_unit_price as decimal(25, 12)) as expected_unit_price,
    cast(d.expected_total as decimal(25, 12)) as expected_total
from revised
