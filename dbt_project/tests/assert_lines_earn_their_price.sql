-- A returned row is a line of a document whose opening and recognition entries put more or less into revenue (less its
-- contra discount) and deferred revenue than its price: lifetime revenue is the consideration.
{{ config(meta={'dagster': {'ref': {'name': 'journal_lines'}}}) }}
with earned as (
    select entity_id, document_type, document_id, document_line_id as line_id, -sum(amount_tc) as amount
    from {{ ref('journal_lines') }}
    where account_role in ('revenue', 'discounts', 'deferred_revenue')
        and event_type in ('invoice.posted', 'payment.settled', 'revenue.recognised')
    group by entity_id, document_type, document_id, document_line_id
)

select lines.entity_id, lines.document_type, lines.document_id, lines.line_id, lines.net_amount, earned.amount
from {{ ref('document_lines') }} as lines
left join earned
    on lines.entity_id = earned.entity_id and lines.document_type = earned.document_type
    and lines.document_id = earned.document_id and lines.line_id = earned.line_id
where lines.treatment = 'revenue' and lines.pending_charge_id is null and lines.posting_date <= {{ as_of() }}
    and lines.net_amount <> coalesce(earned.amount, 0)
