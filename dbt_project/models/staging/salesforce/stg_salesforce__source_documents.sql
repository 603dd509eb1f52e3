-- One row per CRM record that a chain names, with where it landed.
select
    entity_id,
    'opportunity' as document_type,
    opportunity_id as document_id,
    _source || '/opportunity/' || _record_id as source_record
from {{ ref('stg_salesforce__opportunities') }}
union all
select
    _entity_id as entity_id,
    'quote' as document_type,
    quote_id as document_id,
    _source || '/quote/' || _record_id as source_record
from {{ ref('stg_salesforce__quotes') }}
union all
select
    _entity_id as entity_id,
    'account' as document_type,
    account_id as document_id,
    _source || '/account/' || _record_id as source_record
from {{ ref('stg_salesforce__accounts') }}
