-- One row per line of a posted invoice; amount is after discount and without tax.
with posted as (
    {{ events_of(['invoice.posted'], {
        'invoice_id': 'VARCHAR', 'customer_id': 'VARCHAR', 'currency': 'VARCHAR',
        'lines': [{
            'line_id': 'VARCHAR', 'amount': 'BIGINT', 'discount_amount': 'BIGINT', 'tax_amount': 'BIGINT',
            'tax_lines': [{'amount': 'BIGINT'}], 'service_start': 'DATE', 'service_end': 'DATE',
            'product_id': 'VARCHAR', 'product_family': 'VARCHAR', 'quantity': 'VARCHAR', 'unit_price': 'VARCHAR',
            'charge_kind': 'VARCHAR', 'subscription_item_id': 'VARCHAR', 'contract_id': 'VARCHAR',
            'contract_line_id': 'VARCHAR', 'pending_charge_id': 'VARCHAR', 'original_line_id': 'VARCHAR',
        }],
    }) }}
),

numbered as (
    select posted.*, unnest(d.lines) as x, unnest(range(1, len(d.lines) + 1)) as line_no from posted
)

select
    {{ envelope() }},
    d.invoice_id,
    d.customer_id,
    d.currency,
    cast(line_no as integer) as line_no,
    x.line_id,
    x.amount,
    coalesce(x.discount_amount, 0) as discount_amount,
    {{ line_tax('x') }} as tax_amount,
    x.service_start,
    x.service_end,
    x.product_id,
    coalesce(x.product_family, 'default') as product_family,
    cast(x.quantity as decimal(38, 12)) as quantity,
    cast(x.unit_price as decimal(38, 12)) as unit_price,
    x.charge_kind,
    x.subscription_item_id,
    x.contract_id,
    x.contract_line_id,
    x.pending_charge_id,
    x.original_line_id
from numbered
