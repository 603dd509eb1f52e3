-- One row per entity, period, ERP account, class and reference: a known part of booked less ERP, minor units, debit positive.
{{ config(tags=['after_posting']) }}

with batches as (
    select * from {{ state('posting_batches') }}
    where period <= {{ recon_month(as_of_date(), 'entity_id') }}
),

batch_accounts as (
    select
        batches.entity_id,
        batches.batch_key,
        batches.period,
        lines.account_code,
        sum(lines.debit_fc - lines.credit_fc) as amount
    from {{ state('posting_batch_lines') }} as lines
    inner join batches on lines.batch_key = batches.batch_key
    group by batches.entity_id, batches.batch_key, batches.period, lines.account_code
),

documents as (
    select * from {{ ref('can_erp_documents') }}
    where status = 'posted' and period <= {{ recon_month(as_of_date(), 'entity_id') }}
),

document_accounts as (
    select
        documents.entity_id,
        documents.document_id,
        documents.document_number,
        documents.batch_key,
        documents.period,
        lines.account_code,
        sum(lines.debit - lines.credit) as amount
    from documents
    inner join {{ ref('can_erp_document_lines') }} as lines
        on documents.entity_id = lines.entity_id and documents.document_id = lines.document_id
    group by documents.entity_id, documents.document_id, documents.document_number, documents.batch_key, documents.period, lines.account_code
),

documents_per_key as (
    select
        entity_id,
        batch_key,
        count(*) as document_count,
        min(document_number) as document_number
    from documents
    where batch_key is not null
    group by entity_id, batch_key
),

keyed_accounts as (
    select
        entity_id,
        batch_key,
        period,
        account_code,
        sum(amount) as amount
    from document_accounts
    where batch_key is not null
    group by entity_id, batch_key, period, account_code
),

batch_differences as (
    select
        coalesce(b.entity_id, d.entity_id) as entity_id,
        coalesce(b.batch_key, d.batch_key) as batch_key,
        coalesce(b.period, d.period) as period,
        coalesce(b.account_code, d.account_code) as account_code,
        coalesce(b.amount, 0) - coalesce(d.amount, 0) as amount
    from batch_accounts as b
    full outer join keyed_accounts as d
        on b.entity_id = d.entity_id
        and b.batch_key = d.batch_key
        and b.period = d.period
        and b.account_code = d.account_code
),

moved_batches as (
    select
        *,
        sum(amount) over (partition by entity_id, batch_key, account_code) = 0 as is_moved
    from batch_differences
),

classified_batches as (
    select
        differences.*,
        {{ recon_batch_class('batches', 'documents_per_key', 'differences.is_moved') }} as variance_class,
        documents_per_key.document_number,
        batches.status
    from moved_batches as differences
    left join batches on differences.batch_key = batches.batch_key
    left join documents_per_key
        on differences.entity_id = documents_per_key.entity_id and differences.batch_key = documents_per_key.batch_key
),

-- Booked, but in no batch yet.
unposted as (
    select
        entity_id,
        period,
        coalesce(account_code, 'unmapped:' || account_role) as account_code,
        max(case when account_code is null then 'mapping_missing' else 'timing_in_transit' end) as variance_class,
        booking_id as reference,
        max(explanation) as waits_for,
        sum(amount_fc - posted_fc) as amount
    from {{ ref('rec_booked_accounts') }}
    where posted_lines < line_count
    group by entity_id, period, coalesce(account_code, 'unmapped:' || account_role), booking_id
),

-- Journals of the ERP's own revenue schedules: in an entity that leaves recognition to it, without our key, on accounts of
-- recognition alone, one of them revenue.
erp_owned as (
    select entity_id
    from {{ state('policy') }}
    where key = 'schedules_owner' and value = 'erp'
),

erp_schedule_documents as (
    select
        documents.entity_id,
        documents.document_id
    from document_accounts as documents
    inner join erp_owned on documents.entity_id = erp_owned.entity_id
    left join {{ ref('rec_gl_accounts') }} as accounts
        on documents.entity_id = accounts.entity_id and documents.account_code = accounts.account_code
    where documents.batch_key is null
    group by documents.entity_id, documents.document_id
    having
        bool_and(coalesce(accounts.owning_role, '') in ('deferred_revenue', 'revenue', 'unbilled_receivable', 'contract_asset', 'discounts'))
        and bool_or(coalesce(accounts.owning_role, '') = 'revenue')
),

