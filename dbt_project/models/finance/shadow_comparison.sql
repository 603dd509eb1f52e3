-- One row per entity, period and ERP account of what shadow batches would post, against what the ERP holds without our key.
with shadow as (
    select * from {{ state('shadow_batch_lines') }}
    where period <= {{ recon_month(as_of_date(), 'entity_id') }}
),

months as (
    select distinct entity_id, period from shadow
),

would_be as (
    select
        entity_id,
        period,
        account_code,
        count(distinct batch_key) as batch_count,
        sum(member_count) as source_lines,
        sum(debit_fc) as debit,
        sum(credit_fc) as credit
    from shadow
    group by entity_id, period, account_code
),

-- The old process: posted documents that do not carry a key of ours, on any account that a role is mapped to.
erp as (
    select
        documents.entity_id,
        documents.period,
        lines.account_code,
        count(distinct documents.document_id) as document_count,
        sum(lines.debit) as debit,
        sum(lines.credit) as credit
    from {{ ref('can_erp_documents') }} as documents
    inner join months on documents.entity_id = months.entity_id and documents.period = months.period
    inner join {{ ref('can_erp_document_lines') }} as lines
        on documents.entity_id = lines.entity_id and documents.document_id = lines.document_id
    inner join {{ ref('rec_gl_accounts') }} as accounts
        on documents.entity_id = accounts.entity_id and lines.account_code = accounts.account_code
    where documents.status = 'posted' and documents.batch_key is null
    group by documents.entity_id, documents.period, lines.account_code
),

compared as (
    select
        coalesce(w.entity_id, e.entity_id) as entity_id,
        coalesce(w.period, e.period) as period,
        coalesce(w.account_code, e.account_code) as account_code,
        coalesce(w.batch_count, 0) as batch_count,
        coalesce(w.source_lines, 0) as source_lines,
        coalesce(e.document_count, 0) as document_count,
        coalesce(w.debit, 0) as debit,
        coalesce(w.credit, 0) as credit,
        coalesce(e.debit, 0) as erp_debit,
        coalesce(e.credit, 0) as erp_credit,
        coalesce(w.debit - w.credit, 0) - coalesce(e.debit - e.credit, 0) as difference
    from would_be as w
    full outer join erp as e
        on w.entity_id = e.entity_id and w.period = e.period and w.account_code = e.account_code
)

select
    compared.period,
    compared.entity_id as entity_code,
    compared.account_code,
    entities.functional_currency as currency,
    cast(currencies.exponent as integer) as minor_unit,
    cast(compared.batch_count as bigint) as batches,
    cast(compared.source_lines as bigint) as source_lines,
    cast(compared.document_count as bigint) as erp_documents,
    {{ recon_to_major('compared.debit', 'currencies.exponent') }} as would_be_debit,
    {{ recon_to_major('compared.credit', 'currencies.exponent') }} as would_be_credit,
    {{ recon_to_major('compared.erp_debit', 'currencies.exponent') }} as erp_debit,
    {{ recon_to_major('compared.erp_credit', 'currencies.exponent') }} as erp_credit,
    {{ recon_to_major('compared.difference', 'currencies.exponent') }} as difference,
    case
        when compared.difference = 0 then 'Equal'
        when compared.document_count = 0 then 'Only ours'
        when compared.batch_count = 0 then 'Only in the ERP'
        else 'Different'
    end as comparison
from compared
inner join {{ state('entities') }} as entities on compared.entity_id = entities.entity_id
inner join {{ state('currencies') }} as currencies on entities.functional_currency = currencies.currency
