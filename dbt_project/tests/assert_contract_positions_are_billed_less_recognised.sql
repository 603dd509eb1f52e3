-- A returned row is an obligation-bearing contract whose position in the journal (deferred revenue and refund liability
-- less contract asset) is not what invoices billed on it, as far as they are on the books, less what its schedule recognised.
{{ config(meta={'dagster': {'ref': {'name': 'journal_lines'}}}) }}
with obligations as (
    select contract_no, line_id, entity_id, contract_id from {{ ref('contract_obligations') }}
),

items as (
    select entity_id, contract_id, 'deferred_revenue|contract ' || contract_id as open_item from obligations
    union
    select entity_id, contract_id, 'contract_asset|contract ' || contract_id as open_item from obligations
    union
    select entity_id, contract_id, 'refund_liability|contract ' || contract_id || ' ' || line_id as open_item from obligations
),

booked as (
    select items.entity_id, items.contract_id, -sum(lines.amount_tc) as amount
    from {{ ref('journal_lines') }} as lines
    inner join items on lines.entity_id = items.entity_id and lines.open_item = items.open_item
    group by items.entity_id, items.contract_id
),

billed as (
    select entity_id, contract_id, sum(net_amount) as amount
    from {{ ref('document_lines') }}
    where treatment = 'contract' and posting_date <= {{ as_of() }}
    group by entity_id, contract_id
),

unpaid as (
    select lines.entity_id, lines.contract_id, -sum(receipts.net_change) as amount
    from {{ ref('conditional_receipts') }} as receipts
    inner join {{ ref('document_lines') }} as lines
        on receipts.entity_id = lines.entity_id and receipts.document_type = lines.document_type
        and receipts.document_id = lines.document_id and receipts.line_id = lines.line_id
    where receipts.posting_date <= {{ as_of() }}
    group by lines.entity_id, lines.contract_id
),

voided as (
    select lines.entity_id, lines.contract_id, sum(effects.eff_net) as amount
    from {{ ref('line_effects') }} as effects
    inner join {{ ref('document_lines') }} as lines
        on effects.entity_id = lines.entity_id and effects.document_type = lines.document_type
        and effects.document_id = lines.document_id and effects.line_id = lines.line_id
    where lines.treatment = 'contract' and effects.kind = 'void' and effects.posting_date <= {{ as_of() }}
    group by lines.entity_id, lines.contract_id
),

recognised as (
    select entity_id, contract_id, sum(amount) as amount
    from {{ ref('revenue_schedule') }}
    where treatment = 'obligation' and recognition_date <= {{ as_of() }}
    group by entity_id, contract_id
)

select
    contracts.entity_id, contracts.contract_id, booked.amount as booked, billed.amount as billed, unpaid.amount as unpaid, voided.amount as voided,
    recognised.amount as recognised
from (select distinct entity_id, contract_id from obligations) as contracts
left join booked on contracts.entity_id = booked.entity_id and contracts.contract_id = booked.contract_id
left join billed on contracts.entity_id = billed.entity_id and contracts.contract_id = billed.contract_id
left join unpaid on contracts.entity_id = unpaid.entity_id and contracts.contract_id = unpaid.contract_id
left join voided on contracts.entity_id = voided.entity_id and contracts.contract_id = voided.contract_id
left join recognised on contracts.entity_id = recognised.entity_id and contracts.contract_id = recognised.contract_id
where
    coalesce(booked.amount, 0)
    <> coalesce(billed.amount, 0) - coalesce(unpaid.amount, 0) - coalesce(voided.amount, 0) - coalesce(recognised.amount, 0)
