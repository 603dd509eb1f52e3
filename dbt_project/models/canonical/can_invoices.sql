-- One row per posted invoice (of one legal entity).
with posted as (
    {{ events_of(['invoice.posted'], {
        'invoice_id': 'VARCHAR', 'customer_id': 'VARCHAR', 'number': 'VARCHAR', 'currency': 'VARCHAR',
        'due_date': 'DATE', 'consolidated_invoice_id': 'VARCHAR', 'customer_balance_applied': 'BIGINT',
        'advances': [{'amount': 'BIGINT'}],
        'lines': [{'amount': 'BIGINT', 'tax_amount': 'BIGINT', 'tax_lines': [{'amount': 'BIGINT'}]}],
    }) }}
)

select
    {{ envelope() }},
    d.invoice_id,
    d.number,
    d.customer_id,
    d.currency,
    d.due_date,
    d.consolidated_invoice_id,
    coalesce(d.customer_balance_applied, 0) as customer_balance_applied,
    cast(coalesce(list_sum(list_transform(d.advances, lambda a: a.amount)), 0) as bigint) as advances_applied,
    cast(coalesce(list_sum(list_transform(d.lines, lambda x: x.amount)), 0) as bigint) as net_amount,
    cast(coalesce(list_sum(list_transform(d.lines, lambda x: {{ line_tax('x') }})), 0) as bigint) as tax_amount,
    cast(coalesce(list_sum(list_transform(d.lines, lambda x: x.amount + {{ line_tax('x') }})), 0) as bigint) as gross_amount
from posted
