-- One row per contract line that an amendment adds, replaces or ends.
with booked as (
    {{ events_of(['amendment.booked'], {
        'amendment_id': 'VARCHAR', 'contract_id': 'VARCHAR',
        'lines': [{
            'action': 'VARCHAR', 'option_line_id': 'VARCHAR', 'line_id': 'VARCHAR', 'product_id': 'VARCHAR',
            'product_family': 'VARCHAR', 'kind': 'VARCHAR', 'quantity': 'VARCHAR', 'unit_price': 'VARCHAR',
            'amount': 'BIGINT', 'ssp': 'BIGINT', 'residual': 'BOOLEAN', 'constrained_amount': 'BIGINT',
            'expected_unit_price': 'VARCHAR', 'currency': 'VARCHAR', 'exchange_rate': 'VARCHAR',
            'service_start': 'DATE', 'service_end': 'DATE',
        }],
    }) }}
),

numbered as (
    select booked.*, unnest(d.lines) as x, unnest(range(1, len(d.lines) + 1)) as line_no
    from booked
    where d.contract_id is not null
)

select
    {{ envelope() }},
    d.amendment_id,
    d.contract_id,
    cast(line_no as integer) as line_no,
    x.action,
    x.option_line_id,
    x.line_id,
    x.product_id,
    x.product_family,
    x.kind,
    cast(x.quantity as decimal(25, 12)) as quantity,
    cast(x.unit_price as decimal(25, 12)) as unit_price,
    x.amount,
    x.ssp,
    coalesce(x.residual, false) as is_residual,
    x.constrained_amount,
    cast(x.expected_unit_price as decimal(25, 12)) as expected_unit_price,
    x.currency as line_currency,
    {{ scaled12('x.exchange_rate') }} as exchange_rate_e12,
    x.service_start,
    x.service_end
from numbered
