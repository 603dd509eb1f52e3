-- One row per document line whose tax was recalculated by the tax engine.
with recalculated as (
    {{ events_of(['tax.recalculated'], {
        'document_type': 'VARCHAR', 'document_id': 'VARCHAR', 'reason': 'VARCHAR',
        'lines': [{
            'line_id': 'VARCHAR', 'old_amount': 'BIGINT', 'new_amount': 'BIGINT', 'tax_code': 'VARCHAR',
            'jurisdiction': 'VARCHAR',
        }],
    }) }}
),

numbered as (
    select recalculated.*, unnest(d.lines) as x, unnest(range(1, len(d.lines) + 1)) as line_no from recalculated
)

select
    {{ envelope() }},
    d.document_type,
    d.document_id,
    cast(line_no as integer) as line_no,
    x.line_id,
    x.old_amount,
    x.new_amount,
    x.tax_code,
    x.jurisdiction
from numbered
