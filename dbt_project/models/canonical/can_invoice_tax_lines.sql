-- One row per tax line of an invoice line; a tax_amount alone is one unnamed tax line.
with posted as (
    {{ events_of(['invoice.posted'], {
        'invoice_id': 'VARCHAR', 'currency': 'VARCHAR',
        'lines': [{
            'line_id': 'VARCHAR', 'tax_amount': 'BIGINT',
            'tax_lines': [{
                'tax_code': 'VARCHAR', 'jurisdiction': 'VARCHAR', 'rate': 'VARCHAR', 'amount': 'BIGINT',
            }],
        }],
    }) }}
),

lines as (
    select posted.*, unnest(d.lines) as x, unnest(range(1, len(d.lines) + 1)) as line_no from posted
),

taxes as (
    select
        lines.*,
        unnest(case
            when coalesce(len(x.tax_lines), 0) > 0 then x.tax_lines
            else [{ 'tax_code': null, 'jurisdiction': null, 'rate': null, 'amount': x.tax_amount }]
        end) as t,
        unnest(range(1, greatest(coalesce(len(x.tax_lines), 0), 1) + 1)) as tax_line_no
    from lines
    where coalesce(len(x.tax_lines), 0) > 0 or coalesce(x.tax_amount, 0) <> 0
)

select
    event_key,
    entity_id,
    accounting_date,
    d.invoice_id,
    d.currency,
    x.line_id,
    cast(line_no as integer) as line_no,
    cast(tax_line_no as integer) as tax_line_no,
    t.tax_code,
    t.jurisdiction,
    cast(t.rate as decimal(38, 12)) as rate,
    coalesce(t.amount, 0) as amount
from taxes
