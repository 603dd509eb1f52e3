-- One row per document of the tax engine (latest version), signed: a credit note is negative.
{{ union_sources(providers('tax_documents'), 'tax_documents', [
    'entity_id', 'document_id', 'document_type', 'status', 'tax_date', 'currency', 'net_amount', 'tax_amount', 'version',
]) }}
