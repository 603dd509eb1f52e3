-- One row per (tax document, line, jurisdiction), signed like the document.
{{ union_sources(providers('tax_document_lines'), 'tax_document_lines', [
    'entity_id', 'document_id', 'document_type', 'line_no', 'detail_no', 'jurisdiction', 'jurisdiction_type',
    'jurisdiction_code', 'tax_name', 'rate', 'currency', 'taxable_amount', 'tax_amount',
]) }}
