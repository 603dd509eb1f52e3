-- One row per document line: the parts of its service window as lists (days, weights, dates), in closed form.
with lines as (
    select
        entity_id, document_type, document_id, line_id, line_no, net_amount, contra_discount, tax_amount, service_start, service_end,
        recognition, rounding, at_once, posting_date
    from {{ ref('document_lines') }}
)

{{ window_parts('lines') }}
