-- One row per journal document in the ERP, ours and everybody else's.
{{ config(tags=['after_posting']) }}

select
    entity_id,
    cast(move_id as varchar) as document_id,
    coalesce(number, cast(move_id as varchar)) as document_number,
    description,
    state as status,
    cast(move_date as date) as document_date,
    cast(period as varchar) as period,
    journal,
    document_kind,
    reference,
    batch_key,
    _source || '/move/' || move_id as source_record
from {{ ref('stg_erp__moves') }}
