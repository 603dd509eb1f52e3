-- One row per posting batch, ERP account and side: what was sent against the posted ERP document that carries the key (R16).
{{ config(tags=['after_posting']) }}

with batches as (
    select
        batches.*,
        entities.functional_currency
    from {{ state('posting_batches') }} as batches
    inner join {{ state('entities') }} as entities on batches.entity_id = entities.entity_id
    where batches.period <= {{ recon_month(as_of_date(), 'batches.entity_id') }}
),

sides as (
    select 'debit' as side
    union all
    select 'credit' as side
),

left_groups as (
    select
        batches.entity_id,
        batches.batch_key,
        batches.accounting_date as item_date,
        batches.functional_currency as currency,
        lines.account_code,
        sides.side,
        count(*) as line_count,
        sum(case sides.side when 'debit' then lines.debit_fc else lines.credit_fc end) as amount
    from batches
    inner join {{ state('posting_batch_lines') }} as lines on batches.batch_key = lines.batch_key
    inner join sides
        on (sides.side = 'debit' and lines.debit_fc <> 0) or (sides.side = 'credit' and lines.credit_fc <> 0)
    group by batches.entity_id, batches.batch_key, batches.accounting_date, batches.functional_currency, lines.account_code, sides.side
),

documents as (
    select
        *,
        row_number() over (partition by entity_id, batch_key order by document_date, document_id) as copy_no,
        count(*) over (partition by entity_id, batch_key) as document_count
    from {{ ref('can_erp_documents') }}
    where status = 'posted' and batch_key is not null and period <= {{ recon_month(as_of_date(), 'entity_id') }}
),

documents_per_key as (
    select
        entity_id,
        batch_key,
        count(*) as document_count,
        min(document_number) as document_number,
        min(period) as period
    from documents
    group by entity_id, batch_key
),

right_groups as (
    select
        documents.entity_id,
        documents.batch_key,
        documents.document_date as item_date,
        lines.functional_currency as currency,
        lines.account_code,
        sides.side,
        documents.copy_no,
        documents.document_number,
        count(*) as line_count,
        sum(case sides.side when 'debit' then lines.debit else lines.credit end) as amount
    from documents
    inner join {{ ref('can_erp_document_lines') }} as lines
        on documents.entity_id = lines.entity_id and documents.document_id = lines.document_id
    inner join sides
        on (sides.side = 'debit' and lines.debit <> 0) or (sides.side = 'credit' and lines.credit <> 0)
    group by
        documents.entity_id, documents.batch_key, documents.document_date, lines.functional_currency, lines.account_code,
        sides.side, documents.copy_no, documents.document_number
),

left_side as (
    select
        entity_id,
        item_date,
        currency,
        batch_key || '|' || account_code || '|' || side as item_key,
        amount,
        batch_key as reference,
        cast(null as varchar) as customer_id,
        cast(null as varchar) as correlation_id
    from left_groups
),

right_side as (
    select
        entity_id,
        item_date,
        currency,
        batch_key || '|' || account_code || '|' || side || case when copy_no > 1 then '|copy' || cast(copy_no as varchar) else '' end
            as item_key,
        amount,
        document_number as reference,
        cast(null as varchar) as customer_id,
        cast(null as varchar) as correlation_id
    from right_groups
),

pairs as (
    {{ recon_pairs('R16', 'left_side', 'right_side') }}
),

facts as (
    select
        pairs.*,
        split_part(pairs.item_key, '|', 1) as batch_key,
        left_groups.line_count as left_lines,
        right_groups.line_count as right_lines
    from pairs
    left join left_groups
        on pairs.entity_id = left_groups.entity_id
        and pairs.item_key = left_groups.batch_key || '|' || left_groups.account_code || '|' || left_groups.side
    left join right_groups
        on pairs.entity_id = right_groups.entity_id
        and right_groups.copy_no = 1
        and pairs.item_key = right_groups.batch_key || '|' || right_groups.account_code || '|' || right_groups.side
),

classes as (
    select
        facts.*,
        batches.status,
        batches.period as batch_period,
        documents_per_key.period as document_period,
        documents_per_key.document_number,
        case
            when facts.item_key like '%|copy%' then 'duplicate'
            when facts.is_match and facts.difference = 0 and batches.period <> documents_per_key.period then 'wrong_period'
            when facts.is_match and facts.difference = 0 and facts.left_lines = facts.right_lines then null
            when facts.is_match and facts.difference <> 0 then 'rounding'
            when batches.batch_key is null then 'missing_left'
            when documents_per_key.document_count is null
                then case when batches.status in ('posted', 'verified', 'dead') then 'missing_right' else 'timing_in_transit' end
            else 'amount'
        end as variance_class
    from facts
    left join batches on facts.batch_key = batches.batch_key
    left join documents_per_key
        on facts.entity_id = documents_per_key.entity_id and facts.batch_key = documents_per_key.batch_key
),

classified as (
    select
        *,
        batch_key as reference,
        case variance_class
            when 'duplicate' then 'A second ERP document carries the key of this batch.'
            when 'wrong_period' then 'Batch of ' || batch_period || ', ERP document in ' || document_period || '.'
            when 'missing_left' then 'The ERP document carries a key that no batch of ours has.'
            when 'missing_right' then 'Batch is ' || status || ', but the ERP has no posted document with its key.'
            when 'timing_in_transit' then 'Batch is ' || status || ', not yet in the ERP.'
            when 'rounding' then 'Within tolerance.'
            else
                'ERP document ' || document_number || ' differs from what was posted'
                || case when coalesce(left_lines, 0) <> coalesce(right_lines, 0) then ' (number of lines too).' else '.' end
        end as explanation,
        cast(null as varchar) as expected_clear_period
    from classes
)

{{ recon_items('R16', 'classified', apart=['wrong_period'], erp_document='c.document_number') }}
