-- One row per posting batch, which is one ERP document.
with batches as (
    select * from {{ state('posting_batches') }}
),

entities as (
    select * from {{ state('entities') }}
),

currencies as (
    select * from {{ state('currencies') }}
),

-- ERP documents that a person reversed carry our key in their own reversal's text; nothing of ours reverses a document.
documents as (
    select
        entity_id,
        batch_key,
        count(*) as document_count
    from {{ ref('can_erp_documents') }}
    where status = 'posted' and batch_key is not null
    group by entity_id, batch_key
)

select
    batches.period,
    batches.entity_id as entity_code,
    entities.functional_currency as currency,
    cast(currencies.exponent as integer) as minor_unit,
    coalesce(batches.erp_document_number, '') as document_no,
    batches.batch_key as idempotency_key,
    batches.event_class,
    batches.accounting_date,
    batches.rule_hash as rule_version,
    cast(batches.member_count as bigint) as source_lines,
    cast(batches.line_count as integer) as line_count,
    {{ recon_to_major('batches.debit_fc', 'currencies.exponent') }} as debit,
    {{ recon_to_major('batches.credit_fc', 'currencies.exponent') }} as credit,
    batches.status,
    cast(coalesce(documents.document_count, 0) as integer) as erp_documents,
    cast(batches.attempts as integer) as attempts,
    {{ recon_instant('batches.posted_at') }} as posted_at,
    {{ recon_instant('batches.verified_at') }} as verified_at,
    '' as reversed_by,
    coalesce(batches.last_error, '') as last_error
from batches
inner join entities on batches.entity_id = entities.entity_id
inner join currencies on entities.functional_currency = currencies.currency
left join documents on batches.entity_id = documents.entity_id and batches.batch_key = documents.batch_key
