-- One row per application of a payment to a receivable, and whether that receivable is known.
select
    matches.*,
    documents.document_id is not null as is_invoice_known
from {{ ref('payment_matches') }} as matches
left join {{ ref('documents') }} as documents
    on matches.invoice_entity_id = documents.entity_id
    and documents.document_type = 'invoice'
    and matches.invoice_id = documents.document_id
