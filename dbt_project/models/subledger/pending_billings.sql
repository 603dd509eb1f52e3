-- One row per invoice line that names a pending charge: what the pending charge had recognised before (unbilled).
with pending as (
    select * from {{ ref('document_lines') }} where document_type = 'pending_charge'
),

billing_lines as (
    select *
    from (select * from {{ ref('document_lines') }} where document_type = 'invoice' and pending_charge_id is not null) as named
    qualify row_number() over (
        partition by entity_id, pending_charge_id order by posting_date, document_id, line_no
    ) = 1
),

recognised as (
    select entity_id, document_id, cast(sum(amount) as bigint) as amount
    from {{ ref('recognition_parts') }}
    where document_type = 'pending_charge'
    group by 1, 2
)

select
    billing_lines.entity_id,
    billing_lines.document_id,
    billing_lines.line_id,
    billing_lines.pending_charge_id,
    case when pending.at_once then pending.net_amount else coalesce(recognised.amount, 0) end as recognised
from billing_lines
inner join pending
    on billing_lines.entity_id = pending.entity_id and billing_lines.pending_charge_id = pending.document_id
left join recognised
    on billing_lines.entity_id = recognised.entity_id and billing_lines.pending_charge_id = recognised.document_id
