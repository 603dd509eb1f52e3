-- One row per tax document that a chain names, with where it landed.
select
    entity_id,
    'tax_document' as document_type,
    document_code as document_id,
    _source || '/transaction/' || _record_id as source_record
from {{ ref('stg_avalara__transactions') }}