recognised as (
    select
        entity_id, period, account_code, amount_fc as amount
    from {{ ref('rec_erp_schedules') }}
    union all
    select
        documents.entity_id, documents.period, documents.account_code, -documents.amount as amount
    from document_accounts as documents
    inner join erp_schedule_documents as schedules
        on documents.entity_id = schedules.entity_id and documents.document_id = schedules.document_id
),

schedule_differences as (
    select
        entity_id,
        period,
        account_code,
        sum(amount) as amount,
        sum(sum(amount)) over (partition by entity_id, account_code) as amount_of_all_periods
    from recognised
    group by entity_id, period, account_code
),

-- What the members of a batch sum to, where the batch itself says otherwise (R15 names the line).
member_accounts as (
    select
        entity_id,
        batch_key,
        period,
        account_code,
        sum(posted_fc) as amount
    from {{ ref('rec_booked_accounts') }}
    where batch_key is not null and account_code is not null
    group by entity_id, batch_key, period, account_code
),

member_differences as (
    select
        coalesce(m.entity_id, b.entity_id) as entity_id,
        coalesce(m.batch_key, b.batch_key) as batch_key,
        coalesce(m.period, b.period) as period,
        coalesce(m.account_code, b.account_code) as account_code,
        coalesce(m.amount, 0) - coalesce(b.amount, 0) as amount
    from member_accounts as m
    full outer join batch_accounts as b
        on m.entity_id = b.entity_id
        and m.batch_key = b.batch_key
        and m.period = b.period
        and m.account_code = b.account_code
)

select
    entity_id,
    period,
    account_code,
    variance_class,
    batch_key as reference,
    cast(amount as bigint) as amount,
    document_number as erp_document,
    case variance_class
        when 'amount' then 'ERP document ' || document_number || ' no longer carries what batch ' || batch_key || ' posted.'
        when 'duplicate' then 'More than one ERP document carries the key of batch ' || batch_key || '.'
        when 'wrong_period' then 'ERP document ' || document_number || ' lies in another period than its batch.'
        when 'missing_left' then 'ERP document ' || document_number || ' carries a key that no batch of ours has.'
        when 'missing_right' then 'Batch is ' || status || ', but the ERP has no posted document for it.'
        else 'Batch is ' || status || ', not yet in the ERP.'
    end as explanation
from classified_batches
where amount <> 0
union all
select
    entity_id,
    period,
    account_code,
    'amount' as variance_class,
    batch_key as reference,
    cast(amount as bigint) as amount,
    cast(null as varchar) as erp_document,
    'Batch ' || batch_key || ' does not sum up its booked lines.' as explanation
from member_differences
where amount <> 0
union all
select
    manual.entity_id,
    manual.period,
    manual.account_code,
    'manual_erp_journal' as variance_class,
    manual.document_number as reference,
    cast(-manual.amount as bigint) as amount,
    manual.document_number as erp_document,
    'Journal ' || manual.document_number || ' was entered in the ERP by hand; no source document stands behind it.' as explanation
from document_accounts as manual
inner join {{ ref('rec_gl_accounts') }} as accounts
    on manual.entity_id = accounts.entity_id and manual.account_code = accounts.account_code
left join erp_schedule_documents as schedules
    on manual.entity_id = schedules.entity_id and manual.document_id = schedules.document_id
where manual.batch_key is null and manual.amount <> 0 and schedules.document_id is null
union all
select
    entity_id,
    period,
    account_code,
    case when amount_of_all_periods = 0 then 'wrong_period' else 'amount' end as variance_class,
    'schedule|' || account_code as reference,
    cast(amount as bigint) as amount,
    cast(null as varchar) as erp_document,
    case
        when amount_of_all_periods = 0 then 'The ERP''s revenue schedules recognise the same amount in other periods than ours.'
        else 'The ERP''s revenue schedules recognise another amount than ours.'
    end as explanation
from schedule_differences
where amount <> 0
union all
select
    entity_id,
    period,
    account_code,
    variance_class,
    reference,
    cast(amount as bigint) as amount,
    cast(null as varchar) as erp_document,
    case variance_class
        when 'mapping_missing' then 'No ERP account is mapped to this role.'
        else coalesce(waits_for, 'Booked, waiting for its posting batch.')
    end as explanation
from unposted
where amount <> 0
