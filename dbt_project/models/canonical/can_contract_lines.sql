-- One row per line of a booked contract: one performance obligation.
with booked as (
    {{ events_of(['contract.booked'], {
        'contract_id': 'VARCHAR', 'customer_id': 'VARCHAR', 'currency': 'VARCHAR',
        'lines': [{
            'line_id': 'VARCHAR', 'product_id': 'VARCHAR', 'product_family': 'VARCHAR', 'kind': 'VARCHAR',
            'quantity': 'VARCHAR', 'unit_price': 'VARCHAR', 'amount': 'BIGINT', 'ssp': 'BIGINT',
            'residual': 'BOOLEAN', 'constrained_amount': 'BIGINT', 'expected_unit_price': 'VARCHAR',
            'currency': 'VARCHAR', 'exchange_rate': 'VARCHAR', 'service_start': 'DATE', 'service_end': 'DATE',
        }],
    }) }}
),

numbered as (
    select booked.*, unnest(d.lines) as x, unnest(range(1, len(d.lines) + 1)) as line_no from booked
)

select
    {{ envelope() }},
    d.contract_id,
    d.customer_id,
    d.currency,
    cast(line_no as integer) as line_no,
    x.line_id,
    x.product_id,
    coalesce(x.product_family, 'default') as product_family,
    coalesce(x.kind, 'service') as kind,
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
